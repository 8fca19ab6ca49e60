"""What leasing workers to a data-parallel trial costs: warm groups beside a Ray Train run a lease.

    python benchmarks/wide_trials.py [--trials N] [--json]

Trials of two workers learn nothing (trivial_problem), one at a time, on a local Ray of two CPUs
that is connected already; each way has a process of its own. Ours is a whole search: journal, TPE,
Ray Tune, and a warm group. The peer is Ray Train alone, as `ecgsearch retrain` starts it: a
TorchTrainer for every lease. Both write checkpoints, and go on from them. Seconds, less learning:

first trial      of three epochs: from the start of the search to its last result
later trials     from one's last result to the next one's: the median
three pauses     what being paused at epochs 1, 3 and 9 of 12 adds to a trial: from its first
                 result to its last
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from alone import alone
from table import Row, cpu_name, show

WORKERS = 2
SPEC_PATH = "trivial_problem:TrivialProblem"
RUNGS = (1, 3, 9)
PAUSED_EPOCHS = 12


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A result, as the driver heard of it."""

    at_s: float
    """Since the search began."""
    trial: int
    epoch: int
    learned_s: float


def main() -> None:
    options = _options()
    with TemporaryDirectory(prefix="bench") as folder:
        rows = _rows(Path(folder), options.trials)
    show(rows, as_json=options.json)


def _rows(folder: Path, trials: int) -> list[Row]:
    ours = alone(search, folder / "ours", trials=trials, rungs=())
    peer = alone(train_each_lease, folder / "peer", trials=trials, rungs=())
    our_pauses = alone(search, folder / "our-pauses", trials=1, rungs=RUNGS)
    peer_pauses = alone(train_each_lease, folder / "peer-pauses", trials=1, rungs=RUNGS)
    figures = [
        ("first trial", first_trial_s(ours), first_trial_s(peer)),
        ("later trials", later_trial_s(ours), later_trial_s(peer)),
        ("three pauses", beyond_learning_s(our_pauses), beyond_learning_s(peer_pauses)),
    ]
    device = cpu_name(WORKERS)
    return [
        Row(name=name, device=device, ours=our_s, peer=peer_s, unit="s")
        for name, our_s, peer_s in figures
    ]


def first_trial_s(heard: Sequence[Heard]) -> float:
    first = [result for result in heard if result.trial == heard[0].trial]
    return first[-1].at_s - sum(result.learned_s for result in first)


def later_trial_s(heard: Sequence[Heard]) -> float:
    """From the last result of one trial to that of the next, less its learning: the median."""
    last = {result.trial: result.at_s for result in heard}
    learned_s = dict.fromkeys(last, 0.0)
    for result in heard:
        learned_s[result.trial] += result.learned_s
    return median(
        ended_s - before_s - learned_s[trial]
        for (_, before_s), (trial, ended_s) in pairwise(last.items())
    )


def beyond_learning_s(heard: Sequence[Heard]) -> float:
    """From the first result to the last, less the learning between them."""
    return heard[-1].at_s - heard[0].at_s - sum(result.learned_s for result in heard[1:])


# Each way in a process of its own; imported there, as ours changes settings of Ray. -------------


def search(folder: Path, *, trials: int, rungs: Sequence[int]) -> list[Heard]:
    """Run a search of ours; with rungs, its only trial pauses at each of them."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from our_searches import OBJECTIVES
    from trivial_problem import EPOCHS

    from cluster.connect import connect
    from search.engine.conductor import Conductor, Plan
    from search.engine.decisions import Verdict
    from search.engine.goal import Goal
    from search.engine.halving import ParetoHalving
    from search.execution.tune_executor import run_on_tune
    from search.problem import ProblemSpec
    from search.study.creation import create_study
    from search.study.records import CandidateRecord, Failure

    class Listener:
        def started(self, record: CandidateRecord) -> None:
            """Starting is no result."""

        def reported(self, record: CandidateRecord, verdict: Verdict) -> None:
            epoch = record.curve[-1]
            heard.append(_heard(began_s, record.number, epoch.number, epoch.seconds))

        def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None:
            raise RuntimeError(f"trial {record.number} failed: {failure.message}")

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir()
    heard: list[Heard] = []
    spec = ProblemSpec(path=SPEC_PATH, arguments={"workers": WORKERS})
    with connect("local", cpus=WORKERS) as connection:
        began_s = time.monotonic()
        conductor = Conductor(
            spec.build(),
            create_study(
                JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
                "benchmark",
                OBJECTIVES,
            ),
            Plan(
                goal=Goal(candidates=trials, max_epochs=PAUSED_EPOCHS if rungs else EPOCHS),
                halving=ParetoHalving(first_rung=rungs[0]) if rungs else None,
            ),
            checkpoints=folder / "trials",
            listener=Listener(),
        )
        run_on_tune(conductor, spec, connection.capacity, folder=folder / "ray")
    leases = {record.attempt for record in conductor.study.records.values()}
    if leases != {len(rungs) + 1}:
        raise RuntimeError(f"trials took {leases} leases instead of {len(rungs) + 1}")
    return heard


def train_each_lease(folder: Path, *, trials: int, rungs: Sequence[int]) -> list[Heard]:
    """Train trials by a TorchTrainer a lease, which ends at each rung."""
    import numpy as np
    from trivial_problem import EPOCHS

    from cluster.connect import connect
    from cluster.resources import Resources
    from search.engine.lease import Lease, candidate_name
    from search.execution.train_trainer import TrainRun, open_mailbox
    from search.problem import ProblemSpec, candidate_key

    random = np.random.default_rng(0)
    spec = ProblemSpec(path=SPEC_PATH, arguments={"workers": WORKERS})
    ends = [0, *rungs, PAUSED_EPOCHS if rungs else EPOCHS]
    heard: list[Heard] = []
    with connect("local", cpus=WORKERS):
        began_s = time.monotonic()
        for number in range(trials):
            params = {"size": int(random.integers(1, 1_000_000)), "rate": 0.01}
            key = candidate_key(spec.build(), params)
            for attempt, (known, last) in enumerate(pairwise(ends), start=1):
                lease = Lease(
                    number=number,
                    attempt=attempt,
                    key=key,
                    params=params,
                    resources=Resources(workers=WORKERS),
                    seed=0,
                    max_epochs=last,
                    rungs=(),
                    known_epochs=known,
                    checkpoints=folder / candidate_name(number, key),
                )
                with open_mailbox() as mailbox:
                    run = TrainRun(lease, spec, mailbox, storage=folder / "train")
                    while known < last:
                        report = run.next_report()
                        if report is None:
                            raise RuntimeError(f"trial {number} ended after {known} epochs")
                        known = report[-1].number
                        heard += [_heard(began_s, number, e.number, e.seconds) for e in report]
                    run.join()
    return heard


def _heard(began_s: float, trial: int, epoch: int, learned_s: float) -> Heard:
    at_s = time.monotonic() - began_s
    return Heard(at_s=at_s, trial=trial, epoch=epoch, learned_s=learned_s)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=4, help="trials of each way, at least 2")
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
