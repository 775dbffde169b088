"""Keys and records of the metadata store and the coordination store: big endian, so that keys sort as their fields."""

import hashlib
import struct

from layout import Layout

ATTACHMENT = 7
PREFIX = b"train/cats/"
SHARDS = 1024
DIRECTORY_ID = hashlib.sha256(ATTACHMENT.to_bytes(4, "big") + PREFIX).digest()[:16]
HOME = int.from_bytes(DIRECTORY_ID[:4], "big") % SHARDS


def key(name, tag, shard=HOME):
    vector = Layout(f"metadata-{name}-key", "big").begin(f"{name}-key").number("tag", 1, tag)
    return vector.number("shard", 2, shard).raw("directory", DIRECTORY_ID)


def metadata_keys():
    yield key("directory", 1)
    yield key("partition", 2, shard=513).number("partition", 2, 258)
    entry = key("entry", 3, shard=513).number("partition", 2, 258).number("class", 1, 1)
    yield entry.raw("name", b"a%2Fb", "a%2Fb")
    yield key("run", 4).number("run", 2, 1).number("class", 1, 2).raw("name", b"sub", "sub")
    yield key("split", 5).number("parent", 2, 1).number("child", 2, 257)
    yield Layout("metadata-marked-key", "big").begin("marked-key").number("tag", 1, 6).number("attachment", 4, 7)


def real(vector, field, value):
    return vector.raw(field, struct.pack(">d", value), value)


def metadata_records():
    record = Layout("metadata-directory-record", "big").begin("directory-record").number("state", 1, 2)
    record.number("flags", 1, 3).number("generation", 4, 65539)
    real(record, "listed at", 1764000000123.5)
    real(record, "subtree listed at", 1763999999000.0)
    yield record.number("attachment", 4, ATTACHMENT).raw("prefix", PREFIX, PREFIX.decode())
    record = Layout("metadata-entry-record", "big").begin("entry-record").number("type", 1, 0)
    real(record, "size", 6442450945.0)
    real(record, "mtime", 1764000000250.0)
    yield record.raw("tag", b'"5d41"', '"5d41"')
    record = Layout("metadata-entry-record-packed", "big").begin("entry-record").number("type", 1, 2)
    real(record, "size", 5.0)
    real(record, "mtime", 1764000000250.0)
    yield record.raw("tag", bytes(range(16)), "\"000102030405060708090a0b0c0d0e0f\"")
    block = Layout("metadata-entry-block", "big").begin("entry-block").number("entries", 2, 2)
    names, value = [b"a.png", b"b.png"], b"\1" + bytes(16)
    start = 2 + 2 * len(names)
    for name in names:
        block.begin("entry-start").number("start", 2, start)
        start += 2 + len(name) + len(value)
    for name in names:
        block.begin("block-entry").number("length of the name", 2, len(name)).raw("name", name, name.decode())
        block.raw("record", value)
    yield block
    yield Layout("metadata-partition-record", "big").begin("partition-record").number("names", 4, 70001)


def partition_map():
    """Partitions 0, 1, 2 and 5: 5 is a child of 1."""
    record = Layout("partition-map", "big").begin("partition-map").number("version", 4, 3)
    record.number("bitmap length", 2, 1).raw("bitmap", b"\x27")
    for shard in [7, 519, 263, 1023]:
        record.begin("partition-shard").number("shard", 2, shard)
    return record


def listing_cursor():
    cursor = Layout("listing-cursor", "big").begin("listing-cursor").number("bits", 1, 3)
    return cursor.raw("directory", DIRECTORY_ID).number("generation", 4, 65539).raw("last", "sub/ä".encode(), "sub/ä")


def coordination_rows():
    """Of a store where lease 2 has the key `/b`, which the second change of revision 2 made."""
    row = Layout("coordination-leased-key", "big").begin("leased-key").number("lease", 8, 2)
    yield row.raw("key", b"/b", "/b")
    row = Layout("coordination-history-key", "big").begin("history-key").number("revision", 8, 2)
    yield row.number("index", 4, 1)
    yield Layout("coordination-number", "big").begin("number").number("number", 8, 2)


LAYOUTS = [metadata_keys, metadata_records, partition_map, listing_cursor, coordination_rows]
