"""Runs roms/microbench.asm under emulators and puts its rows beside each other."""
import os
import pty
import re
import select
import subprocess
import tempfile
import time

import report

VALUE = re.compile(r"\s*(\S.*?)\s{2,}(\d+\.\d|n/a|fault)\b")
BOCHS = """megs: 64
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=disk, path={image}, mode=flat, translation=auto
boot: disk
com1: enabled=1, mode=file, dev={serial}
log: /dev/null
display_library: term
"""


def rows(text):
    """{operation: cycles as printed}; two operations are on a line."""
    found = {}
    for line in text.split("\n"):
        for match in VALUE.finditer(line):
            found[match.group(1)] = match.group(2)
    return found


def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1").replace("\r", "")
    except OSError:
        return ""


def run_bochs(image, folder, serial, limit):
    """Bochs wants a terminal, and where it was built with its debugger the command to go on."""
    settings = os.path.join(folder, "bochsrc")
    with open(settings, "w") as file:
        file.write(BOCHS.format(image=image, serial=serial))
    terminal, inner = pty.openpty()
    process = subprocess.Popen(["bochs", "-q", "-f", settings], stdin=inner, stdout=inner,
                               stderr=inner, start_new_session=True,
                               env=dict(os.environ, TERM="xterm", LINES="50", COLUMNS="132"))
    os.close(inner)
    os.write(terminal, b"c\n")
    deadline = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                break
        if "\ndone\n" in read_file(serial):
            break
    process.kill()
    process.wait()
    os.close(terminal)


def run_emulator(command, image, serial, limit):
    """An emulator with QEMU's command line; returns its exit status or None."""
    arguments = ["-m", "64", "-display", "none", "-monitor", "none", "-no-reboot",
                 "-serial", "file:" + serial, "-device", "isa-debug-exit,iobase=0x501,iosize=4",
                 "-drive", "format=raw,file=" + image]
    try:
        return subprocess.run(command + arguments, stdin=subprocess.DEVNULL,
                              timeout=limit).returncode
    except subprocess.TimeoutExpired:
        return None


def least(first, second):
    """Of two runs the lower value of each row; another program can only make a row slower."""
    both = dict(second)
    for name, value in first.items():
        other = both.get(name)
        numbers = other is None or "." in value and "." in other
        both[name] = value if other is None or not numbers or float(value) < float(other) else other
    return both


def run_once(name, command, image, folder, limit):
    """The rows of one run; what went wrong is printed."""
    serial = os.path.join(folder, "serial")
    with open(serial, "w"):
        pass
    if name == "bochs":
        run_bochs(image, folder, serial, limit)
    else:
        status = run_emulator(command, image, serial, limit)
        if status != 33:
            print("%s: exit code %s instead of 33 (isa-debug-exit)" % (name, status))
    text = read_file(serial)
    if "\ndone\n" not in text:
        print("%s: the benchmark did not come to its end; the serial port said:\n%s"
              % (name, text[-500:]))
        return {}
    return rows(text)


def run(root, emulators, rounds, limit):
    """`emulators`: [(name, command)]. Prints the table; returns an exit code."""
    found = {name: {} for name, _ in emulators}
    with tempfile.TemporaryDirectory(prefix="dragoman-bench.") as folder:
        image = os.path.join(folder, "microbench.img")
        source = os.path.join(root, "roms")
        subprocess.run(["nasm", "-f", "bin", "-I", source + "/", "-o", image,
                        os.path.join(source, "microbench.asm")], check=True)
        for number in range(rounds):
            for name, command in emulators:
                # Bochs counts instructions: every run is the same.
                if name != "bochs" or number == 0:
                    found[name] = least(found[name],
                                        run_once(name, command, image, folder, limit))
    columns = list(found.items())
    print(report.micro_table(columns))
    return 0 if all(rows_of for _, rows_of in columns) else 1
