"""Runs the benchmark guest under an emulator, or its programs on the host, and takes the times."""
import mmap
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

BEGIN = re.compile(r"BENCH-BEGIN (\S+)")
END = re.compile(r"BENCH-END (\S+) ([\d.]+) ([\d.]+) (\d+)")
ANSWER = re.compile(r"BENCH (\S+) (\d+) ([0-9a-f]{16})")


def cpu_seconds(pid):
    """CPU time of all threads of a process so far; the clock id is made as clock_getcpuclockid(3)
    makes it."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def touch_memory(size=1536 << 20):
    """Uses memory and gives it back. A host that is itself a virtual machine may have lent its free
    memory to others: whoever takes it first waits for it, which is none of an emulator's merits."""
    try:
        with open("/proc/meminfo") as info:
            available = next(int(line.split()[1]) for line in info if "MemAvailable" in line)
    except (OSError, StopIteration):
        return
    if available << 10 < 2 * size:
        return
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE) as memory:
        if hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                memory.madvise(mmap.MADV_HUGEPAGE)
            except OSError:
                pass  # the kernel was built without
        zeros = bytes(4 << 20)
        for _ in range(size // len(zeros)):
            memory.write(zeros)


class Result:
    """One run of one program. Seconds by the clock named; `error` is None when it went well."""

    def __init__(self, name, error=None):
        self.name = name
        self.seconds = None  # by the guest's own clock
        self.host_seconds = None  # the same, by the host's clock
        self.cpu_seconds = None  # processor time of the emulator, or of the program on the host
        self.answer = None
        self.error = error

    def fields(self):
        return {key: value for key, value in vars(self).items() if key != "name"}


class Emulator:
    """A program that understands QEMU's command line."""

    def __init__(self, name, command, folder):
        self.name = name
        self.command = command
        self.folder = folder
        self.log = []  # the last lines on the serial port

    def start(self, arguments):
        everything = self.command + ["-display", "none", "-serial", "stdio", "-monitor", "none",
                                     "-no-reboot"] + arguments
        self.log = []
        self.rest = b""
        touch_memory()
        self.started = time.monotonic()
        self.process = subprocess.Popen(everything, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def line(self, deadline):
        """The next line on the serial port with the time it came; None at the end or too late."""
        output = self.process.stdout.fileno()
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                return None
            data = os.read(output, 65536)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        text = line.decode("latin-1").strip()
        self.log = (self.log + [text])[-40:]
        return text

    def stop(self, grace=0):
        """Ends the emulator; says how it ended by itself, if it did."""
        try:
            status = self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = None
        self.process.stdout.close()
        return status

    def run(self, names, work, limit, initrd, give_result):
        """Boots the guest for the programs in `names`, again after each one that fails."""
        names = list(names)
        dead_boots = 0
        while names:
            done = self.session(names, work, limit, initrd, give_result)
            if done == 0:
                # The guest came to nothing: the first program is not to blame a second time.
                dead_boots += 1
                blamed = names if dead_boots == 2 else names[:1]
                for name in blamed:
                    give_result(Result(name, "the guest did not start: " + self.last_words()))
                done = len(blamed)
            names = names[done:]

    def last_words(self):
        return " | ".join(line for line in self.log[-3:] if line)[-200:] or "nothing on serial"

    def session(self, names, work, limit, initrd, give_result):
        append = "console=ttyS0 quiet panic=-1 bench=%s work=%d" % (",".join(names), work)
        self.start(["-m", "1G", "-kernel", os.path.join(self.folder, "vmlinuz"),
                    "-initrd", initrd, "-append", append])
        done = 0
        result = None
        began = (0, 0)
        deadline = time.monotonic() + limit
        while done < len(names):
            text = self.line(deadline)
            if text is None:
                break
            if BEGIN.search(text):
                began = (time.monotonic(), cpu_seconds(self.process.pid))
                result = Result(BEGIN.search(text).group(1))
                deadline = time.monotonic() + limit
            found = END.search(text)
            if found and result:
                result.host_seconds = time.monotonic() - began[0]
                result.cpu_seconds = cpu_seconds(self.process.pid) - began[1]
                result.seconds = float(found.group(2))
            found = ANSWER.search(text)
            if found and result:
                result.answer = found.group(3)
                if found.group(2) != "0":
                    result.error = "failed in the guest: " + self.last_words()
                give_result(result)
                result = None
                done += 1
                deadline = time.monotonic() + limit
        if done == len(names):
            self.stop(20)
            return done
        late = time.monotonic() >= deadline
        status = self.stop(0 if late else 5)
        if result is not None:
            ended = "ended with %s" % status if status is not None else "stopped"
            result.error = "no answer within %d s" % limit if late else "the emulator " + ended
            result.error += ": " + self.last_words()
            result.seconds = None
            give_result(result)
            done += 1
        return done

    def boot(self, name, arguments, limit):
        """Time from the start of the emulator to the first line of the guest's first process."""
        self.start(arguments)
        result = Result(name)
        deadline = time.monotonic() + limit
        while True:
            text = self.line(deadline)
            if text is None:
                late = time.monotonic() >= deadline
                result.error = "no first process %s: %s" % (
                    "within %d s" % limit if late else "before the end", self.last_words())
                break
            if "BENCH-INIT" in text:
                result.seconds = result.host_seconds = time.monotonic() - self.started
                result.cpu_seconds = cpu_seconds(self.process.pid)
                result.answer = "first process"
                break
        self.stop(0)
        return result


# No AVX-512, which no emulator here offers its guest: for OpenSSL (bits of CPUID 7, EBX and ECX)
# and glibc. Other programs of the benchmark do not look for it.
WITHOUT_AVX512 = {
    "OPENSSL_ia32cap": ":~0x5f42dc230000",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD",
}


class Native:
    """The same programs from the same files on the host, on one processor."""

    def __init__(self, folder, name="native"):
        self.folder = folder
        self.name = name
        self.environment = WITHOUT_AVX512 if name == "native-avx2" else {}

    def run(self, names, work, limit, _initrd, give_result):
        tree = os.path.join(self.folder, "tree")
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        scratch = tempfile.mkdtemp(prefix="dragoman-bench.", dir=base)
        one = min(os.sched_getaffinity(0))
        try:
            for name in names:
                give_result(self.one(name, work, limit, tree, scratch, one))
        finally:
            shutil.rmtree(scratch)

    def one(self, name, work, limit, tree, scratch, processor):
        command = [os.path.join(tree, "bin/busybox"), "sh", os.path.join(tree, "bench/programs"),
                   "measure", name, str(work)]
        environment = {"R": tree, "PATH": "/usr/bin:/bin", **self.environment}
        result = Result(name)
        touch_memory()
        process = subprocess.Popen(command, cwd=scratch, env=environment, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT,
                                   preexec_fn=lambda: os.sched_setaffinity(0, {processor}))
        try:
            text = process.communicate(timeout=limit)[0].decode("latin-1")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            result.error = "no answer within %d s" % limit
            return result
        end = END.search(text)
        answer = ANSWER.search(text)
        if not end or not answer or answer.group(2) != "0":
            result.error = "failed on the host: " + text[-200:].strip()
            return result
        result.seconds = result.host_seconds = float(end.group(2))
        result.cpu_seconds = float(end.group(3))
        result.answer = answer.group(3)
        return result
