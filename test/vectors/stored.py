"""What lies on disks and in shared memory: a segment, the key table and what is saved of it, a dataset version."""

import hashlib

from checksums import crc32c
from layout import Layout

BLOCK = 4096
PIECE = 4 << 20


def short_hash(data):
    return hashlib.sha256(data).digest()[:16]


IDENTITY = short_hash(b"s3\0https://s3.example\0images")
SEGMENT_ID = bytes(range(0x10, 0x20))
STRIPE_SET = bytes(range(0x60, 0x70))


def object_key(source_key, size, tag):
    return short_hash(IDENTITY + size.to_bytes(8, "little") + len(tag).to_bytes(2, "little") + tag + source_key)


def piece_key(key, piece):
    return key if piece == 0 else short_hash(key + piece.to_bytes(4, "little"))


def keys():
    key = object_key(b"train/a.png", 9437185, b'"5d41"')
    vector = Layout("keys").begin("keys")
    vector.raw("identity", IDENTITY, r"s3\0https://s3.example\0images")
    vector.raw("object key", key, 'train/a.png of 9437185 bytes, tag "5d41"')
    vector.raw("record key of piece 0", key)
    vector.raw("record key of piece 2", piece_key(key, 2))
    return vector


class Record:
    """As it is: `size` times the same byte."""

    codec = 0

    def __init__(self, name, piece, byte, size):
        self.key = piece_key(object_key(name, piece * PIECE + size, b'"5d41"'), piece)
        self.piece, self.byte, self.size, self.raw_size = piece, byte, size, size
        self.stored = bytes([byte]) * size
        self.alignment = BLOCK if size >= 2048 else 64
        self.offset = 0

    def payload(self, vector):
        vector.fill("bytes", self.byte, self.size)


class PackedRecord(Record):
    """One LZ4 block: `unit`, a match that repeats it up to the last five bytes, and these as they are."""

    codec = 1

    def __init__(self, name, unit, times):
        raw = unit * times
        match = len(raw) - len(unit) - 5
        more = match - 4 - 15
        assert len(unit) < 15 and more >= 0
        self.stored = bytes([len(unit) << 4 | 15]) + unit + len(unit).to_bytes(2, "little")
        self.stored += b"\xff" * (more // 255) + bytes([more % 255]) + bytes([5 << 4]) + raw[-5:]
        self.key = object_key(name, len(raw), b'"5d41"')
        self.piece, self.size, self.raw_size = 0, len(self.stored), len(raw)
        self.alignment = 64
        self.offset = 0

    def payload(self, vector):
        vector.raw("bytes", self.stored)


def record_entry(vector, record):
    vector.begin("record-entry").raw("key", record.key)
    vector.number("offset", 4, record.offset).number("stored length", 4, record.size)
    vector.number("raw length", 4, record.raw_size)
    vector.number("checksum", 4, crc32c(record.stored))
    vector.number("piece", 4, record.piece).number("codec", 1, record.codec).number("flags", 1, 0)
    vector.align(64)


def version_of(records):
    return 2 if any(record.codec for record in records) else 1


def extent(vector, number, written_at, records):
    """Payloads of 2 KiB and more come first."""
    start = vector.length
    records = sorted(records, key=lambda record: record.size < 2048)
    at = start + BLOCK
    for record in records:
        record.offset = at = (at + record.alignment - 1) // record.alignment * record.alignment
        at += record.size
    end = (at + BLOCK - 1) // BLOCK * BLOCK
    vector.begin("extent-header").raw("magic", b"MPEX").number("version", 2, version_of(records))
    vector.number("header blocks", 2, 1)
    vector.raw("segment id", SEGMENT_ID).raw("identity", IDENTITY)
    vector.number("extent number", 4, number).number("records", 4, len(records)).number("length", 4, end - start)
    vector.number("written at", 4, written_at).skip_to(start + 60)
    vector.number("header checksum", 4, 0)
    for record in records:
        record_entry(vector, record)
    vector.skip_to(start + BLOCK)
    vector.set(f"extent-header/{number}/header checksum", crc32c(vector.bytes(start)))
    for record in records:
        record.payload(vector.skip_to(record.offset).begin("payload"))
    vector.skip_to(end)


def segment():
    small = Record(b"train/small", 0, 0x11, 5)
    return segment_of("segment", [small, Record(b"train/large", 0, 0x22, 4100), Record(b"train/piece", 3, 0x33, 2048)])


def packed_segment():
    """The first extent has a record with a codec, and its version; the second has none."""
    packed = PackedRecord(b"train/labels", b"mill", 1200)
    large = Record(b"train/large", 0, 0x22, 4100)
    return segment_of("packed-segment", [packed, large, Record(b"train/piece", 3, 0x33, 2048)])


def segment_of(name, records):
    vector = Layout(name)
    extent(vector, 0, 1764000000, records[:2])
    extent(vector, 1, 1764000007, records[2:])
    data_end = vector.length
    for record in sorted(records, key=lambda record: record.key):
        record_entry(vector, record)
    footer_checksum = crc32c(vector.bytes(data_end))
    vector.align(BLOCK)
    start = vector.length
    vector.begin("segment-trailer").raw("magic", b"MPSG").number("version", 2, version_of(records))
    vector.skip_to(start + 8)
    vector.raw("segment id", SEGMENT_ID).raw("identity", IDENTITY).raw("stripe set", STRIPE_SET)
    vector.number("device", 4, 1).number("devices", 4, 3)
    vector.number("extents", 4, 2).number("records", 4, len(records))
    vector.number("payload bytes", 8, sum(record.size for record in records))
    vector.number("sealed at", 8, 1764000030).number("footer at", 4, data_end)
    vector.number("footer checksum", 4, footer_checksum)
    vector.number("saved bytes", 8, sum(record.raw_size - record.size for record in records)).skip_to(start + BLOCK - 4)
    vector.number("trailer checksum", 4, crc32c(vector.bytes(start)))
    return vector


BUCKETS = 64
BUCKET_BYTES = 128


def table_entry(vector, key, place, flags):
    segment_number, offset, length, checksum, generation = place
    vector.begin("table-entry").raw("key", key)
    vector.number("segment", 4, segment_number).number("offset", 4, offset // 64).number("stored length", 4, length)
    vector.number("checksum", 4, checksum).number("generation", 4, generation).number("flags", 4, flags)


def key_table():
    """Three records, each alone in the bucket that the first half of its key names. The last is compressed."""
    vector = Layout("key-table").begin("table-header")
    vector.raw("magic", b"MPKEYTAB").number("version", 8, 1).number("incarnation", 8, 0x0123456789ABCDEF)
    vector.number("buckets", 8, BUCKETS)
    vector.number("header checksum", 8, crc32c(vector.bytes())).skip_to(128)
    vector.number("retired", 8, 0).number("changes", 8, 1)
    zeros = crc32c(bytes(BUCKET_BYTES - 8))
    places = [
        (object_key(b"train/a", 5, b'"1"'), (3, 8192, 5, 0x89ABCDEF, 2), 1),
        (object_key(b"train/b", 9000, b'"2"'), (70000, 268431360, 9000, 0x01020304, 1), 3),
        (object_key(b"train/c", 9000, b'"3"'), (70000, 12288, 70, 0x05060708, 1), 5),
    ]
    bucket_of = {key: int.from_bytes(key[:8], "little") * BUCKETS >> 64 for key, _, _ in places}
    assert len(set(bucket_of.values())) == len(places)
    for key, place, flags in sorted(places, key=lambda each: bucket_of[each[0]]):
        start = 4096 + bucket_of[key] * BUCKET_BYTES
        vector.skip_to(start).begin("table-bucket").number("sequence", 4, 2).number("bucket checksum", 4, 0)
        path = f"{vector.struct}/bucket checksum"
        table_entry(vector, key, place, flags)
        vector.skip_to(start + BUCKET_BYTES)
        vector.set(path, crc32c(vector.bytes(start + 8)) ^ zeros)
    return vector.skip_to(4096 + BUCKETS * BUCKET_BYTES)


def saved_table():
    """Of two segments: where the first half of its key says, where the second does, and a compressed one."""
    segments = [
        (SEGMENT_ID, 28672, 1764000030123456789, 1764000100, (8930, 2, 9070)),
        (STRIPE_SET, 12288, 1764000031000000000, 0, (0, 1, 5)),
    ]
    records = [
        (object_key(b"train/a", 5, b'"1"'), 1, 8192, 0, 5, 0x89ABCDEF),
        (object_key(b"train/b", 9000, b'"2"'), 0, 12288, 1, 9000, 0x01020304),
        (object_key(b"train/c", 9000, b'"3"'), 0, 8192, 0, 70 | 1 << 31, 0x05060708),
    ]
    vector = Layout("saved-table").begin("saved-table-header").raw("magic", b"MPTIMAGE").number("version", 4, 2)
    vector.number("segments", 4, len(segments)).raw("stop", bytes(range(0x80, 0x90))).number("buckets", 8, BUCKETS)
    vector.number("records", 8, len(records)).number("list checksum", 4, 0)
    vector.skip_to(BLOCK - 4).number("header checksum", 4, 0)
    for name, length, changed_at, last_read, counts in segments:
        vector.begin("saved-segment").raw("segment id", name).raw("identity", IDENTITY).number("length", 8, length)
        vector.number("changed at", 8, changed_at).number("last read", 8, last_read)
        for field, value in zip(["saved bytes", "live records", "live bytes"], counts):
            vector.number(field, 8, value)
    vector.begin("saved-chunk").number("records", 4, len(records)).number("checksum", 4, 0)
    vector.align(BLOCK)
    records_at = vector.length
    for key, segment_index, offset, home, length, checksum in records:
        vector.begin("saved-record").raw("key", key).number("segment", 4, segment_index)
        vector.number("place", 4, offset // 64 | home << 31).number("stored length", 4, length)
        vector.number("checksum", 4, checksum)
    vector.set("saved-chunk/0/checksum", crc32c(vector.bytes(records_at)))
    vector.set("saved-table-header/0/list checksum", crc32c(vector.bytes(BLOCK)[: records_at - BLOCK]))
    vector.set("saved-table-header/0/header checksum", crc32c(vector.bytes()[: BLOCK - 4]))
    return vector


def dataset(version_of_format):
    """The third file's source key is not its path. Version 1 had two checksums over the whole."""
    files = [(b"a/1", 5, b'"e"', b"p/a/1"), (b"a/2", 7340032, b'"f"', b"p/a/2"), (b"b%FF", 0, b'"e"', b"p/b\xff")]
    root, prefix = b"/train", b"p/"
    version = hashlib.sha256()
    for path, size, tag, _ in files:
        version.update(len(path).to_bytes(4, "little") + path + size.to_bytes(8, "little"))
        version.update(len(tag).to_bytes(2, "little") + tag)
    suffix = "" if version_of_format > 1 else "-1"
    header = f"dataset-header{suffix}"
    vector = Layout(f"dataset-version{suffix}").begin(header)
    vector.raw("magic", b"MPDATSET").number("version", 4, version_of_format).skip_to(16)
    vector.number("files", 8, len(files)).number("total bytes", 8, sum(size for _, size, _, _ in files))
    vector.raw("dataset version", version.digest()).raw("identity", IDENTITY)
    vector.number("entries at", 8, 0).number("root length", 4, len(root)).number("prefix length", 4, len(prefix))
    if version_of_format > 1:
        vector.number("sums checksum", 4, 0).skip_to(128)
    else:
        vector.number("heap checksum", 4, 0).number("entries checksum", 4, 0).skip_to(128)
    vector.raw("root", root, root.decode()).raw("key prefix", prefix, prefix.decode()).skip_to(BLOCK - 4)
    vector.number("header checksum", 4, 0)
    heap_at = []
    for path, _, tag, key in files:
        heap_at.append(vector.length)
        own = b"" if key == prefix + path else key
        vector.begin("dataset-heap").number("path length", 4, len(path)).number("tag length", 2, len(tag))
        vector.number("key length", 2, len(own) or 65535).raw("path", path).raw("tag", tag).raw("source key", own)
    vector.align(32)
    entries_at = vector.length
    for (_, size, tag, key), at in zip(files, heap_at):
        vector.begin("dataset-entry").raw("object key", object_key(key, size, tag))
        vector.number("size", 8, size).number("heap at", 8, at)
    vector.set(f"{header}/0/entries at", entries_at)
    if version_of_format > 1:
        sums_at = vector.length
        for at in range(BLOCK, sums_at, BLOCK):
            block = vector.bytes(at)[: min(BLOCK, sums_at - at)]
            vector.begin("dataset-sum").number("block checksum", 4, crc32c(block))
        vector.set(f"{header}/0/sums checksum", crc32c(vector.bytes(sums_at)))
    else:
        vector.set(f"{header}/0/heap checksum", crc32c(vector.bytes(BLOCK)[: entries_at - BLOCK]))
        vector.set(f"{header}/0/entries checksum", crc32c(vector.bytes(entries_at)))
    vector.set(f"{header}/0/header checksum", crc32c(vector.bytes()[: BLOCK - 4]))
    return vector


def dataset_versions():
    yield dataset(2)
    yield dataset(1)


LAYOUTS = [keys, segment, packed_segment, key_table, saved_table, dataset_versions]
