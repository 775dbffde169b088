"""What travels: flow frames, object lists, control messages."""

import json

from checksums import crc32c
from layout import Layout
from stored import IDENTITY, SEGMENT_ID, object_key

KINDS = ["hello", "welcome", "control", "control-reply", "descriptor", "descriptor-reply", "read", "piece", "end",
         "receipt", "cancel", "notice", "error"]


class Frame(Layout):
    """A whole flow frame; its payload's length is filled in at the end."""

    def __init__(self, kind, request, flags=0, name=None):
        super().__init__(f"flow-{name or kind}")
        self.begin("frame-header").number("payload length", 4, 0)
        self.number("kind", 1, KINDS.index(kind) + 1).number("flags", 1, flags).number("reserved", 2, 0)
        self.number("request", 8, request).begin(kind)

    def end(self):
        self.set("frame-header/0/payload length", self.length - 16)
        return self


def hello():
    frame = Frame("hello", 0)
    return frame.raw("magic", b"MILLFLOW").number("version", 2, 1).number("flags", 2, 1).number("pid", 4, 4711).end()


def welcome():
    frame = Frame("welcome", 0, flags=1).number("version", 2, 1).number("reserved", 2, 0)
    frame.number("pid", 4, 815).number("incarnation", 8, 0x0102030405060708)
    return frame.number("credit", 8, 64 << 20).end()


def control():
    return Frame("control", 5).number("timeout", 4, 30000).raw("body", b"\x81\xa1x\x01").end()


def control_reply():
    return Frame("control-reply", 5).raw("body", b"\x81\xa2ok\xc0").end()


def descriptors():
    subjects = [
        ("table", 1, b""),
        ("segment", 2, b"\x70\x11\x01\x00\x03\x00\x00\x00"),
        ("dataset", 3, bytes(range(32))),
        ("attachment", 4, b"\x0c\x00\x00\x00"),
        ("identity", 5, IDENTITY),
    ]
    for name, what, subject in subjects:
        frame = Frame("descriptor", 6 + what, name=f"descriptor-{name}").number("what", 1, what)
        yield frame.raw("subject", subject).end()


def descriptor_reply():
    frame = Frame("descriptor-reply", 7, flags=1).number("found", 1, 1)
    return frame.raw("segment id", SEGMENT_ID).raw("identity", IDENTITY).number("attachment", 4, 12).end()


OBJECTS = [(7, 9437185, b'"5d41"', b"train/a.png"), (65536, 513, b"f:66306:131:1764000000000000007:9", b"caf\xe9/b")]


def objects(vector):
    vector.begin("object-list").number("objects", 4, len(OBJECTS))
    for attachment, size, tag, key in OBJECTS:
        vector.begin("object").number("attachment", 4, attachment).number("size", 8, size)
        vector.number("tag length", 2, len(tag)).raw("tag", tag)
        vector.number("key length", 2, len(key)).raw("source key", key)
    return vector


def read():
    frame = Frame("read", 10).number("items", 4, 2)
    for index, piece, skip, length, flags in [(0, 2, 0, 1048577, 0), (1, 0, 13, 500, 1)]:
        frame.begin("read-item").number("object", 4, index).number("piece", 4, piece)
        frame.number("skip", 4, skip).number("length", 4, length).number("flags", 4, flags)
    return objects(frame).end()


def pieces():
    data = b"the bytes of the piece"
    frame = Frame("piece", 10).number("item", 4, 1).number("error", 2, 0).number("origin", 2, 1)
    yield frame.number("checksum", 4, crc32c(data)).raw("bytes", data).end()
    frame = Frame("piece", 10, name="piece-failed").number("item", 4, 0).number("error", 2, 7).number("origin", 2, 0)
    yield frame.number("checksum", 4, 0).raw("bytes", b"it changed", "it changed").end()


def receipt():
    verified = [object_key(b"train/a", 5, b'"1"'), object_key(b"train/b", 9000, b'"2"')]
    frame = Frame("receipt", 11).number("plan", 4, 3).number("position", 8, 1 << 33)
    frame.number("samples", 4, 256).number("hits", 4, 250).number("bytes", 8, 26214400)
    frame.number("verified", 4, len(verified)).raw("keys", b"".join(verified))
    return frame.number("segments", 4, 2).raw("numbers", b"\x08\x00\x00\x00\x70\x11\x01\x00").end()


def notices():
    yield Frame("notice", 0, name="notice-stopping").number("what", 1, 1).end()
    frame = Frame("notice", 0, name="notice-segments").number("what", 1, 2).number("segments", 4, 2)
    for number, generation in [(3, 9), (70000, 1)]:
        frame.begin("gone").number("segment", 4, number).number("generation", 4, generation)
    yield frame.end()


def empty_frames():
    yield Frame("end", 10).end()
    yield Frame("cancel", 10).end()


def error():
    return Frame("error", 0).number("code", 2, 13).raw("sentence", "café".encode(), "café").end()


def object_list():
    return objects(Layout("object-list"))


def packed(value):
    """MessagePack of what control messages are made of."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, str):
        text = value.encode()
        return (bytes([0xA0 + len(text)]) if len(text) < 32 else b"\xd9" + bytes([len(text)])) + text
    if isinstance(value, list):
        return bytes([0x90 + len(value)]) + b"".join(map(packed, value))
    parts = (packed(key) + packed(each) for key, each in value.items())
    return bytes([0x80 + len(value)]) + b"".join(parts)


MESSAGES = {
    "control-call": {
        "method": "list",
        "request": {"path": "/train/ä😀", "recursive": True, "cursor": None, "limit": 1000},
        "timeoutMs": 30000,
    },
    "control-ok": {"ok": {"jobs": []}},
    "control-error": {
        "error": {
            "code": "not-found",
            "message": "there is no /train/b",
            "remedy": "Look with millpool ls.",
            "path": "/train/b",
        }
    },
}


def messages():
    for name, value in MESSAGES.items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        yield Layout(name).begin("message").raw("body", packed(value), text)


def packed_entries():
    fields = ["/train", "ä😀", 1, 0, None, "", "b/c.jpg", 0, 1 << 45, 1700000000123, '"x"']
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return Layout("packed-entries").begin("message").raw("body", packed(fields), text)


def ws_messages():
    body = packed({"ok": None})
    for kind, name in enumerate(["call", "reply", "cancel"]):
        message = Layout(f"ws-{name}").begin("ws-message").number("kind", 1, kind).number("id", 4, 0x01020304)
        yield message.raw("body", b"" if name == "cancel" else body)


LAYOUTS = [hello, welcome, control, control_reply, descriptors, descriptor_reply, read, pieces, empty_frames, receipt,
           notices, error, object_list, messages, packed_entries, ws_messages]
