"""The challenges' scores against their definitions, published tables and own evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels import ConfigError
from ecgmodels.data import open_dataset
from ecgmodels.data.databases import cinc2017
from ecgmodels.data.databases.snomed import CODINGS
from ecgmodels.metrics.challenge_weights import NORMAL, weights
from ecgmodels.metrics.challenges import (
    CHALLENGES,
    Challenge,
    challenge_classes,
    challenge_of,
    challenge_score,
)
from ecgmodels.metrics.classification import classification_metrics, metrics_of
from tests.unit.data.made_datasets import make_records, write_dataset

WEIGHTED: tuple[Challenge, ...] = ("cinc2020", "cinc2021")
# Rows of evaluation-2021's weights.csv, in its order of columns.
ORDER_2021 = (
    "AF AFL BBB Brady CLBBB CRBBB IAVB IRBBB LAD LAnFB LPR LQRSV LQT NSIVCB NSR PAC PR PRWP PVC "
    "QAb RAD SA SB STach TAb TInv"
)
ROWS_2021 = {
    "AF": "1 .5 .475 .3 .475 .4 .3 .3 .35 .35 .3 .425 .45 .35 .25 .3375 .375 .425 .375 .4 .35 .3 "
    ".3 .375 .5 .5",
    "BBB": ".475 .475 1 .325 .475 .425 .325 .325 .375 .375 .325 .45 .475 .375 .275 .3625 .4 .45 .4 "
    ".375 .375 .325 .325 .4 .475 .475",
    "PAC": ".3375 .3375 .3625 .4625 .3625 .4375 .4625 .4625 .4875 .4875 .4625 .4125 .3875 .4875 "
    ".4125 1 .4625 .4125 .4625 .2375 .4875 .4625 .4625 .4625 .3375 .3375",
    "PRWP": ".425 .425 .45 .375 .45 .475 .375 .375 .425 .425 .375 .475 .475 .425 .325 .4125 .45 1 "
    ".45 .325 .425 .375 .375 .45 .425 .425",
    "QAb": ".4 .4 .375 .2 .375 .3 .2 .2 .25 .25 .2 .325 .35 .25 .15 .2375 .275 .325 .275 1 .25 .2 "
    ".2 .275 .4 .4",
}
# Of evaluation-2020's, where PAC, PVC and CRBBB each have a second row that is the same.
ORDER_2020 = (
    "IAVB AF AFL Brady CRBBB IRBBB LAnFB LAD LBBB LQRSV NSIVCB PR PAC PVC LPR LQT QAb RAD SA SB "
    "NSR STach TAb TInv"
)
ROWS_2020 = {
    "LBBB": ".325 .475 .475 .325 .425 .325 .375 .375 1 .45 .375 .4 .3625 .4 .325 .475 .375 .375 "
    ".325 .325 .275 .4 .475 .475",
    "NSR": ".45 .25 .25 .45 .35 .45 .4 .4 .275 .325 .4 .375 .4125 .375 .45 .3 .15 .4 .45 .45 1 "
    ".375 .25 .25",
}

diagnoses = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).random((12, 30)) < 0.15
)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGSEARCH_CACHE", str(tmp_path / "cache"))


def of(challenge: Challenge, *recordings: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Each recording's classes, by name: "AF PVC"."""
    names = challenge_classes(challenge)
    return np.array([[name in recording.split() for name in names] for recording in recordings])


def score(challenge: Challenge, has: Any, given: Any) -> float:
    return challenge_score(has, given, challenge_classes(challenge), challenge)


@pytest.mark.parametrize(
    ("challenge", "order", "rows"),
    [("cinc2021", ORDER_2021, ROWS_2021), ("cinc2020", ORDER_2020, ROWS_2020)],
)
def test_weights_are_the_published_ones(
    challenge: Challenge, order: str, rows: dict[str, str]
) -> None:
    names, table = weights(challenge)
    assert sorted(names) == sorted(order.split())
    assert (table == table.T).all()
    columns = [names.index(name) for name in order.split()]
    for name, row in rows.items():
        assert table[names.index(name), columns].tolist() == [float(cell) for cell in row.split()]


def test_the_scored_classes_are_those_of_the_databases_tasks() -> None:
    assert set(challenge_classes("cinc2020")) == set(CODINGS["scored-2020"].classes)
    assert set(challenge_classes("cinc2021")) == set(CODINGS["scored-2021"].classes)
    assert set(challenge_classes("cinc2017")) == set(cinc2017.CLASSES)


def test_a_small_case_by_hand() -> None:
    has = of("cinc2021", "AF", "NSR", "SB SA", "")
    given = of("cinc2021", "AFL", "NSR", "SB", "PVC")
    # AF for AFL 0.5 of 2; right 1; of SB and SA half is given, each 1 or 0.5; nothing to credit.
    observed = 0.5 / 2 + 1 + (1 + 0.5) / 2 + 0
    correct = 1 + 1 + (1 + 1 + 0.5 + 0.5) / 2
    inactive = 0.25 / 2 + 1 + (0.45 + 0.45) / 3
    expected = (observed - inactive) / (correct - inactive)
    assert score("cinc2021", has, given) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("challenge", "few_right", "most_right"),
    [
        ("cinc2020", 0.2716268044420888, 0.8422443594013225),
        ("cinc2021", 0.28680359508919595, 0.8371280433209771),
    ],
)
def test_scores_are_those_of_the_challenges_own_evaluation(
    challenge: Challenge, few_right: float, most_right: float
) -> None:
    """The numbers are what evaluation-2021's evaluate_model.py computes for these answers."""
    names = sorted(challenge_classes(challenge))
    recording, column = np.arange(40)[:, None], np.arange(len(names))
    has = (3 * recording + 5 * column + recording * column) % 9 == 0
    given = (4 * recording + 3 * column + recording**2) % 7 == 0
    assert challenge_score(has, given, names, challenge) == pytest.approx(few_right)
    given = has ^ ((recording + column) % 13 == 0)
    assert challenge_score(has, given, names, challenge) == pytest.approx(most_right)


@settings(deadline=None)
@given(challenge=st.sampled_from(WEIGHTED), has=diagnoses)
def test_right_answers_have_1_and_sinus_rhythm_throughout_has_0(
    challenge: Challenge, has: Any
) -> None:
    names = challenge_classes(challenge)
    has = has[:, : len(names)]
    normal = np.broadcast_to(np.array(names) == NORMAL, has.shape)
    assert score(challenge, has, normal) == 0
    scalable = has[:, np.array(names) != NORMAL].any()
    assert score(challenge, has, has) == (1 if scalable else 0)
    assert score(challenge, has, np.zeros_like(has)) <= 0


@settings(deadline=None)
@given(challenge=st.sampled_from(CHALLENGES), has=diagnoses, given=diagnoses, seed=st.integers(0))
def test_neither_order_nor_classes_that_are_not_scored_change_a_score(
    challenge: Challenge, has: Any, given: Any, seed: int
) -> None:
    names = [*challenge_classes(challenge), "STD", "STE"]
    has, given = has[:, : len(names)], given[:, : len(names)]
    expected = challenge_score(has[:, :-2], given[:, :-2], names[:-2], challenge)
    random = np.random.default_rng(seed)
    columns, rows = random.permutation(len(names)), random.permutation(len(has))
    found = challenge_score(
        has[rows][:, columns], given[rows][:, columns], [names[at] for at in columns], challenge
    )
    assert found == pytest.approx(expected)


def test_like_diagnoses_are_credited_more_than_unlike_ones() -> None:
    has = of("cinc2021", "AF", "NSR")
    like, unlike = (of("cinc2021", name, "NSR") for name in ("AFL", "SB"))
    assert score("cinc2021", has, like) > score("cinc2021", has, unlike) > 0


def test_2017_counts_noisy_recordings_as_confusions_and_not_as_a_class() -> None:
    classes = ("N", "A", "O", "~")
    # Rows are true: N 5 right and 1 called A, A 2 of 3, O 1 of 2, ~ called N once and right once.
    confusion = np.array([[5, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]])
    pairs = [
        (true, called)
        for true in range(4)
        for called in range(4)
        for _ in range(confusion[true, called])
    ]
    labels = np.array([true for true, _ in pairs])
    probabilities = np.eye(4)[[called for _, called in pairs]]
    found = metrics_of(labels, probabilities, classes, ("N", "A", "O"), "cinc2017")
    expected = (2 * 5 / (6 + 7) + 2 * 2 / (3 + 3) + 2 * 1 / (2 + 1)) / 3
    assert found["challenge_score"] == pytest.approx(expected)
    assert found["mean_f1"] == pytest.approx(expected)


def test_metrics_have_a_challenge_score_only_where_there_is_a_challenge() -> None:
    names = challenge_classes("cinc2020")
    has = of("cinc2020", "AF", "NSR", "SB PVC").astype(np.uint8)
    found = metrics_of(has, np.where(has, 0.5, 0.49), names, names, "cinc2020")
    assert found["challenge_score"] == 1
    assert "challenge_score" not in metrics_of(has, np.where(has, 0.9, 0.1), names, names)
    alone = classification_metrics(np.zeros(1, int), np.ones((1, 2)), ("N", "A"), ("N",))
    assert "challenge_score" not in alone


def test_a_class_that_is_missing_makes_another_score_and_is_refused() -> None:
    answers = np.zeros((1, 3), bool)
    with pytest.raises(ConfigError, match="cinc2017 needs the class ~"):
        challenge_score(answers, answers, ("N", "A", "O"), "cinc2017")
    with pytest.raises(ConfigError, match="no score of the challenge 'cinc2019'"):
        challenge_score(answers, answers, ("N", "A", "O"), "cinc2019")  # type: ignore[arg-type]


def test_a_task_is_a_challenges_when_all_its_classes_are_told_apart() -> None:
    assert challenge_of("cinc2017", "rhythm", ("~", "N", "A", "O")) == "cinc2017"
    assert challenge_of("cinc2017", "rhythm", ("N", "A", "O")) is None
    for task, challenge in (
        ("scored-2020", "cinc2020"),
        ("scored-2021", "cinc2021"),
        ("all", "cinc2021"),
    ):
        classes = CODINGS[task].classes
        assert challenge_of("cinc2020", task, classes) == challenge
        without = [name for name in classes if name != "PVC"]
        assert challenge_of("cinc2020", task, without) is None
    assert challenge_of("mitdb", "aami", ("N", "S", "V")) is None


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"score": "mean"}, "cinc2017"),
        ({"score": "max"}, "cinc2017"),
        ({"score": "segment"}, None),
        ({"score": "segment", "crop_s": None, "stride_s": None, "short": None}, "cinc2017"),
    ],
)
def test_a_datasets_challenge_counts_whole_recordings(
    options: dict[str, Any], expected: str | None, tmp_path: Path
) -> None:
    classes = ("N", "A", "O", "~")
    write_dataset(
        tmp_path,
        make_records(8, 4, classes=classes),
        classes=classes,
        options=options,
        database="cinc2017",
    )
    assert open_dataset(tmp_path).challenge == expected


@pytest.mark.usefixtures("own_cache")
def test_other_datasets_have_no_challenge(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_records(2, 1))
    assert open_dataset(tmp_path).challenge is None
