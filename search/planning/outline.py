"""What a study's space and cluster come to, by arithmetic: sizes, shapes, trials at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.ledger import Ledger, slots
from cluster.resources import Capacity, Resources
from search.errors import StudyError
from search.named_failures import with_named_failures
from search.objectives import Bound, is_exact
from search.problem import Problem, candidate_resources, measured_costs
from search.sampling.drawing import Draft, DrawnTrial, draft

DRAWS = 300
_QUARTILES = {"least": 0.0, "25%": 0.25, "50%": 0.5, "75%": 0.75, "most": 1.0}


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Candidates drawn by chance."""

    drawn: int
    refused: int
    """Those that the space cannot build."""
    drafts: tuple[Draft, ...]
    """Those within the bounds, no two alike, in the order in which they were drawn."""
    within: int
    """How many keep the bounds, those that came twice too."""
    resources: tuple[Resources, ...]
    """Of each draft."""
    unmeasured: tuple[Bound, ...]
    """Bounds on costs that only a measurement tells, which was not made."""

    @classmethod
    def of(cls, problem: Problem, bounds: Sequence[Bound], seed: int) -> Outline:
        """Draw from a space.

        Raises:
            StudyError: nothing that was drawn keeps the bounds.
        """
        problem = with_named_failures(problem)
        measured = measured_costs(problem)
        exact = [bound for bound in bounds if not is_exact(bound.name, measured)]
        rng = np.random.default_rng(seed)
        drawn = [draft(problem, DrawnTrial(rng)) for _ in range(DRAWS)]
        built = [each for each in drawn if each is not None]
        kept = [each for each in built if all(b.violation(each.costs) <= 0 for b in exact)]
        if not kept:
            refused = DRAWS - len(built)
            raise StudyError(
                f"of {DRAWS} candidates drawn at random none keeps the bounds "
                f"({refused} cannot be built)",
                hint="widen [bounds] or [space.ranges]; `ecgsearch space` shows the sizes",
            )
        distinct = tuple({each.key: each for each in kept}.values())
        return cls(
            drawn=DRAWS,
            refused=DRAWS - len(built),
            drafts=distinct,
            within=len(kept),
            resources=tuple(candidate_resources(problem, each.candidate) for each in distinct),
            unmeasured=tuple(bound for bound in bounds if bound not in exact),
        )

    def quartiles(self, value: Callable[[Draft, Resources], float]) -> dict[str, float]:
        """Return least, quartiles and most of a value over the candidates (of nearest rank)."""
        pairs = zip(self.drafts, self.resources, strict=True)
        ordered = sorted(value(each, shape) for each, shape in pairs)
        last = len(ordered) - 1
        return {name: ordered[round(share * last)] for name, share in _QUARTILES.items()}

    def costs(self) -> dict[str, dict[str, float]]:
        """Return the quartiles of each exact cost."""
        return {name: self.quartiles(_cost(name)) for name in self.drafts[0].costs}

    def share(self, shape: Resources) -> float:
        """Return which share of the candidates has a shape."""
        return self.resources.count(shape) / len(self.resources)


def _cost(name: str) -> Callable[[Draft, Resources], float]:
    return lambda each, _: each.costs[name]


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many trials of a shape there are at a time."""

    shape: Resources
    count: int
    limit: str
    """What a cluster with more trials at a time would have to have more of."""

    @classmethod
    def of(cls, capacity: Capacity, shape: Resources) -> Slots:
        """Count what fits on an otherwise empty cluster."""
        return cls(shape=shape, count=slots(capacity, shape), limit=_limit(capacity, shape))


def _limit(capacity: Capacity, shape: Resources) -> str:
    """Return which of a worker's resources runs out first, or several that do at once."""
    alone: dict[str, float] = {}
    for name, asked, offered in (
        ("CPUs", shape.cpus, [node.cpus for node in capacity.nodes]),
        ("GPUs", shape.gpus, [node.gpus for node in capacity.nodes]),
        ("memory", shape.memory_bytes, [node.memory_bytes for node in capacity.nodes]),
    ):
        if asked:
            alone[name] = sum(have / asked for have in offered)
    least = min(alone.values())
    return " and ".join(name for name, workers in alone.items() if workers <= least * (1 + 1e-9))


def fit_together(capacity: Capacity, shapes: Sequence[Resources]) -> bool:
    """Say whether trials of these shapes run all at once."""
    ledger = Ledger(capacity)
    for number, shape in enumerate(shapes):
        if not ledger.can_place(shape):
            return False
        ledger.place(str(number), shape)
    return True


def spread(outline: Outline, shape: Resources, count: int) -> list[Draft]:
    """Return candidates of a shape from small to large, evenly by rank (fewer if there are few).

    The ends are left out: they are further from all others than the rest from one another.
    """
    pairs = zip(outline.drafts, outline.resources, strict=True)
    mine = sorted((each for each, its in pairs if its == shape), key=lambda each: size(each.costs))
    ranks = np.linspace(0.02, 0.98, count) * (len(mine) - 1)
    return [mine[rank] for rank in dict.fromkeys(round(float(rank)) for rank in ranks) if mine]


def size(costs: Mapping[str, float]) -> float:
    """Return what candidates are ordered by: their MACs, else the first of their costs."""
    return costs["macs"] if "macs" in costs else next(iter(costs.values()), 0.0)
