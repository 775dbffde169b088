"""CRC32C and XXH3-128 from their published definitions, slow and short. Nothing here is used outside of tests."""

WORD = (1 << 64) - 1


def crc32c(data, crc=0):
    """Castagnoli's polynomial, reflected (RFC 3720, appendix B.4)."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# The first 128 bytes of the default secret; inputs of up to 128 bytes use no more of it.
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b532ea371644897a20df94e3819ef46a9deacd8a8"
    "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea"
)
PRIME_1 = 0x9E3779B185EBCA87
PRIME_2 = 0xC2B2AE3D27D4EB4F
PRIME_4 = 0x85EBCA77C2B2AE63


def word_at(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def folded(data, at, secret_at):
    low, high = (word_at(data, at + n) ^ word_at(SECRET, secret_at + n) for n in (0, 8))
    product = low * high
    return product & WORD ^ product >> 64


def avalanche(x):
    x = (x ^ x >> 37) * 0x165667919E3779F9 & WORD
    return x ^ x >> 32


def xxh3_128(data):
    """For 17 to 128 bytes, with seed 0; the 16 bytes are the low half and then the high half, little endian."""
    length = len(data)
    assert 17 <= length <= 128
    low, high = length * PRIME_1 & WORD, 0
    for step in reversed(range((length - 1) // 32 + 1)):
        front, back = step * 16, length - step * 16 - 16
        sums = [word_at(data, at) + word_at(data, at + 8) & WORD for at in (front, back)]
        low = (low + folded(data, front, step * 32) & WORD) ^ sums[1]
        high = (high + folded(data, back, step * 32 + 16) & WORD) ^ sums[0]
    first = avalanche(low + high & WORD)
    second = -avalanche(low * PRIME_1 + high * PRIME_4 + length * PRIME_2 & WORD) & WORD
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")
