"""Runs a search in virtual time, in one process, without Ray.

The same conductor and engine as on a cluster; each epoch takes as long as it says. Seconds of
simulation stand for days of training, so that halving and samplers can be compared.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.storages import InMemoryStorage

from cluster.ledger import Ledger, require_fit
from cluster.resources import Capacity, NodeCapacity, Resources
from search.engine.conductor import Conductor, Listener, Plan
from search.engine.decisions import Done, Verdict, Wait
from search.engine.failures import classify, one_line
from search.engine.front_volume import FrontVolume
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.lease import Lease, ended_early, epoch_result
from search.engine.optimism import Optimism
from search.objectives import Bound, Objective, objective_vector
from search.problem import Context, Epoch, Problem, rebuild_candidate
from search.sampling.prior import PriorResults, note_prior
from search.sampling.samplers import DEFAULT_SAMPLER
from search.study.creation import create_study
from search.study.fronts import front_records
from search.study.records import EpochResult
from search.study.study import Study


@dataclass(frozen=True, kw_only=True)
class SimulatedTrial:
    """One candidate of a simulation; times are virtual seconds from its start."""

    number: int
    params: Mapping[str, Any]
    costs: Mapping[str, float]
    curve: tuple[EpochResult, ...]
    state: str
    """The phase it ended in: done, stopped or failed; a search that was halted by bugs may leave it
    paused or queued."""
    started_s: float
    finished_s: float
    """End of its last epoch (or of its failure)."""

    @property
    def epochs(self) -> int:
        return len(self.curve)


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """What a simulated search came to."""

    study: Study
    """In memory."""
    trials: tuple[SimulatedTrial, ...]
    """By number."""
    epoch_order: tuple[tuple[int, int], ...]
    """(number of the candidate, epoch) of every epoch, in the order they ended."""

    def front(self) -> list[SimulatedTrial]:
        """Return the candidates that none dominates by the results they count with."""
        return [self._by_number[record.number] for record in front_records(self.study)]

    def hypervolume_trace(self, reference: Sequence[float]) -> list[tuple[int, float]]:
        """Return (epochs spent, hypervolume of all results so far) after every epoch.

        Every epoch's result counts as a model that can be had.

        Args:
            reference: the worst value that counts of each objective, as the objective has it.
        """
        objectives = self.study.objectives
        corner = [o.minimised(value) for o, value in zip(objectives, reference, strict=True)]
        volume = FrontVolume(corner)
        trace = []
        for spent, (number, epoch) in enumerate(self.epoch_order, start=1):
            trial = self._by_number[number]
            metrics = trial.curve[epoch - 1].metrics
            volume.add(objective_vector(objectives, metrics, trial.costs))
            trace.append((spent, volume.value))
        return trace

    @cached_property
    def _by_number(self) -> dict[int, SimulatedTrial]:
        return {trial.number: trial for trial in self.trials}


def simulate(
    problem: Problem,
    objectives: Sequence[Objective],
    *,
    max_epochs: int,
    workers: int = 1,
    budget_epochs: int | None = None,
    candidates: int | None = None,
    seed: int = 0,
    sampler: str = DEFAULT_SAMPLER,
    halving: ParetoHalving | None = ParetoHalving(),  # noqa: B008 (it is frozen)
    optimism: Optimism | None = Optimism(),  # noqa: B008
    startup: int = 10,
    bounds: Sequence[Bound] = (),
    enqueued: Sequence[Mapping[str, Any]] = (),
    priors: Sequence[PriorResults] = (),
) -> SimulationResult:
    """Search `problem` in virtual time.

    Args:
        max_epochs: the full length of a training.
        workers: how many one-CPU workers there are.
        budget_epochs: epochs to spend, all candidates together.
        candidates: how many are started at most; one of both has to be given.
        sampler: a name in `search.sampling.samplers.SAMPLERS`.
        halving: None trains every candidate in full.
        optimism: None gives up hope of nobody.
        startup: candidates that are not yet proposed by what was learned.
        enqueued: parameters of candidates that are started first; the rest is drawn by chance.
        priors: results of earlier studies.

    Raises:
        StudyError: there is neither a budget nor a number of candidates.
        ClusterError: a candidate needs more workers than there are.
    """
    plan = Plan(
        goal=Goal(candidates=candidates, max_epochs=max_epochs, budget_epochs=budget_epochs),
        sampler=sampler,
        startup=startup,
        seed=seed,
        bounds=tuple(bounds),
        halving=halving,
        optimism=optimism,
        enqueued=tuple(enqueued),
    )
    return simulate_plan(problem, objectives, plan, workers=workers, priors=priors)


def simulate_plan(
    problem: Problem,
    objectives: Sequence[Objective],
    plan: Plan,
    *,
    workers: int = 1,
    capacity: Capacity | None = None,
    priors: Sequence[PriorResults] = (),
    listener: Listener | None = None,
) -> SimulationResult:
    """Carry out a whole plan in virtual time.

    Args:
        workers: how many one-CPU workers there are, on one node.
        capacity: a cluster in place of those.
        listener: hears what happens when it does; what it raises ends the simulation.
    """
    study = create_study(InMemoryStorage(), "simulation", objectives)
    for prior in priors:
        note_prior(study, prior)
    clock = _Clock()
    conductor = Conductor(problem, study, plan, checkpoints=Path(), listener=listener, clock=clock)
    if capacity is None:
        capacity = Capacity((NodeCapacity(node_id="simulated", cpus=workers),))
    simulation = _Simulation(problem, conductor, capacity, clock)
    simulation.run()
    trials = [
        SimulatedTrial(
            number=number,
            params=record.params,
            costs=record.costs,
            curve=record.curve,
            state=record.phase.value,
            started_s=simulation.started_s.get(number, 0.0),
            finished_s=simulation.finished_s.get(number, 0.0),
        )
        for number, record in sorted(study.records.items())
    ]
    return SimulationResult(
        study=study, trials=tuple(trials), epoch_order=tuple(simulation.epoch_order)
    )


@dataclass
class _Clock:
    """Virtual time."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class _Simulation:
    def __init__(
        self, problem: Problem, conductor: Conductor, capacity: Capacity, clock: _Clock
    ) -> None:
        self._problem = problem
        self._conductor = conductor
        self._capacity = capacity
        self._ledger = Ledger(capacity)
        self._learning: dict[int, Iterator[Epoch]] = {}
        self._order = itertools.count()
        # (virtual end of the epoch, tie-break, lease, what came of it)
        self._events: list[tuple[float, int, Lease, EpochResult | Exception]] = []
        self._clock = clock
        self.started_s: dict[int, float] = {}
        self.finished_s: dict[int, float] = {}
        self.epoch_order: list[tuple[int, int]] = []

    def run(self) -> None:
        while True:
            decision = self._conductor.next(self._fits)
            if isinstance(decision, Done):
                if not decision.resumable:
                    self._conductor.conclude()
                self._conductor.close()
                return
            if isinstance(decision, Wait):
                self._hear()
            else:
                self._begin(decision)

    def _fits(self, resources: Resources) -> bool:
        require_fit(self._capacity, resources, "a trial")
        return self._ledger.can_place(resources)

    def _begin(self, lease: Lease) -> None:
        self._ledger.place(str(lease.number), lease.resources)
        self.started_s.setdefault(lease.number, self._clock.now_s)
        if lease.number not in self._learning:
            context = Context(
                seed=lease.seed, max_epochs=lease.max_epochs, batch_parts=lease.batch_parts
            )
            candidate = rebuild_candidate(self._problem, lease.params, lease.key)
            self._learning[lease.number] = iter(self._problem.learn(candidate, context))
        self._run_epoch(lease)

    def _run_epoch(self, lease: Lease) -> None:
        outcome: EpochResult | Exception
        end_s = self._clock.now_s
        try:
            outcome = _next_result(self._learning[lease.number], lease)
            end_s += outcome.seconds
        except Exception as error:
            outcome = error
        heapq.heappush(self._events, (end_s, next(self._order), lease, outcome))

    def _hear(self) -> None:
        """Go on to the end of the next epoch, and to what comes of it."""
        self._clock.now_s, _, lease, outcome = heapq.heappop(self._events)
        number = lease.number
        self.finished_s[number] = self._clock.now_s
        verdict = Verdict.STOP
        if isinstance(outcome, EpochResult):
            known = self._conductor.study.records[number].epochs
            verdict = self._conductor.report(number, lease.attempt, [outcome])
            if self._conductor.study.records[number].epochs > known:  # it counts, and is new
                self.epoch_order.append((number, outcome.number))
        else:
            cause = classify(outcome)
            self._conductor.failed(number, lease.attempt, cause, one_line(outcome))
        if verdict is Verdict.CONTINUE:
            self._run_epoch(lease)
        else:
            self._ledger.release(str(number))
            self._conductor.released(number, lease.attempt)
        if verdict in (Verdict.STOP, Verdict.ABANDON):
            del self._learning[number]


def _next_result(learning: Iterator[Epoch], lease: Lease) -> EpochResult:
    epoch = next(learning, None)
    if epoch is None:
        raise ended_early(lease)
    return epoch_result(epoch)
