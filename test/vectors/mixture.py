"""The mixtures of docs/formats.md, computed by a program that shares nothing with the core.

    python3 test/vectors/mixture.py > test/vectors/mixture.tsv
"""

from order import WORD, mix, sample_at

BLOCK = 10_000
DEAL = 0x6D69787475726500


def quotas(weights):
    total = 0.0
    for weight in weights:
        total += weight
    shares = [weight / total * BLOCK for weight in weights]
    whole = [int(share) for share in shares]
    ranked = sorted(range(len(shares)), key=lambda n: -(shares[n] % 1))
    for n in ranked[: BLOCK - sum(whole)]:
        whole[n] += 1
    return whole


def drawn(counts, weights, seed, position):
    block, place = divmod(position, BLOCK)
    slot = sample_at(BLOCK, seed ^ DEAL, block, place)
    for source, quota in enumerate(quotas(weights)):
        if slot < quota:
            break
        slot -= quota
    epoch, nth = divmod(block * quota + slot, counts[source])
    return source, sample_at(counts[source], mix(seed ^ mix(source + 1)), epoch, nth)


CASES = [
    ([1], [1.0], 0),
    ([10, 3], [0.5, 0.5], 7),
    ([1000, 200_000, 50], [0.7, 0.2, 0.1], 42),
    ([9, 9, 9], [1.0, 1.0, 1.0], WORD),
    ([1_281_167, 14_197_122], [2.0, 1.0], 1234),
    ([1 << 48, 5], [0.9999, 0.0001], 3),
]
POSITIONS = [0, 1, 2, 3, 777, 9_999, 10_000, 10_001, 123_456, 87_654_321, 1 << 40]

if __name__ == "__main__":
    print("# counts\tweights\tseed\tposition\tsource\tsample: the mixture of docs/formats.md, printed by mixture.py")
    for counts, weights, seed in CASES:
        for position in POSITIONS:
            texts = [",".join(map(str, counts)), ",".join(map(str, weights)), seed, position]
            print(*texts, *drawn(counts, weights, seed, position), sep="\t")
