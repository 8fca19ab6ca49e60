"""The check of all records by column says what the check of lists of records says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.preparation.splits import Split, check_split
from ecgmodels.data.storage.consistency import check_splits
from ecgmodels.data.storage.record_table import PARTS, SIDES
from ecgmodels.data.storage.record_table_writer import RecordTableBuilder
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import CLASSES, FEATURES, make_record

ENTRY = make_record(0).entry


@settings(max_examples=300, deadline=None)
@given(
    records=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["ann", "bob", "cyd", "dan", "eve"])),
        min_size=1,
        max_size=9,
    ),
    declared=st.lists(st.sets(st.integers(0, 8), min_size=2, max_size=3), max_size=3),
)
def test_the_check_of_the_table_agrees_with_that_of_the_split(
    records: list[tuple[int, str]], declared: list[set[int]]
) -> None:
    records = sorted(records, key=lambda record: record[0] == 2)
    names = [f"r{number}" for number in range(len(records))]
    split = Split(
        **{
            part: tuple(name for name, (own, _) in zip(names, records, strict=True) if own == side)
            for side, part in enumerate(SIDES)
        }
    )
    patient_of = {name: patient for name, (_, patient) in zip(names, records, strict=True)}
    shared = [[f"r{number}" for number in group] for group in declared]

    builder = RecordTableBuilder(CLASSES, FEATURES)
    for name, (side, patient) in zip(names, records, strict=True):
        builder.add(PARTS[side == 2], replace(ENTRY, id=name, patient_id=patient))
    order = np.arange(len(records))
    table = builder.build(order, order.astype(np.int32)).with_splits({"fixed": split})

    said = []
    for check in (
        lambda: check_split("fixed", split, patient_of, shared),
        lambda: check_splits(table, shared),
    ):
        try:
            check()
            said.append("")
        except DataError as error:
            said.append(f"{error} {error.hint}")
    assert said[0] == said[1]
