"""A guest without a window, and what its screen shows: text from VGA memory, pixels from pictures,
and characters on a frame buffer, read with glyphs that were seen in text mode."""
import json, os, socket, subprocess, sys, time

COLUMNS, ROWS = 80, 25
NAMED = {" ": "spc", "\n": "ret", "-": "minus", "/": "slash", ".": "dot", ",": "comma"}


class Failure(Exception):
    pass


class Picture:
    """A screenshot: 24-bit pixels."""

    def __init__(self, path):
        data = open(path, "rb").read()
        fields, at = [], 0
        while len(fields) < 4:  # P6, width, height, 255
            end = at
            while data[end] not in b" \n":
                end += 1
            fields.append(data[at:end])
            at = end + 1
        self.width, self.height = int(fields[1]), int(fields[2])
        self.pixels = data[at:]

    def at(self, x, y):
        i = 3 * (y * self.width + x)
        return tuple(self.pixels[i : i + 3])

    def row(self, y):
        return self.pixels[3 * y * self.width : 3 * (y + 1) * self.width]

    def share(self, colour):
        """Which part of the picture has this colour."""
        wanted = bytes(colour)
        found = sum(
            self.pixels[i : i + 3] == wanted for i in range(0, len(self.pixels), 3 * 7)
        )  # every seventh will do
        return found * 7 / (self.width * self.height)

    def cell(self, left, top, width=8, height=16):
        """The pixels of a character as sixteen bytes, and its background: the colour of most."""
        lines = [
            [self.at(left + x, top + y) for x in range(width)] for y in range(height)
        ]
        flat = [p for line in lines for p in line]
        ground = max(set(flat), key=flat.count)
        bits = tuple(
            sum((line[x] != ground) << (7 - x) for x in range(8)) for line in lines
        )
        return bits, ground


class Guest:
    def __init__(self, dragoman, folder, *options):
        self.folder = folder
        self.qmp_path = os.path.join(folder, "qmp")
        self.errors = open(os.path.join(folder, "err"), "w+")
        if os.path.exists(self.qmp_path):
            os.unlink(self.qmp_path)
        self.process = subprocess.Popen(
            [dragoman, "-display", "none", "-qmp", "unix:%s,server=on,wait=off" % self.qmp_path]
            + list(options),
            stderr=self.errors,
        )
        for _ in range(600):
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(self.qmp_path)
                break
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        if self.process.poll() is not None:
            self.errors.seek(0)
            raise Failure("dragoman ended: " + self.errors.read())
        self.stream = self.socket.makefile("r")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.ask("quit")
            self.process.wait(60)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()

    def ask(self, command, **arguments):
        text = json.dumps({"execute": command, "arguments": arguments})
        self.socket.sendall(text.encode() + b"\n")
        while True:
            answer = json.loads(self.stream.readline())
            if "return" in answer or "error" in answer:
                return answer

    def monitor(self, line):
        return self.ask("human-monitor-command", **{"command-line": line})["return"]

    def keys(self, *names):
        for name in names:
            self.monitor("sendkey " + name)
            time.sleep(0.3)

    def type(self, text):
        self.keys(*(NAMED.get(c, c) for c in text))

    def text(self):
        """Rows of the text screen, from the card's memory."""
        found = []
        for line in self.monitor("xp /%dbx 0xb8000" % (2 * COLUMNS * ROWS)).splitlines():
            if ":" in line:
                found += [int(word, 16) for word in line.split(":")[1].split()]
        characters = "".join(chr(c) if 32 <= c < 127 else " " for c in found[::2])
        return [characters[COLUMNS * r : COLUMNS * (r + 1)] for r in range(ROWS)]

    def wait_for_text(self, what, seconds=240):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            rows = self.text()
            if any(what in row for row in rows):
                return rows
            time.sleep(0.3)
        self.picture("late")
        raise Failure("'%s' did not come; the screen:\n%s" % (what, "\n".join(self.text())))

    def picture(self, name):
        """Takes a screenshot, NAME.png to be looked at, and hands it out."""
        base = os.path.join(self.folder, name)
        self.ask("screendump", filename=base + ".png", format="png")
        self.ask("screendump", filename=base + ".ppm")
        picture = Picture(base + ".ppm")
        os.unlink(base + ".ppm")
        return picture

    def wait_for_picture(self, name, accept, seconds=240):
        limit = time.monotonic() + seconds
        while True:
            picture = self.picture(name)
            if accept(picture):
                return picture
            if time.monotonic() > limit:
                raise Failure("the picture %s.png is not as it should be" % name)
            time.sleep(0.5)


class Font:
    """Glyphs of characters, learnt where a text screen shows them."""

    def __init__(self):
        self.glyphs = {}

    def learn(self, rows, picture):
        width, height = picture.width // COLUMNS, picture.height // ROWS
        for r, row in enumerate(rows):
            for c, character in enumerate(row):
                if character != " ":
                    bits, _ = picture.cell(c * width, r * height, 8, height)
                    self.glyphs.setdefault(bits, character)

    def agree(self, picture, left, top, labels):
        """Whether these (row, column, text) can be on the frame buffer: each letter looks the same
        everywhere, different ones look different, and most look as they did in text mode (the video
        BIOS has other letters for cells that are nine dots wide). If so, learns how they look."""
        looks, same, other = {}, 0, 0
        for row, column, text in labels:
            for c, character in enumerate(text):
                if character == " ":
                    continue
                bits, _ = picture.cell(left + 8 * (column + c), top + 16 * row)
                if looks.setdefault(bits, character) != character:
                    return False
                if self.glyphs.get(bits) == character:
                    same += 1
                else:
                    other += 1
        if len(set(looks.values())) != len(looks) or same < 2 * other:
            return False
        self.glyphs.update(looks)
        return True

    def read(self, picture, left=0, top=0, columns=None, rows=None):
        """The text on a frame buffer whose first character has its corner there."""
        columns = columns or (picture.width - left) // 8
        rows = rows or (picture.height - top) // 16
        lines = []
        for r in range(rows):
            cells = [picture.cell(left + 8 * c, top + 16 * r)[0] for c in range(columns)]
            lines.append("".join(self.glyphs.get(cell, " ") for cell in cells))
        return lines
