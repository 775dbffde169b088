"""millpool.torch.DataLoader against a real node."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

import millpool
import millpool.torch


def test_samples_of_one_size_are_one_tensor_that_is_not_copied(sized: millpool.Dataset) -> None:
    loader = millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=3)
    order = [i for batch in millpool.Loader(sized, batch_size=8, shuffle=True, seed=3) for i in batch.indices]
    seen = []
    for batch in loader:
        assert (batch.dtype, batch.shape[1]) == (torch.uint8, 1000)
        seen += [row.numpy().tobytes() for row in batch]
    assert seen == [sized[i] for i in order]


def test_samples_of_many_sizes_are_a_list(data: millpool.Dataset) -> None:
    [first, *_] = millpool.torch.DataLoader(data, batch_size=5)
    assert [tensor.numpy().tobytes() for tensor in first] == [data[i] for i in range(5)]


def test_what_transform_returns_is_collated_as_torch_would(data: millpool.Dataset) -> None:
    def size_of(view: memoryview, index: int) -> tuple[int, torch.Tensor]:
        return index, torch.tensor(float(len(view)))

    for indices, sizes in millpool.torch.DataLoader(data, batch_size=16, shuffle=True, seed=1, transform=size_of):
        assert sizes.dtype == torch.float32
        assert sizes.tolist() == [float(data.size(i)) for i in indices.tolist()]


def test_a_collate_function_gets_tensors_where_nothing_was_transformed(sized: millpool.Dataset) -> None:
    loader = millpool.torch.DataLoader(sized, batch_size=10, collate_fn=lambda each: torch.cat(each))
    assert [batch.shape for batch in loader] == [torch.Size([10_000])] * 4


def test_state_goes_on_in_another_loader(sized: millpool.Dataset) -> None:
    def batches(loader: millpool.torch.DataLoader) -> list[bytes]:
        return [batch.numpy().tobytes() for batch in loader]

    whole = batches(millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=5))
    stopped = millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=5)
    first = [batch.numpy().tobytes() for _, batch in zip(range(2), stopped, strict=False)]
    resumed = millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=5)
    resumed.load_state_dict(stopped.state_dict())
    assert first + batches(resumed) == whole


def test_the_state_is_saved_and_loaded_as_weights_are(sized: millpool.Dataset, tmp_path) -> None:
    loader = millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=5)
    next(iter(loader))
    torch.save({"loader": loader.state_dict()}, tmp_path / "saved")
    assert torch.load(tmp_path / "saved", weights_only=True)["loader"] == loader.state_dict()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_torchs_own_loader_reads_a_dataset(data: millpool.Dataset, workers: int, method: str) -> None:
    context = None if workers == 0 else method
    loader = DataLoader(data, batch_size=16, num_workers=workers, multiprocessing_context=context, collate_fn=list)
    assert [sample for batch in loader for sample in batch] == [data[i] for i in range(len(data))]


def test_a_planned_sampler_changes_no_order_and_tells_it(new_bed) -> None:
    rng = np.random.default_rng(7)
    bed = new_bed({f"f{i:04}": rng.bytes(3000) for i in range(1500)})
    # What was written a moment ago is not kept.
    time.sleep(2.5)
    mill = millpool.connect(bed.socket)
    data = mill.dataset(bed.root)
    torch.manual_seed(1)
    plain = list(RandomSampler(data))
    torch.manual_seed(1)
    sampler = millpool.torch.PlannedSampler(RandomSampler(data), data, ahead=500)
    assert len(sampler) == len(data)
    given = iter(sampler)
    first = next(given)
    # All that it looked ahead is told by now, and comes without being asked for.
    told = plain[:256]
    deadline = time.monotonic() + 60
    while not all(mill.stat(data.path(i)).cached for i in told):
        assert time.monotonic() < deadline
    assert [first, *given] == plain


def test_a_planned_sampler_looks_further_ahead_than_one_message_tells(data: millpool.Dataset) -> None:
    order = [i % len(data) for i in range(70_000)]
    assert list(millpool.torch.PlannedSampler(order, data, ahead=70_000)) == order


def test_a_planned_sampler_ends_no_loop_of_a_daemon_that_is_away(new_bed) -> None:
    bed = new_bed({f"f{i:04}": bytes(10) for i in range(1000)})
    data = millpool.connect(bed.socket).dataset(bed.root)
    bed.node.stop()
    assert list(millpool.torch.PlannedSampler(range(1000), data)) == list(range(1000))


def test_an_epoch_that_was_left_goes_on_where_its_last_batch_was_given(sized: millpool.Dataset) -> None:
    loader = millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=3)
    whole = [batch.tolist() for batch in loader]
    loader.set_epoch(0)
    given = [batch.tolist() for _, batch in zip(range(2), loader, strict=False)]
    position = loader.state_dict()["position"]
    assert (loader.step, len(loader)) == (2, len(whole))
    # The epoch under way is no other one.
    loader.set_epoch(0)
    assert loader.state_dict()["position"] == position
    assert given + [batch.tolist() for batch in loader] == whole


def test_a_planned_batch_sampler_gives_lists(data: millpool.Dataset) -> None:
    batches = [[3, 1, 2], [0, 5], [7]]
    loader = DataLoader(data, batch_sampler=millpool.torch.PlannedSampler(batches, data), collate_fn=list)
    assert [len(batch) for batch in loader] == [3, 2, 1]
    assert list(millpool.torch.PlannedSampler(batches, data)) == batches


def test_copies_to_a_gpu_are_right_and_ahead(sized: millpool.Dataset) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    order = [i for batch in millpool.Loader(sized, batch_size=8, shuffle=True, seed=3) for i in batch.indices]
    loader = millpool.torch.DataLoader(sized, batch_size=8, shuffle=True, seed=3, device="cuda")
    seen, states = [], []
    for batch in loader:
        assert batch.device.type == "cuda"
        seen += [row.cpu().numpy().tobytes() for row in batch]
        states.append(loader.state_dict()["position"])
    assert seen == [sized[i] for i in order]
    assert states == [8, 16, 24, 32, 40]
    assert torch.from_dlpack(next(iter(millpool.Loader(sized, batch_size=8)))).is_pinned()


def test_what_is_decoded_is_right_on_a_gpu(data: millpool.Dataset) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")

    def decoded(view: memoryview, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([len(view), view[0], view[-1]]), index

    loader = millpool.torch.DataLoader(data, batch_size=16, shuffle=True, seed=1, transform=decoded, device="cuda")
    for numbers, indices in loader:
        assert (numbers.device.type, indices.device.type) == ("cuda", "cuda")
        bodies = [data[i] for i in indices.tolist()]
        assert numbers.tolist() == [[len(body), body[0], body[-1]] for body in bodies]
