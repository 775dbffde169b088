"""A loop's report as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millpool.report import WAIT_CAUSES, Report

#: Name, kind, help; samples are written in this order.
_FAMILIES = {
    "samples_total": ("counter", "Samples handed out."),
    "bytes_total": ("counter", "Bytes of them, by where they came from."),
    "batches_total": ("counter", "Batches handed out."),
    "skipped_samples_total": ("counter", "Samples left out because they could not be read."),
    "seconds_total": ("counter", "From the first request for a batch to the last delivery."),
    "wait_seconds_total": ("counter", "What the loop waited for."),
    "ceiling_samples_per_second": ("gauge", "What one stage alone would reach."),
}


def exposition(report: Report, labels: Mapping[str, str]) -> str:
    """Text format 0.0.4, for a textfile collector or a handler of one's own. Families begin with ``millpool_loader_``.

    Of what the daemon's own endpoint has, this is one process's part: its loop's waits, and its own stages.
    """
    lines = []
    for name, (kind, about) in _FAMILIES.items():
        lines += [f"# HELP millpool_loader_{name} {about}", f"# TYPE millpool_loader_{name} {kind}"]
        for own, value in _values(report, name):
            lines.append(f"millpool_loader_{name}{_braced({**labels, **own})} {value}")
    return "\n".join(lines) + "\n"


def _values(report: Report, family: str) -> Iterator[tuple[dict[str, str], float]]:
    match family:
        case "bytes_total":
            for origin in ("memory", "device", "source"):
                yield {"origin": origin}, getattr(report.tiers, origin).bytes
        case "wait_seconds_total":
            for cause in WAIT_CAUSES:
                yield {"cause": cause}, report.wait_seconds[cause]
        case "ceiling_samples_per_second":
            for stage in ("source", "device", "gather", "transform", "step"):
                ceiling: float | None = getattr(report.ceilings, stage)
                if ceiling is not None:
                    yield {"stage": stage}, ceiling
        case "skipped_samples_total":
            yield {}, report.skipped
        case _:
            yield {}, getattr(report, family.removesuffix("_total"))


def _braced(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
