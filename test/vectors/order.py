"""The order of docs/formats.md, computed by a program that shares nothing with the core.

    python3 test/vectors/order.py > test/vectors/order.tsv
"""

GOLDEN = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1
ROUNDS = 8
LEAST_HALF_BITS = 3


def mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & WORD
    return x ^ (x >> 31)


def round_keys(seed, epoch):
    rotated = (GOLDEN << 32 | GOLDEN >> 32) & WORD
    state = mix((seed + GOLDEN) & WORD) ^ mix((epoch + rotated) & WORD)
    return [mix((state + GOLDEN * (n + 1)) & WORD) for n in range(ROUNDS)]


def sample_at(n, seed, epoch, position):
    half = max(LEAST_HALF_BITS, ((n - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    keys = round_keys(seed, epoch)
    x = position
    while True:
        left, right = x >> half, x & mask
        for key in keys:
            left, right = right, left ^ (mix(right ^ key) & mask)
        x = left << half | right
        if x < n:
            return x


CASES = [
    (1, 0, 0, [0]),
    (2, 1, 0, [0, 1]),
    (5, 3, 2, [0, 1, 2, 3, 4]),
    (10, 7, 0, [0, 1, 3, 5, 7, 9]),
    (10, 7, 1, [0, 1, 9]),
    (64, 42, 0, [0, 1, 62, 63]),
    (65, 42, 0, [0, 1, 63, 64]),
    (1000, 0, 0, [0, 499, 500, 999]),
    (1000, WORD, WORD, [0, 499, 999]),
    (1281167, 1234, 89, [0, 1, 640583, 1281166]),
    (1 << 32, 5, 6, [0, 1, (1 << 32) - 1]),
    ((1 << 32) + 1, 5, 6, [0, 1, 1 << 32]),
    ((1 << 48) - 1, 9, 0, [0, 1, (1 << 48) - 2]),
    (1 << 48, 9, 0, [0, 1, (1 << 48) - 1]),
]

if __name__ == "__main__":
    print("# n\tseed\tepoch\tposition\tsample: the order of docs/formats.md, printed by order.py")
    for n, seed, epoch, positions in CASES:
        for position in positions:
            print(n, seed, epoch, position, sample_at(n, seed, epoch, position), sep="\t")
