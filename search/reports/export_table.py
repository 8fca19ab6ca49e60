"""An export, and the latencies of a front, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecgmodels.export.onnx import TOLERANCE
from search.reports.front_latency import MemberLatency
from search.reports.progress import format_value
from search.retraining.exporting import FILES, Export
from search.study.fronts import NO_FRONT

_METRICS = ("mean_f1", "macro_f1", "macro_auc")


def export_table(export: Export) -> str:
    """Return a row a kind, then what has to be known of them."""
    rows = [["kind", "file", "bytes", "p50 ms", "p99 ms", *_metrics(export)]]
    for kind, latency in export.latency.items():
        rows.append(
            [
                kind,
                *_file(export, kind),
                f"{latency.p50_ms:.3f}",
                f"{latency.p99_ms:.3f}",
                *_values(export, kind),
            ]
        )
    device = next(iter(export.latency.values())).device
    repeats = next(iter(export.latency.values())).repeats
    lines = [
        *_aligned(rows, left=2),
        "",
        f"latency of one segment on one thread of {device}, {repeats} repeats",
        f"largest difference of a logit between torch and onnxruntime: {export.difference:.1e} "
        f"(at most {TOLERANCE:g} is allowed)",
        *_of_validation(export),
    ]
    return "\n".join(lines)


def _metrics(export: Export) -> tuple[str, ...]:
    return _METRICS if export.validation else ()


def _file(export: Export, kind: str) -> tuple[str, str]:
    if kind == "eager":
        return export.weights.path.name, f"{export.weights.bytes:,}"
    if kind in export.files:
        return FILES[kind], f"{export.files[kind].bytes:,}"
    return "-", "-"


def _values(export: Export, kind: str) -> list[str]:
    if export.validation is None:
        return []
    metrics: Mapping[str, float] = {}
    if kind in export.validation.evaluations:
        metrics = export.validation.evaluations[kind].metrics
    elif kind == "eager":  # as the training measured it
        metrics = export.card.get("validation", {}).get("metrics", {})
    return [f"{metrics[name]:.4f}" if name in metrics else "-" for name in _metrics(export)]


def _of_validation(export: Export) -> list[str]:
    validation = export.validation
    if validation is None:
        if "int8" not in export.files:
            return []
        return ["what int8 changes is not measured: give the model's dataset with --dataset"]
    evaluation = validation.evaluations["onnx"]
    lines = [
        f"metrics of {evaluation.part}, {evaluation.segments:,} segments one at a time; eager as "
        "the card has it"
    ]
    if "int8" in validation.evaluations:
        rounded = validation.evaluations["int8"].metrics
        changes = ", ".join(
            f"{name} {rounded[name] - evaluation.metrics[name]:+.4f}" for name in _METRICS
        )
        lines.append(
            f"int8 changes {changes}, and a probability by at most {validation.largest_change:.4f}"
        )
    if validation.padded_segments:
        lines.append(
            f"{validation.padded_segments:,} segments are filled up: exported files have no mask "
            "and look at the filling"
        )
    return lines


def latency_table(members: Sequence[MemberLatency]) -> str:
    """Return a row a member of the front, smallest first."""
    if not members:
        return f"the front is empty: {NO_FRONT}"
    kinds = list(members[0].latency)
    header = ["trial", "parameters", "macs"]
    header += [f"{kind} {percentile}" for kind in kinds for percentile in ("p50", "p99")]
    rows = [[*_of_member(member), *_percentiles(member)] for member in members]
    measured = members[0].latency[kinds[0]]
    return "\n".join(
        [
            *_aligned([header, *rows], left=0),
            "",
            f"ms for one segment on one thread of {measured.device}, {measured.repeats} repeats, "
            "of networks with random weights (the time does not depend on them)",
        ]
    )


def _of_member(member: MemberLatency) -> list[str]:
    return [str(member.trial), format_value(member.parameters), format_value(member.macs)]


def _percentiles(member: MemberLatency) -> list[str]:
    latencies = member.latency.values()
    return [f"{ms:.3f}" for each in latencies for ms in (each.p50_ms, each.p99_ms)]


def _aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Pad every column; the first `left` begin at the left, the others end at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
