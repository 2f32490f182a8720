# Ordinary Python: objects, dictionaries, strings, lists, generators, integers of any size.
import sys


class Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key = key
        self.left = self.right = None

    def insert(self, key):
        node = self
        while True:
            if key < node.key:
                if node.left is None:
                    node.left = Node(key)
                    return
                node = node.left
            else:
                if node.right is None:
                    node.right = Node(key)
                    return
                node = node.right

    def walk(self):
        if self.left:
            yield from self.left.walk()
        yield self.key
        if self.right:
            yield from self.right.walk()


def numbers(count, seed=1):
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield seed


def tree(count):
    root = Node(0x40000000)
    for key in numbers(count):
        root.insert(key)
    return sum(i * key for i, key in enumerate(root.walk())) % 1000003


def queens(size):
    def place(row, columns, up, down):
        if row == size:
            return 1
        found = 0
        for column in range(size):
            if not (columns >> column & 1 or up >> (row + column) & 1
                    or down >> (row - column + size) & 1):
                found += place(row + 1, columns | 1 << column, up | 1 << (row + column),
                               down | 1 << (row - column + size))
        return found
    return place(0, 0, 0, 0)


def words(count):
    counts = {}
    for number in numbers(count, 7):
        word = "".join(chr(97 + (number >> shift) % 26) for shift in (4, 11, 19))
        counts[word] = counts.get(word, 0) + 1
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
    return ",".join("%s=%d" % item for item in best)


def digits_of_e(count):
    one = 10 ** count
    term = total = one
    i = 1
    while term:
        term //= i
        total += term
        i += 1
    return total % 10 ** 12


work = int(sys.argv[1])
for turn in range(2 * work):
    print(tree(3000), queens(6), words(5000), digits_of_e(600 + turn))
