"""Saying in words what is in a dataset: what a reader of a paper on it would ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from ecgmodels.data.preparation.options import STRATIFIED
from ecgmodels.data.storage.contents import count_patients, parts_of
from ecgmodels.data.storage.dataset import Dataset, open_dataset
from ecgmodels.data.storage.manifest import Manifest
from ecgmodels.data.storage.record_table import SEXES, SIDES, RecordTable
from ecgmodels.data.storage.text import aligned, counted, listed, spread

_WIDEST = 100
"""Characters of a table's header; where it is wider, columns become rows."""
_GROUPS = 5
"""Groups of records that are written out."""


def describe_dataset(path: str | Path) -> str:
    """Return a dataset's description in plain text; opens no shard.

    Raises:
        DataError: manifest or table are not valid, or a shard is missing or of the wrong size.
    """
    dataset = open_dataset(path, verify=False)
    manifest, records = dataset.manifest, dataset.records
    blocks = [
        *_headline(dataset),
        *_signal(manifest, records),
        *_labels(manifest, records),
        "",
        *_tables(manifest, records),
        _people(records),
        _features(manifest, records),
        *_left_out(manifest),
        *_duplicates(manifest, records),
        *_splits(manifest),
        f"hash: {dataset.hash}",
    ]
    return "\n".join(blocks)


def _headline(dataset: Dataset) -> Iterator[str]:
    manifest, records, name = dataset.manifest, dataset.records, dataset.files.name
    title = f"{manifest.title} {manifest.database_version}".strip()
    yield f"{title} ({manifest.database}), {name}"
    split, seed = manifest.options.split, manifest.options.seed
    protocol = f"{split} (seed {seed})" if split == STRATIFIED else split or "none"
    yield f"task: {manifest.task}, split: {protocol}"
    settings = [
        f"{name} {_setting(value)}"
        for name, value in sorted(manifest.options.settings.items())
        if value not in (None, ())
    ]
    if settings:
        yield "settings: " + ", ".join(settings)
    hours = float(records.numbers("duration_s").sum()) / 3600
    people = (
        f"of {manifest.patient_count:,} patients"
        if manifest.patients_known
        else "(no patient ids: each recording counts as a patient)"
    )
    yield f"records: {manifest.record_count:,} {people}, {hours:,.1f} hours"


def _signal(manifest: Manifest, records: RecordTable) -> Iterator[str]:
    options = manifest.options
    names = pc.binary_join(records.batch.column("leads"), " ")
    yield f"leads: {', '.join(manifest.leads)}"
    yield f"  recorded as {spread(_occurrences(names), 'records')}"
    yield "segments: " + _policy(manifest)
    yield _lengths(manifest, records)
    rates = np.unique(records.numbers("rate_hz"), return_counts=True)
    recorded = {
        f"{rate:g} Hz": int(count)
        for rate, count in zip(*(column.tolist() for column in rates), strict=True)
    }
    yield f"recorded at {spread(recorded, 'records')}"
    band = options.filter_hz
    yield f"filter: {f'{band[0]:g} to {band[1]:g} Hz, zero phase' if band else 'none'}"
    if options.beats is not None:
        yield f"beats: {_beats(options.beats)}"


def _lengths(manifest: Manifest, records: RecordTable) -> str:
    lengths = sorted({shard.samples for shard in manifest.shards})
    shortest_s, longest_s = (samples / manifest.rate_hz for samples in (lengths[0], lengths[-1]))
    unit = f"at {manifest.rate_hz:g} Hz, int16 microvolts"
    if len(lengths) == 1:
        return f"length: {lengths[0]:,} samples ({longest_s:g} s) {unit}"
    counts = [
        f"{int(records.segments.sum(where=records.samples == samples, dtype=np.int64)):,} of "
        f"{samples:,}"
        for samples in lengths
    ]
    return (
        f"lengths: {len(lengths)}, from {lengths[0]:,} to {lengths[-1]:,} samples "
        f"({shortest_s:g} to {longest_s:g} s) {unit}\n  segments: {', '.join(counts)} samples"
    )


def _policy(manifest: Manifest) -> str:
    options = manifest.options
    if options.segments == "beats":
        before_ms, after_ms = options.window_ms or (0.0, 0.0)
        text = f"{before_ms:g} ms before to {after_ms:g} ms after each beat"
        text += ", windows over an end " + (
            "repeat the end sample" if options.edges == "pad" else "are dropped"
        )
        if options.skip_first_s:
            text += f", none from the first {options.skip_first_s:g} s of a record"
        return text
    if options.crop_s is None:
        return "whole recordings, filled with 0 up to the next of some lengths"
    text = f"crops of {options.crop_s:g} s, one every {options.stride_s:g} s"
    short = "filled with 0" if options.short == "pad" else "dropped"
    return f"{text}, shorter recordings are {short}"


def _beats(source: str) -> str:
    return "annotated" if source == "annotations" else f"found by the detector {source}"


def _labels(manifest: Manifest, records: RecordTable) -> Iterator[str]:
    if not manifest.classes:
        yield "labels: none, to predict on"
        return
    kind = "any number of classes" if manifest.multi_label else "one class"
    scored = ", ".join(manifest.scored_classes) or "none"
    if manifest.scored_classes == manifest.classes:
        scored = "all"
    yield f"labels: {kind} a segment, scored: {scored}; {_score(manifest.options.score)}"
    if manifest.unscored:
        by_reason: dict[str, list[str]] = {}
        for label, why in manifest.unscored.items():
            by_reason.setdefault(why, []).append(label)
        for why, labels in by_reason.items():
            yield f"  not scored, {why}: {', '.join(labels)}"
    if manifest.multi_label:
        total = sum(records.class_counts(name).astype(np.int64) for name in manifest.classes)
        without = int(records.segments.sum(where=np.asarray(total) == 0, dtype=np.int64))
        share = without / max(1, manifest.totals.segments)
        yield f"  without any class: {without:,} segments ({share:.1%})"


def _score(score: str) -> str:
    if score == "segment":
        return "each segment is answered for itself"
    return f"a record's answer is the {score} over its segments"


def _tables(manifest: Manifest, records: RecordTable) -> Iterator[str]:
    """Yield parts by classes in segments, and in records where that says more."""
    parts = parts_of(records, "fixed") if records.splits else {"test": records.is_test}
    segments: dict[str, dict[str, int]] = {}
    with_class: dict[str, dict[str, int]] = {}
    for part, chosen in parts.items():
        counts = {name: records.class_counts(name)[chosen] for name in records.classes}
        people = {"patients": count_patients(records, chosen)} if manifest.patients_known else {}
        segments[part] = {
            "records": int(chosen.sum()),
            **people,
            **{name: int(count.sum(dtype=np.int64)) for name, count in counts.items()},
            "segments": int(records.segments[chosen].sum(dtype=np.int64)),
        }
        with_class[part] = {name: int((count > 0).sum()) for name, count in counts.items()}
    yield _table("segments", segments) + "\n"
    if any(bool((records.class_counts(name) > 1).any()) for name in records.classes):
        yield _table("records with the class", with_class) + "\n"


def _table(title: str, counts: dict[str, dict[str, int]]) -> str:
    """Return a row a part, or a row a column where there are too many of those."""
    columns = list(next(iter(counts.values())))
    if len("  ".join([title, *columns])) <= _WIDEST:
        rows = [[part, *(f"{row[name]:,}" for name in columns)] for part, row in counts.items()]
        return aligned([title, *columns], rows)
    by_column = [[name, *(f"{row[name]:,}" for row in counts.values())] for name in columns]
    return aligned([title, *counts], by_column)


def _people(records: RecordTable) -> str:
    age = records.numbers("age")
    known = age[np.isfinite(age)]
    ages = "none known"
    if len(known):
        ages = (
            f"known of {len(known):,} records, {known.min():g} to {known.max():g}, "
            f"median {np.median(known):g}"
        )
    sex = records.numbers("sex")
    sexes = [f"{int((sex == code).sum()):,} {name}" for code, name in enumerate(SEXES)]
    return f"age in years: {ages}\nsex: {', '.join(sexes)}, {int((sex < 0).sum()):,} unknown"


def _features(manifest: Manifest, records: RecordTable) -> str:
    lines = []
    fixed = manifest.splits.get("fixed")
    for index, name in enumerate(manifest.features):
        missing = int(records.missing(name).sum(dtype=np.int64))
        causal = ", not causal" if name in manifest.non_causal_features else ""
        known = f"missing in {missing:,} segments" if missing else "always known"
        spread = ""
        if fixed is not None and missing < int(
            records.segments.sum()
        ):  # a sentinel such as -9999 shows here
            mean = fixed.normalisation.feature_mean[index]
            deviation = fixed.normalisation.feature_std[index]
            spread = f", mean {mean:.4g} and SD {deviation:.4g} in train"
        lines.append(f"  {name}: {known}{causal}{spread}")
    return "\n".join(["features:", *lines]) if lines else "features: none"


def _left_out(manifest: Manifest) -> Iterator[str]:
    totals = manifest.totals
    failed = [f"{record}: {why}" for record, why in manifest.failed.items()]
    yield counted("segments not cut", totals.rejected)
    yield listed("records that failed", failed)
    yield counted("records left out", Counter(manifest.excluded.values()))
    flat = sorted(totals.flat_leads.items(), key=lambda item: manifest.leads.index(item[0]))
    yield "records with a flat lead: " + (", ".join(f"{lead} {n:,}" for lead, n in flat) or "none")
    yield (
        f"padded segments: {totals.padded:,}, clipped samples: {totals.clipped_samples:,}, "
        f"invalid samples interpolated: {totals.bridged_samples:,} "
        f"(at most {manifest.options.max_bridged_s:g} s in a row)"
    )


def _duplicates(manifest: Manifest, records: RecordTable) -> Iterator[str]:
    groups = [" = ".join(group) for group in manifest.duplicates]
    yield listed("recordings that are copies of each other", groups, _GROUPS)
    if not groups or not records.splits:
        return
    row_of = {record: row for row, record in enumerate(records.ids.tolist())}
    for split in records.splits:
        apart = list(_on_several_sides(manifest, row_of, records.side(split)))
        if apart:
            yield listed(f"  of them on different sides of split '{split}'", apart, _GROUPS)


def _on_several_sides(
    manifest: Manifest, row_of: dict[str, int], side: NDArray[np.uint8]
) -> Iterator[str]:
    for group in manifest.duplicates:
        sides = [SIDES[side[row_of[record]]] for record in group]
        if len(set(sides)) > 1:
            yield ", ".join(
                f"{record} in {part}" for record, part in zip(group, sides, strict=True)
            )


def _splits(manifest: Manifest) -> Iterator[str]:
    if not manifest.splits:
        yield "splits: none"
        return
    yield "splits: " + ", ".join(manifest.splits)
    for name, split in manifest.splits.items():
        parts = [
            f"{part} {split.records[part]:,} records"
            + (f" of {split.patients[part]:,} patients" if manifest.patients_known else "")
            for part in SIDES[:2]
        ]
        if name != "fixed":
            yield f"  {name}: " + ", ".join(parts)
    for group in manifest.shared_patients[:_GROUPS]:
        yield (
            f"note: records {' and '.join(group)} are of one patient, and on both sides of the "
            "test border; the split is customary"
        )
    for note in manifest.notes:
        yield f"note: {note}"


def _occurrences(names: Any) -> dict[str, int]:
    counts = pc.value_counts(names)
    return dict(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True))


def _setting(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
