"""The user of xorg_desktop: waits for the desktop, moves the mouse, types, looks, shuts down."""
import json, re, socket, sys, time

folder = sys.argv[1]


def connect():
    for _ in range(100):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(folder + "/qmp")
            return s.makefile("rw")
        except OSError:
            time.sleep(0.1)
    sys.exit("no QMP socket")


qmp = connect()
qmp.readline()


def ask(command, **arguments):
    qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    qmp.flush()
    while True:
        answer = json.loads(qmp.readline())
        if "return" in answer or "error" in answer:
            return answer


def monitor(line):
    return ask("human-monitor-command", **{"command-line": line})["return"]


def serial():
    return open(folder + "/serial", errors="replace").read()


def wait_for(what, seconds=600):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if re.search(what, serial()):
            return
        time.sleep(0.3)
    monitor("screendump %s/late.png" % folder)
    sys.exit("'%s' did not come; see late.png and serial" % what)


def pointer():
    found = re.findall(r"pointer X=(\d+) Y=(\d+)", serial())
    return tuple(int(n) for n in found[-1]) if found else (-1, -1)


def type_line(text):
    for c in text:
        monitor("sendkey " + {" ": "spc", "\n": "ret"}.get(c, c))
        time.sleep(0.15)


ask("qmp_capabilities")
wait_for("reader ready")
wait_for("pointer X")
time.sleep(3)
monitor("screendump %s/desktop.png" % folder)
before = pointer()
for _ in range(20):  # towards the terminal
    monitor("mouse_move -15 -8")
    time.sleep(0.05)
time.sleep(2)
after = pointer()
print("pointer", before, "->", after)
if not (after[0] < before[0] - 50 and after[1] < before[1] - 30):
    sys.exit("the pointer did not follow")
type_line("hello from outside\n")
wait_for("typed hello from outside", 60)
# A click on the root window opens twm's menu.
monitor("mouse_move 250 350")
time.sleep(0.5)
monitor("mouse_move 200 150")
time.sleep(1)
monitor("mouse_button 1")
time.sleep(2)
monitor("screendump %s/menu.png" % folder)
monitor("mouse_button 0")
ask("system_powerdown")
print("look at desktop.png and menu.png in", folder)
