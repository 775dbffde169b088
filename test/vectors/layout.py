"""One byte layout of docs/formats.md being written field by field, with its rows for layouts.tsv."""


class Layout:
    """`order` is that of numbers of several bytes. Bytes that no field covers are 0."""

    def __init__(self, name, order="little"):
        self.name = name
        self.order = order
        self.length = 0
        self.rows = []
        self.counts = {}
        self.struct = ""

    def begin(self, struct):
        """The fields that follow are of one more `struct`."""
        number = self.counts.get(struct, 0)
        self.counts[struct] = number + 1
        self.struct = f"{struct}/{number}"
        return self

    def number(self, field, size, value):
        return self.raw(field, value.to_bytes(size, self.order), value)

    def raw(self, field, data, value="", shown=None):
        """`value`: what a reader makes of it, where that is a number or a text. `shown`: a shorter form of its hex."""
        self.rows.append((self.length, len(data), f"{self.struct}/{field}", shown or data.hex(), value, data))
        self.length += len(data)
        return self

    def fill(self, field, byte, count):
        return self.raw(field, bytes([byte]) * count, shown=f"{byte:02x}*{count}")

    def skip_to(self, at):
        assert at >= self.length
        self.length = at
        return self

    def align(self, to):
        return self.skip_to((self.length + to - 1) // to * to)

    def bytes(self, start=0):
        out = bytearray(self.length)
        for at, size, _, _, _, data in self.rows:
            out[at : at + size] = data
        return bytes(out[start:])

    def set(self, path, value):
        """Fills in a number that was written as 0, once it is known."""
        for index, (at, size, name, _, _, _) in enumerate(self.rows):
            if name == path:
                data = value.to_bytes(size, self.order)
                self.rows[index] = (at, size, name, data.hex(), value, data)
                return
        raise KeyError(path)

    def lines(self):
        yield f"layout\t{self.name}\t{self.length}"
        for at, size, path, shown, value, _ in self.rows:
            yield f"{at}\t{size}\t{path}\t{shown}\t{value}"
