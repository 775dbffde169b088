"""A loop's report as Prometheus reads it, read by Prometheus's own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

import millpool
from millpool.report import WAIT_CAUSES


def values_of(text: str) -> dict[tuple[str, str], float]:
    """By name, and the label that tells it from the others of its family."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = sample.labels.get("cause") or sample.labels.get("origin") or sample.labels.get("stage") or ""
            found[sample.name, own] = sample.value
    return found


def test_it_says_what_the_report_says(data: millpool.Dataset) -> None:
    loader = millpool.Loader(data, 32, shuffle=True)
    for _ in loader:
        pass
    report, values = loader.report(), values_of(loader.metrics())
    assert values["millpool_loader_samples_total", ""] == report.samples == len(data)
    assert values["millpool_loader_batches_total", ""] == report.batches
    origins = [values["millpool_loader_bytes_total", origin] for origin in ("memory", "device", "source")]
    assert sum(origins) == report.bytes == data.nbytes
    assert [values["millpool_loader_wait_seconds_total", cause] for cause in WAIT_CAUSES] == pytest.approx(
        [report.wait_seconds[cause] for cause in WAIT_CAUSES]
    )
    assert values["millpool_loader_seconds_total", ""] == pytest.approx(report.seconds)


def test_labels_of_ones_own_are_added_and_escaped(data: millpool.Dataset) -> None:
    odd = 'a "job"\nof \\two lines'
    text = millpool.Loader(data, 32, rank=1, world=2).metrics(job=odd)
    labels = {tuple(sorted(s.labels.items())) for f in text_string_to_metric_families(text) for s in f.samples}
    assert all(dict(one)["job"] == odd for one in labels)
    assert all((dict(one)["path"], dict(one)["rank"]) == (data.root, "1") for one in labels)
