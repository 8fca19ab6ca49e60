"""Searches of other packages, in an environment that has them and nothing of this project.

Started by search_peers.py, which trains for it; one JSON value a line. It is told its task first.
Then it says `{"train": parameters}`, is told (accuracy, log10 parameters) after every epoch of that
training in full, and says `{"spent": [first, last]}`: which of those epochs its search ran.

What is known of the packages, from their source:

moasha          Syne Tune 0.16, `MOASHA`: parameters drawn by chance, asynchronous halving by
                non-dominated rank with an epsilon net. A trial that is stopped is never promoted.
neps_hyperband  NePS 0.17, "mo_hyperband": parameters drawn by chance, Hyperband's brackets by
                non-dominated rank with an epsilon net; promotions go on from their checkpoint.
neps_primo      NePS 0.17, "primo" without priors: its own MOASHA until as many full trainings are
                spent as there are parameters, then a Gaussian process on full trainings, of one
                weighted sum of the objectives whose weights are drawn once.

Their spaces are not define-by-run: conditional parameters are there always, and do nothing where
their condition is not met. Objectives are the error and a tenth of log10 of the parameters, which
span about as much of their axes. What is not finite is an error of 1.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

ETA = 3
_ANSWERS = sys.stdout

Flat = dict[str, Any]
Result = tuple[float, float]


@dataclass(frozen=True)
class Task:
    """What is searched, and for how long."""

    peer: str
    seed: int
    budget_epochs: int
    max_epochs: int
    space: list[dict[str, Any]]
    """name, kind (float, int, choice), low, high, log; a choice is its number."""

    def train(self, flat: Flat) -> list[Result]:
        """Return the result after every epoch of a training in full."""
        # numpy's numbers cannot be written down as they are
        _say({"train": {name: getattr(v, "item", lambda v=v: v)() for name, v in flat.items()}})
        return [(accuracy, size) for accuracy, size in json.loads(sys.stdin.readline())]


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), file=_ANSWERS, flush=True)


def _objectives(result: Result) -> list[float]:
    accuracy, log_size = result
    return [1.0 - accuracy if math.isfinite(accuracy) else 1.0, log_size / 10.0]


def moasha(task: Task) -> None:
    from syne_tune import config_space as domains
    from syne_tune.backend.trial_status import Trial
    from syne_tune.optimizer.scheduler import SchedulerDecision
    from syne_tune.optimizer.schedulers.multiobjective import non_dominated_priority
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    non_dominated_priority.pareto_efficient = _undominated

    def domain(parameter: dict[str, Any]) -> Any:
        whole, log = parameter["kind"] != "float", parameter["log"]
        if whole:
            drawn = domains.lograndint if log else domains.randint
            return drawn(int(parameter["low"]), int(parameter["high"]))
        drawn = domains.loguniform if log else domains.uniform
        return drawn(parameter["low"], parameter["high"])

    scheduler = MOASHA(
        {parameter["name"]: domain(parameter) for parameter in task.space},
        metrics=["error", "size"],
        time_attr="epoch",
        max_t=task.max_epochs,
        reduction_factor=ETA,
        random_seed=task.seed,
    )
    spent, number = 0, 0
    while spent < task.budget_epochs:
        flat = scheduler.suggest().config
        trial = Trial(trial_id=number, config=flat, creation_time=datetime.now())
        scheduler.on_trial_add(trial)
        epoch = 0
        for epoch, result in enumerate(task.train(flat), start=1):
            error, size = _objectives(result)
            told = {"epoch": epoch, "error": error, "size": size}
            stopped = scheduler.on_trial_result(trial, told) == SchedulerDecision.STOP
            over = spent + epoch >= task.budget_epochs
            if stopped or over or not math.isfinite(result[0]):
                break
        _say({"spent": [0, epoch]})
        spent += epoch
        number += 1


def _undominated(points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Do what Syne Tune's `pareto_efficient` does, for two objectives in a hundredth of the time.

    Args:
        points: float64 [point, 2], minimised.
    """
    order = np.lexsort((points[:, 1], points[:, 0]))
    second = points[order, 1]
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
    kept = second < best_before
    same = np.concatenate([[False], np.all(points[order[1:]] == points[order[:-1]], axis=1)])
    for place in np.flatnonzero(same):
        kept[place] = kept[place - 1]
    mask = np.empty(len(points), dtype=bool)
    mask[order] = kept
    return mask


def neps_hyperband(task: Task) -> None:
    from neps.optimizers.algorithms import mo_hyperband

    _with_neps(mo_hyperband(_neps_space(task), eta=ETA), task)


def neps_primo(task: Task) -> None:
    from neps.optimizers.algorithms import primo

    _with_neps(primo(_neps_space(task), eta=ETA, prior_centers={}), task)


def _neps_space(task: Task) -> Any:
    from neps.space import SearchSpace
    from neps.space.parameters import HPOCategorical, HPOFloat, HPOInteger

    def domain(parameter: dict[str, Any]) -> Any:
        low, high = parameter["low"], parameter["high"]
        if parameter["kind"] == "choice":
            return HPOCategorical(choices=list(range(high + 1)))
        if parameter["kind"] == "int":
            return HPOInteger(lower=int(low), upper=int(high), log=parameter["log"])
        return HPOFloat(lower=low, upper=high, log=parameter["log"])

    space = {parameter["name"]: domain(parameter) for parameter in task.space}
    fidelity = HPOInteger(lower=1, upper=task.max_epochs, is_fidelity=True)
    return SearchSpace({**space, "epochs": fidelity})


def _with_neps(optimiser: Any, task: Task) -> None:
    import torch
    from neps import AskAndTell

    torch.manual_seed(task.seed)
    torch.set_num_threads(1)
    asked = AskAndTell(optimiser)
    spent = 0
    reached: dict[str, int] = {}
    while spent < task.budget_epochs:
        trial = asked.ask()
        flat = dict(trial.config)
        wanted = int(flat.pop("epochs"))
        known = reached.get(trial.metadata.previous_trial_id, 0)
        curve = task.train(flat)[:wanted]
        diverged = [epoch for epoch, result in enumerate(curve) if not math.isfinite(result[0])]
        last = diverged[0] + 1 if diverged else wanted
        last = max(min(last, known + task.budget_epochs - spent), known)
        _say({"spent": [known, last]})
        spent += last - known
        reached[trial.id] = wanted
        asked.tell(trial.id, {"objective_to_minimize": _objectives(curve[last - 1])})


SEARCHES: dict[str, Callable[[Task], None]] = {
    "moasha": moasha,
    "neps_hyperband": neps_hyperband,
    "neps_primo": neps_primo,
}


def main() -> None:
    sys.stdout = sys.stderr  # what packages print is no answer
    task = Task(**json.loads(sys.stdin.readline()))
    np.random.seed(task.seed)
    SEARCHES[task.peer](task)


if __name__ == "__main__":
    main()
