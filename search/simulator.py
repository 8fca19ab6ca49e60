"""Runs a search in virtual time, in one process, without Ray.

The same conductor and engine as on a cluster; each epoch takes as long as it says. Seconds of
simulation stand for days of training, so that halving and samplers can be compared.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import InMemoryStorage

from cluster.ledger import Ledger, require_fit
from cluster.resources import Capacity, NodeCapacity, Resources
from search.conductor import Conductor, Plan
from search.engine import Done, Verdict, Wait
from search.failures import classify, one_line
from search.lease import Lease, ended_early, epoch_result
from search.objectives import Objective
from search.problem import Context, Epoch, Problem, rebuild_candidate
from search.records import EpochResult
from search.study import Study, create_study


def simulate(
    problem: Problem, objectives: list[Objective], plan: Plan, *, workers: int = 1
) -> Study:
    """Search `problem` with so many one-CPU workers; return the finished study (in memory).

    Raises:
        ClusterError: a candidate needs more workers than there are.
    """
    study = create_study(InMemoryStorage(), "simulation", objectives)
    conductor = Conductor(problem, study, plan, checkpoints=Path())
    capacity = Capacity((NodeCapacity(node_id="simulated", cpus=workers),))
    ledger = Ledger(capacity)
    learning: dict[int, Iterator[Epoch]] = {}
    order = itertools.count()
    # (virtual end of the epoch, tie-break, lease, what came of it)
    events: list[tuple[float, int, Lease, EpochResult | Exception]] = []

    def run_epoch(lease: Lease, now_s: float) -> None:
        outcome: EpochResult | Exception
        try:
            outcome = _next_result(learning[lease.number], lease)
            now_s += outcome.seconds
        except Exception as error:
            outcome = error
        heapq.heappush(events, (now_s, next(order), lease, outcome))

    def fits(resources: Resources) -> bool:
        require_fit(capacity, resources, "a trial")
        return ledger.can_place(resources)

    now_s = 0.0
    while True:
        decision = conductor.next(fits)
        if isinstance(decision, Done):
            if not decision.resumable:
                conductor.conclude()
            return study
        if isinstance(decision, Wait):
            now_s, _, lease, outcome = heapq.heappop(events)
            verdict = Verdict.STOP
            if isinstance(outcome, EpochResult):
                verdict = conductor.report(lease.number, lease.attempt, [outcome])
            else:
                cause = classify(outcome)
                conductor.failed(lease.number, lease.attempt, cause, one_line(outcome))
            if verdict is Verdict.CONTINUE:
                run_epoch(lease, now_s)
            else:
                ledger.release(str(lease.number))
            if verdict is Verdict.STOP:
                del learning[lease.number]
            continue
        ledger.place(str(decision.number), decision.resources)
        if decision.number not in learning:
            context = Context(seed=decision.seed, max_epochs=decision.max_epochs)
            candidate = rebuild_candidate(problem, decision.params, decision.key)
            learning[decision.number] = iter(problem.learn(candidate, context))
        run_epoch(decision, now_s)


def _next_result(learning: Iterator[Epoch], lease: Lease) -> EpochResult:
    epoch = next(learning, None)
    if epoch is None:
        raise ended_early(lease)
    return epoch_result(epoch)
