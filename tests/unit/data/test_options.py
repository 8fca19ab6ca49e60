from __future__ import annotations

from typing import Any

import pytest

from ecgmodels.data import DATABASES, PrepareOptions
from ecgmodels.data.preparation.options import resolve
from ecgmodels.errors import DataError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_ms": (-1, 600)}, "window_ms is -1 before"),
        ({"window_ms": (0, 5)}, "fewer than two samples"),
        ({"rate_hz": 0}, "rate_hz is 0"),
        ({"filter_hz": (40, 0.5)}, "filter_hz is 40 to 0.5"),
        ({"filter_hz": (0.5, 64)}, "filter_hz reaches 64 Hz, half of rate_hz is 64 Hz"),
        ({"features": ("age", "rr_prevoius_s")}, "'rr_prevoius_s', which does not exist"),
        ({"features": ("age", "age")}, "one twice"),
        ({"edges": "reflect"}, "edges is 'reflect'"),
        ({"folds": 1}, "folds is 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        PrepareOptions(**options)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"leads": ("MLI",)}, "leads names 'MLI', which mitdb", "MLII"),
        ({"leads": ()}, "expected at least 1", "MLII"),
        ({"classes": ("N", "W")}, "classes names 'W'", "N, Q, S, V"),
        ({"classes": ("N",)}, "expected at least 2", "N, S, V, F, Q"),
        ({"mapping": "aami"}, "mapping names 'aami'", "de-chazal"),
        ({"split": "de-chazal-strikt"}, "split names 'de-chazal-strikt'", "de-chazal-strict"),
    ],
)
def test_names_the_database_does_not_have_are_refused_with_its_own(
    options: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        resolve(PrepareOptions(**options), DATABASES["mitdb"])
    assert hint in caught.value.hint


def test_resolving_writes_out_the_databases_customs() -> None:
    resolved = resolve(PrepareOptions(rate_hz=None), DATABASES["mitdb"])
    assert resolved.leads == ("MLII", "second")
    assert resolved.classes == ("N", "S", "V", "F")
    assert resolved.split == "de-chazal"
    assert resolved.rate_hz is None


def test_options_go_to_a_dictionary_and_back() -> None:
    options = PrepareOptions(window_ms=(250, 250), leads=("MLII",), features=("age",))
    assert PrepareOptions.from_dict(options.to_dict()) == options
    assert PrepareOptions(window_ms=(375, 625)) == PrepareOptions(window_ms=(375.0, 625.0))
