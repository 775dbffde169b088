"""Several datasets as one stream."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpool
from conftest import Bed
from harness.files import random_files
from millpool._native import MixtureOrder

VECTORS = Path(__file__).parents[3] / "test/vectors/mixture.tsv"


@pytest.fixture(scope="module")
def two(bed: Bed) -> list[millpool.Dataset]:
    """Of one folder, by name: some fifty files and all two hundred."""
    mill = millpool.connect(bed.socket)
    few = mill.dataset(bed.root, include="**/*1*")
    assert 10 < len(few) < 200
    return [few, mill.dataset(bed.root)]


def numbers_of(loader: millpool.Loader) -> list[int]:
    return [number for batch in loader for number in batch.indices]


def test_the_order_is_that_of_the_core() -> None:
    seen = 0
    for line in VECTORS.read_text().splitlines():
        if line.startswith("#"):
            continue
        counts, weights, seed, position, source, sample = line.split("\t")
        sizes = list(map(int, counts.split(",")))
        order = MixtureOrder(sizes, list(map(float, weights.split(","))), int(seed), True)
        [number] = order.samples(int(position), 1)
        assert number == sum(sizes[: int(source)]) + int(sample), line
        seen += 1
    assert seen > 50


def test_shares_are_exact_and_every_dataset_gives_its_own_epochs(two: list[millpool.Dataset]) -> None:
    few, every = two
    mixture = millpool.Mixture(two, [0.5, 0.5])
    order = mixture.order(seed=3, epoch=0, shuffle=True)
    drawn = Counter(mixture.source(number) for number in order.samples(0, 10_000))
    assert sum(times for (source, _), times in drawn.items() if source == 0) == 5_000
    for source, data in enumerate((few, every)):
        times = [drawn[source, i] for i in range(len(data))]
        assert max(times) - min(times) <= 1, "each sample as often as any other, to the last epoch under way"


def test_numbers_are_told_apart_by_their_datasets(two: list[millpool.Dataset]) -> None:
    mixture = millpool.Mixture(two, [1, 2])
    samples = mixture.order(seed=4, epoch=0, shuffle=True).samples(50, 1000)
    apart: list[list[int]] = [[], []]
    for number in samples:
        source, sample = mixture.source(number)
        apart[source].append(sample)
    assert [list(each) for each in mixture.file.by_source(samples)] == apart


def test_hints_beyond_what_one_message_takes_are_left_for_the_next(two: list[millpool.Dataset]) -> None:
    _, every = two
    indices = [i % len(every) for i in range(70_000)]
    left = every.hint(indices)
    assert 70_000 - 65_536 <= len(left) <= 70_000
    assert left == indices[70_000 - len(left) :]


def test_a_loader_gives_the_bytes_of_each(two: list[millpool.Dataset]) -> None:
    mixture = millpool.Mixture(two, [3, 1])
    loader = millpool.Loader(mixture, 32, shuffle=True, seed=5)
    seen = 0
    for batch in loader:
        for place, view in enumerate(batch):
            source, index = mixture.source(batch.index(place))
            assert bytes(view) == two[source][index]
            assert batch.path(place) == two[source].path(index)
            seen += 1
    assert seen == len(mixture) == len(two[0]) + len(two[1])
    assert loader.report().samples == seen


def test_it_resumes_exactly_in_another_world(two: list[millpool.Dataset]) -> None:
    mixture = millpool.Mixture(two, [0.3, 0.7])
    whole = millpool.Loader(mixture, 12, shuffle=True, seed=9)
    first, second = numbers_of(whole), numbers_of(whole)
    stopped = millpool.Loader(mixture, 12, shuffle=True, seed=9)
    read = [number for _, batch in zip(range(5), stopped, strict=False) for number in batch.indices]
    state = stopped.state_dict()
    assert read == first[:60]
    ranks = []
    for rank in range(3):
        loader = millpool.Loader(mixture, 4, rank=rank, world=3)
        loader.load_state_dict(state)
        ranks.append([[list(batch.indices) for batch in loader] for _ in range(2)])
    rest, after = (
        [number for step in zip(*(rank[epoch] for rank in ranks), strict=True) for part in step for number in part]
        for epoch in range(2)
    )
    assert (rest, after) == (first[60:], second)
    assert first != second


def test_a_state_of_other_datasets_or_weights_is_refused(two: list[millpool.Dataset]) -> None:
    state = millpool.Loader(millpool.Mixture(two, [1, 2]), 8).state_dict()
    assert [one["weight"] for one in state["datasets"]] == [1.0, 2.0]
    for other in (millpool.Mixture(two, [1, 3]), millpool.Mixture(two[::-1], [1, 2]), two[0]):
        with pytest.raises(millpool.Invalid, match="this loader reads"):
            millpool.Loader(other, 8).load_state_dict(state)
    many = millpool.Mixture([two[0]] * 40)
    state = millpool.Loader(many, 8).state_dict()
    assert len(str(state)) < 1000
    millpool.Loader(many, 8).load_state_dict(state)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, 1e-9]])
def test_weights_that_make_no_mixture_are_refused(two: list[millpool.Dataset], weights: list[float]) -> None:
    with pytest.raises(millpool.Invalid):
        millpool.Mixture(two, weights)
    with pytest.raises(millpool.Invalid):
        millpool.Mixture([])


def test_what_comes_next_is_fetched_ahead(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(300, seed=8))
    # What was written a moment ago is not kept.
    time.sleep(2.5)
    mill = millpool.connect(bed.socket)
    data: list[Any] = [mill.dataset(bed.root, include="**/*1*"), mill.dataset(bed.root, include="**/*2*")]
    mixture = millpool.Mixture(data)
    loader = millpool.Loader(mixture, 4, shuffle=True, seed=1, prefetch=1)
    next(iter(loader))
    wanted = {mixture.path(number) for number in mixture.order(1, 0, True).samples(0, len(mixture))}
    deadline = time.monotonic() + 60
    while not all(mill.stat(path).cached for path in wanted):
        assert time.monotonic() < deadline, "all of it is told, and comes though nobody asks for it"


def test_a_mixture_is_read_on_from_a_daemon_that_was_restarted(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(300, seed=9))
    with millpool.connect(bed.socket, timeout=60) as mill:
        data: list[Any] = [mill.dataset(bed.root, include=f"**/*{n}*") for n in (1, 2)]
        loader = millpool.Loader(millpool.Mixture(data), 4, shuffle=True, seed=1, prefetch=1)
        wanted = [batch.indices for batch in loader]
        loader.set_epoch(0)
        seen = []
        for batch in loader:
            seen.append(batch.indices)
            if len(seen) == 3:
                bed.node.stop()
                bed.node.start()
        assert seen == wanted


def test_a_mixture_whose_daemon_stays_away_says_so(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(100, seed=9))
    with millpool.connect(bed.socket, timeout=2) as mill:
        data = mill.dataset(bed.root)
        loader = millpool.Loader(millpool.Mixture([data, data], [1, 1]), batch_size=8, shuffle=True, prefetch=1)
        batches = iter(loader)
        next(batches).release()
        bed.node.stop()
        with pytest.raises(millpool.errors.Unreachable, match=bed.socket):
            list(batches)
        # What was not given is read when the daemon is there again.
        assert loader.state_dict()["position"] < len(loader) * 8
