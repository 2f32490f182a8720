"""Tables and verdicts over the measured times."""
import math
import statistics

GROUPS = {
    "integer": ["zstd", "xz", "python", "perl", "sqlite", "cc1"],
    "vector and float": ["sha256", "aes", "rsa", "float", "float-v3", "float-x87", "matrix", "matrix-v3"],
    "kernel": ["fork", "pipe", "syscall", "fault", "switch"],
    "boot": ["boot-kernel", "boot-disk"],
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
COMPUTE = GROUPS["integer"] + GROUPS["vector and float"]

# What is wanted of QEMU's time divided by Dragoman's: geometric mean, and least of one program.
GOALS = {
    "integer": (4.0, 2.5),
    "vector and float": (8.0, None),
    "kernel": (2.5, 1.0),
    "boot": (3.0, None),
}
NATIVE_GOAL = 2.2  # Dragoman's time divided by the native one, geometric mean of COMPUTE


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


class Report:
    """`runs[emulator][program]` is a list of results, one per round."""

    def __init__(self, runs, names, emulators, clock):
        self.runs = runs
        self.names = names
        self.emulators = emulators
        self.clock = clock

    def results(self, emulator, name):
        return self.runs.get(emulator, {}).get(name, [])

    def median(self, emulator, name):
        """Of the rounds that went well; None when there is none or one of them failed."""
        results = self.results(emulator, name)
        if not results or any(result.error for result in results):
            return None
        key = "cpu_seconds" if self.clock == "cpu" else "seconds"
        return statistics.median(getattr(result, key) for result in results)

    def ratio(self, name, above, below):
        over, under = self.median(above, name), self.median(below, name)
        return over / under if over and under else None

    def ratios(self, names, above, below):
        found = [self.ratio(name, above, below) for name in names if name in self.names]
        return [ratio for ratio in found if ratio]

    def answers(self, name):
        return {result.answer for emulator in self.emulators
                for result in self.results(emulator, name) if not result.error}

    def verdict(self, name):
        """Of the answers: they are equal, differ, or something failed."""
        failed = [emulator for emulator in self.emulators
                  if any(result.error for result in self.results(emulator, name))]
        if failed:
            return "FAILED: " + ", ".join(failed)
        ran = [emulator for emulator in self.emulators if self.results(emulator, name)]
        if len(self.answers(name)) > 1:
            return "DIFFERENT"
        return "equal" if len(ran) > 1 else "-"

    def cell(self, emulator, name):
        results = self.results(emulator, name)
        if not results:
            return "-"
        median = self.median(emulator, name)
        return "failed" if median is None else "%.3f" % median

    def table(self):
        def row(*cells):
            return "%-18s %9s %9s %9s %14s %16s   %s" % cells

        def times(value):
            return "%.2fx" % value if value else "-"

        clock = "processor time of the emulator" if self.clock == "cpu" else "time"
        lines = ["Medians, seconds of " + clock, "",
                 row("program", "native", "Dragoman", "QEMU", "QEMU/Dragoman", "Dragoman/native",
                     "answers").rstrip()]
        for group, members in GROUPS.items():
            names = [name for name in members if name in self.names]
            if not names:
                continue
            lines.append(group)
            for name in names:
                lines.append(row("  " + name, self.cell("native", name),
                                 self.cell("dragoman", name), self.cell("qemu", name),
                                 times(self.ratio(name, "qemu", "dragoman")),
                                 times(self.ratio(name, "dragoman", "native")),
                                 self.verdict(name)))
            means = []
            for above, below in (("qemu", "dragoman"), ("dragoman", "native")):
                values = self.ratios(names, above, below)
                means.append(times(geometric_mean(values)) if len(values) > 1 else "")
            if any(means):
                lines.append(row("  geometric mean", "", "", "", means[0], means[1], "").rstrip())
        return "\n".join(lines)

    def goals(self):
        """[(met or None where not everything was measured, text)]"""
        found = []
        for group, (wanted, least) in GOALS.items():
            names = GROUPS[group]
            values = self.ratios(names, "qemu", "dragoman")
            text = "%s: QEMU/Dragoman at least %.1fx" % (group, wanted)
            if least:
                text += ", none under %.1fx" % least
            if values:
                text += "; measured %.2fx" % geometric_mean(values)
                if least:
                    slowest = min((self.ratio(name, "qemu", "dragoman"), name) for name in names
                                  if name in self.names and self.ratio(name, "qemu", "dragoman"))
                    text += ", lowest %.2fx (%s)" % slowest
            met = None
            if len(values) == len(names):
                met = geometric_mean(values) >= wanted and (not least or min(values) >= least)
            found.append((met, text))
        values = self.ratios(COMPUTE, "dragoman", "native")
        text = "integer, vector and float: Dragoman/native at most %.1fx" % NATIVE_GOAL
        if values:
            text += "; measured %.2fx" % geometric_mean(values)
        plain = self.ratios(COMPUTE, "dragoman", "native-avx2")
        if len(plain) == len(COMPUTE):
            text += " (%.2fx of the host without AVX-512)" % geometric_mean(plain)
        met = geometric_mean(values) <= NATIVE_GOAL if len(values) == len(COMPUTE) else None
        found.append((met, text))
        return found

    def goal_lines(self):
        marks = {True: "[met]     ", False: "[not met] ", None: "[partial] "}
        return "\n".join(marks[met] + text for met, text in self.goals())

    def notes(self):
        """What a reader should know about single runs."""
        lines = []
        for emulator in self.emulators:
            for name in self.names:
                for number, result in enumerate(self.results(emulator, name)):
                    if result.error:
                        lines.append("%s, %s, round %d: %s" % (name, emulator, number + 1,
                                                               result.error))
                    elif abs(result.seconds - result.host_seconds) > \
                            0.15 + 0.1 * result.host_seconds:
                        lines.append("%s, %s, round %d: %.3f s by the guest's clock, %.3f s by the "
                                     "host's" % (name, emulator, number + 1, result.seconds,
                                                 result.host_seconds))
        return "\n".join(lines)

    def busy(self):
        """Part of the time in which processes had to wait for a processor; 0 on an idle host."""
        results = [result for emulator in self.emulators for name in self.names
                   for result in self.results(emulator, name) if not result.error]
        wanted = sum(result.host_seconds for result in results)
        return max(0.0, 1 - sum(result.cpu_seconds for result in results) / wanted) if wanted else 0

    def good(self):
        return all(not self.verdict(name).startswith(("FAILED", "DIFFERENT"))
                   for name in self.names)


def micro_table(columns):
    """`columns`: [(emulator, {operation: cycles})]"""
    names = []
    for _, rows in columns:
        names += [name for name in rows if name not in names]
    lines = ["%-26s" % "cycles per operation" + "".join("%12s" % name for name, _ in columns)]
    ratio = {"dragoman", "qemu"} <= {name for name, _ in columns}
    lines[0] += "%16s" % "QEMU/Dragoman" if ratio else ""
    for name in names:
        line = "%-26s" % name + "".join("%12s" % rows.get(name, "-") for _, rows in columns)
        if ratio:
            both = dict(columns)
            try:
                value = float(both["qemu"][name]) / float(both["dragoman"][name])
                line += "%15.2fx" % value
            except (KeyError, ValueError, ZeroDivisionError):
                line += "%16s" % "-"
        lines.append(line)
    return "\n".join(lines)
