"""Tables through ``millpool://``: pandas, pyarrow, Hugging Face datasets and zarr as their users call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet
import pytest
import zarr
from fsspec.registry import register_implementation

from harness.node import Node
from millpool.fsspec import MillpoolFileSystem

ROWS = 50_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    numbers = np.random.default_rng(1)
    columns = {"id": np.arange(ROWS), "score": numbers.random(ROWS), "name": [f"row {n}" for n in range(ROWS)]}
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def options(place: Path, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Storage options of a node over tables and an array."""
    register_implementation("millpool", MillpoolFileSystem, clobber=True)
    root = place / "tables"
    root.mkdir()
    for n in range(3):
        frame.to_parquet(root / f"{n}.parquet", row_group_size=5_000)
    frame.head(100).to_csv(root / "head.csv", index=False)
    frame.head(100).to_json(root / "head.jsonl", orient="records", lines=True)
    array = zarr.create_array(root / "array.zarr", shape=(64, 64), chunks=(8, 8), dtype="int64")
    array[:] = np.arange(64 * 64).reshape(64, 64)
    node = Node(place / "tables-bed", [str(root)])
    yield {"socket": node.socket}
    node.stop()


def test_pandas_reads_what_pandas_wrote(options: dict[str, Any], frame: pd.DataFrame) -> None:
    assert pd.read_parquet("millpool://tables/0.parquet", storage_options=options).equals(frame)
    some = pd.read_parquet("millpool://tables/1.parquet", storage_options=options, columns=["score"])
    assert some["score"].equals(frame["score"])
    head = pd.read_csv("millpool://tables/head.csv", storage_options=options)
    assert head["id"].tolist() == list(range(100))
    lines = pd.read_json("millpool://tables/head.jsonl", storage_options=options, lines=True)
    assert lines["name"].tolist() == frame["name"].head(100).tolist()


def test_pyarrow_reads_the_columns_and_rows_it_wants(options: dict[str, Any], frame: pd.DataFrame) -> None:
    fs = MillpoolFileSystem(**options)
    table = pyarrow.parquet.read_table("/tables/2.parquet", filesystem=fs, columns=["name"])
    assert table["name"].to_pylist() == frame["name"].tolist()
    data = pyarrow.dataset.dataset([f"/tables/{n}.parquet" for n in range(3)], filesystem=fs, format="parquet")
    assert data.count_rows() == 3 * ROWS
    found = data.to_table(filter=pyarrow.dataset.field("id") < 7, columns=["id"])
    assert sorted(found["id"].to_pylist()) == sorted(list(range(7)) * 3)


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_load_by_glob(options: dict[str, Any], streaming: bool, tmp_path: Path) -> None:
    how: dict[str, Any] = {"storage_options": options, "split": "train", "streaming": streaming}
    tables = datasets.load_dataset("parquet", data_files="millpool://tables/*.parquet", cache_dir=str(tmp_path), **how)
    rows = [row["id"] for row in tables] if streaming else tables["id"][:]
    assert list(rows) == list(range(ROWS)) * 3
    lines = datasets.load_dataset("json", data_files="millpool:///tables/head.jsonl", cache_dir=str(tmp_path), **how)
    assert [row["name"] for row in lines] == [f"row {n}" for n in range(100)]


def test_zarr_reads_its_chunks(options: dict[str, Any]) -> None:
    array = zarr.open_array("millpool://tables/array.zarr", mode="r", storage_options=options)
    assert np.array_equal(array[5:20, 30:], np.arange(64 * 64).reshape(64, 64)[5:20, 30:])
