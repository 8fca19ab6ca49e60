"""Times a few candidates where and as trials will run: a search of its own that is cut short."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import InMemoryStorage

from cluster.ledger import slots
from cluster.paths import home
from cluster.resources import Capacity, Resources
from search.engine.conductor import Conductor, Plan
from search.engine.goal import Goal
from search.errors import StudyError
from search.objectives import Objective
from search.planning.epoch_seconds import Timing, timings_of
from search.planning.outline import Outline, fit_together, spread
from search.problem import (
    Context,
    Epoch,
    Problem,
    ProblemSpec,
    candidate_key,
    candidate_resources,
)
from search.sampling.drawing import Draft
from search.study.creation import create_study
from search.study.study import Study

_LEAST, _MOST = 3, 8
"""Candidates of each shape. More than three keep more slots busy, as a search will."""
_EPOCHS = 2
"""Enough of each candidate: the first warms up, the second is timed."""


def chosen(outline: Outline, capacity: Capacity, shapes: Sequence[Resources]) -> list[Draft]:
    """Return whom to time: of each shape as many as there are slots, but three to eight.

    The largest go first, since they take longest.
    """
    found = []
    for shape in shapes:
        count = min(max(slots(capacity, shape), _LEAST), _MOST)
        found += spread(outline, shape, count)[::-1]
    return found


class Probe:
    """Times candidates on the connected cluster; nothing of it is in the study."""

    def __init__(
        self,
        problem: Problem,
        spec: ProblemSpec,
        objectives: Sequence[Objective],
        *,
        max_epochs: int,
        seed: int,
    ) -> None:
        """Prepare a probe.

        Args:
            spec: how workers build the problem.
            objectives: what an epoch has to measure.
            max_epochs: the full length of a training.
        """
        self._problem = Unmeasured(problem)
        self._spec = spec
        self._objectives = [each for each in objectives if not each.exact]
        self._max_epochs = max_epochs
        self._seed = seed

    def timings(
        self, drafts: Sequence[Draft], capacity: Capacity, *, seconds: float, shared: bool
    ) -> list[Timing]:
        """Train candidates until each has had two epochs, or for so many seconds.

        Args:
            shared: more than one machine needs to see its files.

        Raises:
            StudyError: no candidate finished an epoch; the message says why.
        """
        from search.execution.tune_executor import run_on_tune

        shapes = [candidate_resources(self._problem, each.candidate) for each in drafts]
        study = create_study(InMemoryStorage(), "probe", self._objectives)
        # Whoever is through goes on while the others run: no slot is idle that will not be.
        together = fit_together(capacity, shapes)
        enough = min(_EPOCHS, self._max_epochs)
        plan = Plan(
            goal=Goal(max_epochs=self._max_epochs if together else enough, candidates=len(drafts)),
            sampler="random",
            seed=self._seed,
            enqueued=tuple(each.params for each in drafts),
        )
        begun_s = time.monotonic()

        def over() -> bool:
            known = study.records.values()
            return time.monotonic() - begun_s > seconds or (
                len(known) == len(drafts)
                and all(each.epochs >= enough or each.phase.is_final for each in known)
            )

        with _folder(shared=shared) as folder:
            conductor = Conductor(self._problem, study, plan, checkpoints=folder / "trials")
            run_on_tune(conductor, self._spec, capacity, folder=folder / "ray", interrupted=over)
            conductor.close()
        found = timings_of(study.records.values())
        if not found:
            raise _nothing(study, seconds)
        return found


class Unmeasured:
    """A problem without the costs that would have to be measured."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def suggest(self, trial: Any) -> Any:
        return self._problem.suggest(trial)

    def cost(self, candidate: Any) -> Mapping[str, float]:
        return self._problem.cost(candidate)

    def key(self, candidate: Any) -> str:
        return candidate_key(self._problem, candidate)

    def resources(self, candidate: Any) -> Resources:
        return candidate_resources(self._problem, candidate)

    def learn(self, candidate: Any, context: Context) -> Iterator[Epoch]:
        return self._problem.learn(candidate, context)


def _nothing(study: Study, seconds: float) -> StudyError:
    failures = [record.failure for record in study.records.values() if record.failure]
    if failures:
        return StudyError(
            f"no candidate of the probe learned: {failures[0].cause}: {failures[0].message}",
            hint="mend that first; `ecgsearch run` would fail alike",
        )
    return StudyError(
        f"no candidate of the probe finished an epoch within {seconds:g} s",
        hint="give it longer with --probe-seconds, or wait until the cluster is free",
    )


@contextmanager
def _folder(*, shared: bool) -> Iterator[Path]:
    """Yield a folder for the probe's checkpoints, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix=".ecgsearch-plan-", dir=home() if shared else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
