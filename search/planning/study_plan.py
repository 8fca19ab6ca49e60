"""Plans a study from its file: checks it as a run does, looks at space and cluster, times a few
candidates and foresees the rest. The study's folder is read and never written to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from cluster.connect import connect
from cluster.ledger import require_fit
from cluster.paths import resolve_path
from cluster.preflight import check_nodes, require_healthy
from cluster.resources import Capacity, Resources
from search.planning.epoch_seconds import Pace, Timing, largest_error, timings_of
from search.planning.forecast import Forecast, forecast
from search.planning.outline import Outline, Slots
from search.planning.probe import Probe, chosen
from search.problem import Problem
from search.running import begin, problem_spec, readable, require_spendable, trial_shapes
from search.study.folder import StudyFolder
from search.study.study import Study
from search.study_file.plan import plan
from search.study_file.reading import StudyFile
from search.warm_start import open_earlier

_ENOUGH = 3
"""So many candidates of a shape that a study has trained say more than a probe would."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study would try, how many at a time, how long that takes and what it costs."""

    study_file: StudyFile
    outline: Outline
    cluster: str
    slots: tuple[Slots, ...]
    timings: tuple[Timing, ...]
    probed: int | None
    """How many candidates the probe tried; None where the study's own epochs were taken."""
    pace: Pace
    forecast: Forecast

    def errors(self) -> dict[Resources, float]:
        """Return how far each shape's model is off its timings at most, as a share of them."""
        return {
            shape: largest_error(model, [t for t in self.timings if t.resources == shape])
            for shape, model in self.pace.models.items()
        }

    def epoch_seconds(self) -> dict[str, float]:
        """Return the quartiles over the space of what an epoch is foreseen to take."""
        return self.outline.quartiles(lambda each, its: self.pace.seconds(its, each.costs))

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-ready."""
        return {
            "name": self.study_file.name,
            "space": {
                "drawn": self.outline.drawn,
                "refused": self.outline.refused,
                "within_bounds": self.outline.within,
                "costs": self.outline.costs(),
            },
            "cluster": self.cluster,
            "trials": [
                {
                    **dataclasses.asdict(each.shape),
                    "at_a_time": each.count,
                    "limit": each.limit,
                    "share": self.outline.share(each.shape),
                }
                for each in self.slots
            ],
            "probed": self.probed,
            "timings": [dataclasses.asdict(timing) for timing in self.timings],
            "seconds_per_epoch": {
                "models": [
                    {**dataclasses.asdict(shape), "model": dataclasses.asdict(model)}
                    for shape, model in self.pace.models.items()
                ],
                "quartiles": self.epoch_seconds(),
            },
            "cost": {
                "as_planned": [dataclasses.asdict(each) for each in self.forecast.as_planned],
                "in_full": [dataclasses.asdict(each) for each in self.forecast.in_full],
                "capped": self.forecast.capped,
            },
        }


def plan_study(
    study_file: StudyFile,
    *,
    address: str | None = None,
    cpus: int | None = None,
    probe_seconds: float,
    show: Callable[[str], None] = print,
) -> StudyPlan:
    """Plan a study.

    Args:
        address, cpus: as `search.running.run_study`.
        probe_seconds: how long candidates are timed at most.

    Raises:
        ECGSearchError, ECGModelsError, ClusterError: what is wrong, and how to mend it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = StudyFolder(resolve_path(study_file.study, what="the study folder"))
    spec, dataset_hash = problem_spec(study_file)
    problem = spec.build()
    require_spendable(study_file, problem)
    folder.require_same(study_file, dataset_hash)
    known = _known(folder)
    _, first = begin(study_file, problem, dataset_hash, known)
    outline = Outline.of(problem, study_file.to_bounds(), study_file.seed)
    shapes = tuple(dict.fromkeys([*trial_shapes(problem), *outline.resources]))
    objectives = study_file.to_objectives()
    show("ray      connecting")
    with connect(address, cpus=cpus) as connection:
        if not connection.local:
            require_healthy(check_nodes(readable=readable(problem)))
        capacity = connection.capacity
        for shape in shapes:
            require_fit(capacity, shape, "a trial")
        slots = tuple(Slots.of(capacity, shape) for shape in shapes)
        proposed = tuple(shape for shape in shapes if outline.share(shape) > 0)
        probed, timings = None, _trained(known, proposed)
        if not timings:
            drafts = chosen(outline, capacity, proposed)
            show(f"probe    {len(drafts)} candidates, for {probe_seconds:g} s at most")
            probed = len(drafts)
            timings = Probe(
                problem, spec, objectives, max_epochs=study_file.budget.epochs, seed=study_file.seed
            ).timings(drafts, capacity, seconds=probe_seconds, shared=not connection.local)
    show("search   simulating")
    pace = Pace.of(timings, {each.shape: each.count for each in slots if each.shape in proposed})
    return StudyPlan(
        study_file=study_file,
        outline=outline,
        cluster=connection.description,
        slots=slots,
        timings=tuple(timings),
        probed=probed,
        pace=pace,
        forecast=_forecast(study_file, problem, first, outline, pace, capacity, slots),
    )


def _forecast(
    study_file: StudyFile,
    problem: Problem,
    first: tuple[Mapping[str, Any], ...],
    outline: Outline,
    pace: Pace,
    capacity: Capacity,
    slots: Sequence[Slots],
) -> Forecast:
    return forecast(
        problem,
        study_file.to_objectives(),
        dataclasses.replace(plan(study_file), enqueued=first),
        outline=outline,
        pace=pace,
        capacity=capacity,
        slots={each.shape: each.count for each in slots},
    )


def _known(folder: StudyFolder) -> Study | None:
    """Return the study to read it, if it has begun."""
    if not folder.description.exists():
        return None
    if not folder.study_file().storage.url and not folder.journal.exists():
        return None  # killed before its storage was there
    return open_earlier(folder)


def _trained(study: Study | None, shapes: Sequence[Resources]) -> list[Timing]:
    """Return what a study's own candidates took, if that says enough of every shape."""
    found = timings_of(study.records.values()) if study is not None else []
    usable = [timing for timing in found if timing.resources in shapes]
    enough = all(sum(t.resources == shape for t in usable) >= _ENOUGH for shape in shapes)
    return usable if enough else []
