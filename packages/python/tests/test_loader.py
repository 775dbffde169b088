"""Order, shares, state, errors and memory of loaders, over a real daemon."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

import millpool
from conftest import Bed
from harness.files import in_path_order, random_files
from harness.node import ROOT

Options = dict[str, Any]


def indices_of(loader: millpool.Loader, steps: int | None = None) -> list[list[int]]:
    """Of so many batches, or of all that are left."""
    found: list[list[int]] = []
    if steps == 0:
        return found
    for batch in loader:
        found.append(batch.indices)
        if len(found) == steps:
            break
    return found


def in_one(batches: list[list[int]]) -> list[int]:
    return [index for batch in batches for index in batch]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True, "seed": 3},
        {"shuffle": True, "prefetch": 1},
        {"shuffle": True, "prefetch": 7, "hints": False},
        {"batch_size": 1000},
    ],
)
def test_an_epoch_is_every_sample_once_with_its_own_bytes(bed: Bed, data: millpool.Dataset, options: Options) -> None:
    files = in_path_order(bed.files)
    with millpool.Loader(data, **{"batch_size": 7, **options}) as loader:
        for _epoch in range(3):
            seen: list[int] = []
            for batch in loader:
                for i, sample in enumerate(batch):
                    path, body = files[batch.index(i)]
                    assert (sample, batch.path(i)) == (body, f"{bed.root}/{path}")
                seen += batch.indices
            assert sorted(seen) == list(range(len(data)))
            assert (seen == sorted(seen)) is not options.get("shuffle", False)


def test_an_epoch_has_an_order_of_its_own_and_a_seed_too(data: millpool.Dataset) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return in_one(indices_of(millpool.Loader(data, 16, True, seed=seed, epoch=epoch)))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    loader = millpool.Loader(data, 16, True, seed=1)
    assert [in_one(indices_of(loader)) for _ in range(3)] == [order(1, epoch) for epoch in range(3)]


def test_ranks_share_each_step_of_what_one_process_would_read(data: millpool.Dataset) -> None:
    alone = indices_of(millpool.Loader(data, 24, True, seed=5))
    for world in (2, 3, 4):
        ranks = [
            indices_of(millpool.Loader(data, 24 // world, True, seed=5, rank=rank, world=world))
            for rank in range(world)
        ]
        assert [in_one(list(step)) for step in zip(*ranks, strict=True)] == alone


def test_steps_are_counted_before_they_are_taken(data: millpool.Dataset) -> None:
    choices: list[Options] = [{}, {"drop_last": True}, {"rank": 1, "world": 3}, {"batch_size": 300, "drop_last": True}]
    for options in choices:
        loader = millpool.Loader(data, **{"batch_size": 30, **options})
        assert len(loader) == len(indices_of(loader))
        assert loader.step == 0
        assert [loader.step for _batch in loader] == list(range(1, len(loader) + 1))


def test_the_order_is_what_the_shared_vectors_say() -> None:
    """The same file is read by packages/client."""
    from millpool._native import Order, Schedule

    cases = json.loads((ROOT / "test/vectors/loader-steps.json").read_text())
    assert len(cases) > 5
    for case in cases:
        order = Order(case["count"], case["seed"], case["epoch"], case["shuffle"])
        for rank, wanted in enumerate(case["ranks"]):
            schedule = Schedule(
                count=case["count"],
                global_batch=case["globalBatch"],
                world=len(case["ranks"]),
                rank=rank,
                drop_last=case["dropLast"],
                position=case["position"],
            )
            found = [[next_position, *order.samples(start, count)] for start, count, _, _, next_position in schedule]
            assert found == wanted, case


def test_a_loader_goes_on_where_its_state_says_in_any_world(data: millpool.Dataset) -> None:
    whole = in_one(indices_of(millpool.Loader(data, 12, True, seed=9)))
    for steps in (0, 1, 5, 16):
        loader = millpool.Loader(data, 12, True, seed=9)
        before = in_one(indices_of(loader, steps))
        state = json.loads(json.dumps(loader.state_dict()))
        assert state["position"] == 12 * steps == len(before)
        for world in (1, 2, 5):
            ranks = [millpool.Loader(data, rank=rank, world=world) for rank in range(world)]
            for rank in ranks:
                rank.load_state_dict(state)
            assert all(rank.state_dict() == state for rank in ranks)
            after = zip(*map(indices_of, ranks), strict=True)
            assert before + in_one([in_one(list(step)) for step in after]) == whole
            assert all(rank.state_dict() == {**state, "epoch": 1, "position": 0} for rank in ranks)


def test_set_epoch_as_torch_users_call_it(data: millpool.Dataset) -> None:
    def order(epoch: int) -> list[int]:
        return in_one(indices_of(millpool.Loader(data, 20, True, epoch=epoch)))

    loader = millpool.Loader(data, 20, True)
    for epoch in (0, 1, 5, 5, 2):
        loader.set_epoch(epoch)
        assert in_one(indices_of(loader)) == order(epoch)
    loader.set_epoch(7)
    begun = in_one(indices_of(loader, 3))
    other = millpool.Loader(data, 20, True)
    other.load_state_dict(loader.state_dict())
    other.set_epoch(7)
    assert begun + in_one(indices_of(other)) == order(7), "a resumed epoch goes on in the middle"
    indices_of(other, 2)
    other.set_epoch(9)
    assert in_one(indices_of(other)) == order(9), "one that was left is not gone on with"
    with pytest.raises(millpool.Invalid, match="epoch"):
        loader.set_epoch(-1)


def test_a_second_loop_over_a_loader_ends_the_first(data: millpool.Dataset) -> None:
    loader = millpool.Loader(data, 50)
    first = iter(loader)
    next(first)
    second = iter(loader)
    assert list(first) == []
    assert in_one([batch.indices for batch in second]) == list(range(50, 200))


def test_each_option_that_is_wrong_is_named(data: millpool.Dataset) -> None:
    wrong: dict[str, list[Any]] = {
        "batch_size": [0, -1, 1.5, "8", None],
        "seed": [-1, 2**60, "x"],
        "epoch": [-1, 0.5],
        "shuffle": [1, None],
        "drop_last": ["no"],
        "hints": ["off"],
        "prefetch": [0, "all", None],
        "on_error": ["ignore", None],
        "transform": [3],
        "collate_fn": ["list"],
        "num_threads": [0, 5000],
        "timeout": [0, -1, "soon"],
        "rank": [-1, 2],
    }
    for name, values in wrong.items():
        for value in values:
            options = {"world": 2, "rank": 0} if name == "rank" else {}
            with pytest.raises(millpool.Invalid, match=name):
                millpool.Loader(data, **{**options, name: value})
    with pytest.raises(millpool.Invalid, match="go together"):
        millpool.Loader(data, rank=1)
    with pytest.raises(millpool.Invalid, match="data is"):
        millpool.Loader([1, 2])  # type: ignore[arg-type]


def test_a_state_of_other_data_or_of_no_loader_is_refused(data: millpool.Dataset, sized: millpool.Dataset) -> None:
    loader = millpool.Loader(data, 10)
    state = loader.state_dict()
    with pytest.raises(millpool.Invalid, match="dataset version"):
        millpool.Loader(sized).load_state_dict(state)
    with pytest.raises(millpool.Invalid, match="position is 201; it must be at most 200"):
        loader.load_state_dict({**state, "position": 201})
    assert loader.state_dict() == state


def test_a_closed_loader_says_so_and_its_batches_stay(data: millpool.Dataset) -> None:
    loader = millpool.Loader(data, 10)
    iteration = iter(loader)
    batch = next(iteration)
    loader.close()
    loader.close()
    assert list(iteration) == []
    assert bytes(batch[0]) == data[0]
    with pytest.raises(millpool.Closed, match="loader was closed"):
        iter(loader)


def test_a_batch_that_is_kept_keeps_its_bytes(data: millpool.Dataset) -> None:
    loader = millpool.Loader(data, 10, True, seed=4)
    kept = list(loader)
    views = [batch[3] for batch in loader]
    for epoch, samples in ((0, [batch[3] for batch in kept]), (1, views)):
        order = indices_of(millpool.Loader(data, 10, True, seed=4, epoch=epoch))
        assert [bytes(sample) for sample in samples] == [data[batch[3]] for batch in order]


def test_a_ring_that_is_all_kept_is_an_error_and_letting_go_of_it_goes_on(sized: millpool.Dataset) -> None:
    """Two slots of 2 MiB."""
    mill = millpool.connect(sized.connection.socket, ring_bytes=4 << 20, timeout=1)
    data = mill.dataset("/sized")
    for prefetch in (1, 4):
        loader = millpool.Loader(data, 5, prefetch=prefetch)
        kept: list[millpool.Batch] = []
        with pytest.raises(millpool.Timeout, match=r"slot of the ring(?s:.*)with more"):
            kept.extend(loader)
        assert len(kept) == 2
        kept.clear()
        gc.collect()
        assert in_one(indices_of(loader)) == list(range(10, 40)), "and no sample was lost"


def test_samples_that_cannot_be_read(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(12, seed=8, size=100))
    data = millpool.connect(bed.socket).dataset(bed.root)
    gone = data.path(5)
    (bed.node.directory.parent / "own" / gone.removeprefix(bed.root + "/")).unlink()
    with pytest.raises(millpool.NotFound, match=gone):
        list(millpool.Loader(data, 4))
    skipping = millpool.Loader(data, 4, on_error="skip")
    assert indices_of(skipping) == [[0, 1, 2, 3], [4, 6, 7], [8, 9, 10, 11]]
    assert skipping.report().skipped == 1
    keeping = list(millpool.Loader(data, 4, on_error="keep"))
    assert [len(batch) for batch in keeping] == [4, 4, 4]
    assert isinstance(keeping[1].error(1), millpool.NotFound)
    with pytest.raises(millpool.NotFound):
        keeping[1][1]


def test_an_empty_dataset_has_no_batches(mill: millpool.Mill, bed: Bed) -> None:
    data = mill.dataset(bed.root, include="nothing/*")
    loader = millpool.Loader(data, 4, True)
    assert (len(loader), list(loader), list(loader)) == (0, [], [])
    assert loader.report().advice == "Nothing was read yet."
