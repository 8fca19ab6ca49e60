"""The scores that PhysioNet/CinC Challenges ranked their entries by.

2017: the mean F1 of normal rhythm, atrial fibrillation and other rhythm, where recordings too noisy
to tell count as confusions (Clifford et al., Computing in Cardiology 44, 2017).

2020 and 2021: accuracy that credits what is like the true diagnosis, too (Perez Alday et al.,
Physiol Meas 41(12), 2020; Reyna et al., Computing in Cardiology 48, 2021). A recording
with the diagnoses x, for which y were given, adds the sum of w[i, j] over i in x and j in y,
divided by how many diagnoses are in x or y; w is 1 for the same diagnosis and at most 1/2 for
another (`challenge_weights`). The sum over the recordings is scaled so that giving every recording
its own diagnoses has 1, and giving all of them sinus rhythm has 0. It may be negative.

The challenges were decided on hidden recordings, by decisions of which many entries had chosen the
thresholds: a score on other recordings, at one threshold, is no place in their rankings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ecgmodels.errors import ConfigError
from ecgmodels.metrics.challenge_weights import DISTANCES, NORMAL, weights

Challenge = Literal["cinc2017", "cinc2020", "cinc2021"]
CHALLENGES: tuple[Challenge, ...] = get_args(Challenge)

Decisions = npt.NDArray[np.bool_]
"""bool [recording, class]"""

_NOISE = "~"
_RHYTHMS = ("N", "A", "O")
"""Normal sinus rhythm, atrial fibrillation, another rhythm; what 2017 averaged over."""

# By database and task, as `ecgmodels.data.databases` names them. Of the task with every code, those
# that were scored in 2021 are looked at.
_OF_TASK: dict[tuple[str, str], Challenge] = {
    ("cinc2017", "rhythm"): "cinc2017",
    ("cinc2020", "scored-2020"): "cinc2020",
    ("cinc2020", "scored-2021"): "cinc2021",
    ("cinc2020", "all"): "cinc2021",
}


def challenge_classes(challenge: Challenge) -> tuple[str, ...]:
    """Return the classes that labels and answers must tell apart for a challenge's score."""
    return (*_RHYTHMS, _NOISE) if challenge == "cinc2017" else tuple(DISTANCES[challenge])


def challenge_of(database: str, task: str, classes: Sequence[str]) -> Challenge | None:
    """Return the challenge that was decided on this task.

    None where there is none, or where a class is missing: a recording with a diagnosis that was
    left out would be scored as if it did not have it, which is another score.
    """
    challenge = _OF_TASK.get((database, task))
    if challenge is None or not set(challenge_classes(challenge)) <= set(classes):
        return None
    return challenge


def challenge_score(
    has: Decisions, given: Decisions, classes: Sequence[str], challenge: Challenge
) -> float:
    """Return the score of a challenge.

    Args:
        has: bool [recording, class], the diagnoses.
        given: bool [recording, class], the answers; in 2017 one each.
        classes: names; the challenge's among them, in any order. Others are not looked at.

    Returns:
        1 where every answer is right. Of 2020 and 2021 it is 0 where nothing can be scaled: no
        recording has a scored diagnosis other than sinus rhythm.

    Raises:
        ConfigError: there is no such challenge, or one of its classes is missing.
    """
    if challenge not in CHALLENGES:
        raise ConfigError(
            f"there is no score of the challenge '{challenge}'",
            hint=f"use one of {', '.join(CHALLENGES)}",
        )
    missing = [name for name in challenge_classes(challenge) if name not in classes]
    if missing:
        raise ConfigError(
            f"the score of {challenge} needs the class{'es' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}",
            hint="prepare the data with all classes of the challenge's task",
        )
    if challenge == "cinc2017":
        return _mean_f1(*_columns(has, given, classes, _RHYTHMS))
    names, table = weights(challenge)
    own, answers = _columns(has, given, classes, names)
    normal = np.zeros_like(own)
    normal[:, names.index(NORMAL)] = True
    observed, correct, inactive = (_credit(own, answer, table) for answer in (answers, own, normal))
    return (observed - inactive) / (correct - inactive) if correct != inactive else 0.0


def _columns(
    has: Decisions, given: Decisions, classes: Sequence[str], names: Sequence[str]
) -> tuple[Decisions, Decisions]:
    columns = [list(classes).index(name) for name in names]
    return has[:, columns], given[:, columns]


def _mean_f1(has: Decisions, given: Decisions) -> float:
    """F1 of a class is 2 n / (recordings that have it + recordings it was given to), n being both.

    A class that no recording has and none was given has 0.
    """
    both = 2 * (has & given).sum(axis=0)
    return float(np.mean(both / np.maximum(has.sum(axis=0) + given.sum(axis=0), 1)))


def _credit(has: Decisions, given: Decisions, table: npt.NDArray[Any]) -> float:
    """Return the sum over the recordings before it is scaled."""
    credit = ((has @ table) * given).sum(axis=1)
    return float((credit / np.maximum((has | given).sum(axis=1), 1)).sum())
