"""Engines to be tested without study, conductor or executor: a space that only counts, results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from cluster.resources import Resources
from search.engine.decisions import Admitted, Start, Verdict
from search.engine.engine import Engine
from search.engine.failures import Cause
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.roster import PointOf
from search.study.records import CandidateRecord, EpochResult, Failure, Phase

NARROW = Resources()
WIDE = Resources(workers=2)
LOST = Failure(cause=Cause.LOST_WORKER, message="gone")
# Rungs at epochs 1 and 3 of 9; the plain rule, nobody spared.
STRICT = ParetoHalving(eta=3, first_rung=1, min_results=1, finish_front=False)


class Space:
    """Offers so many candidates, of the given shapes in turn."""

    def __init__(self, size: int = 1000, shapes: Sequence[Resources] = (NARROW,)) -> None:
        self.size = size
        self.shapes = shapes
        self.offered = 0

    def __call__(self, paused: Collection[int] = ()) -> Admitted | None:
        if self.offered == self.size:
            return None
        number = self.offered
        self.offered += 1
        return Admitted(number=number, resources=self.shapes[number % len(self.shapes)])


def engine_of(
    candidates: int = 3,
    *,
    halving: ParetoHalving | None = STRICT,
    space: Space | None = None,
    point: PointOf = lambda number, metrics: (metrics["loss"],),
    records: Sequence[CandidateRecord] = (),
    **options: object,
) -> Engine:
    """An engine that minimises the metric "loss" over 9 epochs."""
    space = space or Space()
    space.offered = len(records)
    return Engine(
        Goal(candidates=candidates, max_epochs=9),
        propose=space,
        point=point,
        halving=halving,
        records=records,
        **options,  # type: ignore[arg-type]
    )


def result(epoch: int, loss: float = 0.5) -> EpochResult:
    return EpochResult(number=epoch, metrics={"loss": loss}, seconds=1.0)


def report(engine: Engine, number: int, epoch: int, loss: float = 0.5) -> Verdict:
    return engine.report(number, [result(epoch, loss)])


def train(engine: Engine, number: int, epochs: range, loss: float = 0.5) -> Verdict:
    """Report epoch after epoch until the verdict is not to continue."""
    verdict = Verdict.CONTINUE
    for epoch in epochs:
        assert verdict is Verdict.CONTINUE
        verdict = report(engine, number, epoch, loss)
    return verdict


def anything(resources: Resources) -> bool:
    return True


def nothing(resources: Resources) -> bool:
    return False


def start_all(engine: Engine, losses: Mapping[int, float]) -> None:
    """Start candidates side by side; then let each report its first epoch, in order."""
    for number in losses:
        assert engine.next(anything) == Start(number)
    for number, loss in losses.items():
        assert report(engine, number, 1, loss) is Verdict.PAUSE


def record(
    number: int,
    phase: Phase,
    losses: Sequence[float] = (),
    *,
    lost_workers: int = 0,
    trains_on: bool = False,
    resources: Resources = NARROW,
) -> CandidateRecord:
    """What a study's storage says of a candidate with these losses, epoch after epoch."""
    return CandidateRecord(
        number=number,
        key=f"key-{number}",
        params={},
        candidate={},
        costs={},
        resources=resources,
        phase=phase,
        setbacks=tuple(LOST for _ in range(lost_workers)),
        trains_on=trains_on,
        curve=tuple(result(epoch, loss) for epoch, loss in enumerate(losses, 1)),
    )
