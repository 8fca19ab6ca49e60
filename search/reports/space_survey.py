"""What a study would propose, without training anything: sizes, refusals, and what bounds leave."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from cluster.paths import resolve_location
from ecgmodels import cost
from ecgmodels.data import open_dataset
from ecgmodels.models.efficientecg.config import EfficientECGConfig
from search.ecg_problem import data_shape
from search.objectives import Bound, is_exact
from search.problem import ProblemSpec, measured_costs
from search.study_file.measures import MEASURED_COSTS
from search.study_file.reading import StudyFile
from spaces import CandidateRefused, build_space

QUANTILES: Mapping[str, float] = {"min": 0.0, "5%": 0.05, "50%": 0.5, "95%": 0.95, "max": 1.0}

EVERYTHING = "all"


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """Where proposals come from."""

    name: str
    """What is searched, for people."""
    suggest: Callable[[Any], Any]
    cost: Callable[[Any], Mapping[str, float]]
    bounds: tuple[Bound, ...]
    fixed: Mapping[str, Any]
    """Parameters that no proposal asks for, since a single value is left."""
    unmeasured: tuple[Bound, ...] = ()
    """Bounds on costs that are measured when a study proposes a candidate, and not here."""

    @classmethod
    def of(cls, study_file: StudyFile) -> Surveyed:
        """Open what a study file searches; of a dataset, only the manifest is read.

        Raises:
            ECGSearchError, ECGModelsError: the dataset, the space or the problem cannot be used.
        """
        if study_file.problem is not None:
            table = study_file.problem
            problem = ProblemSpec(path=table.path, arguments=table.arguments).build()
            bounds, unmeasured = _split(study_file.to_bounds(), measured_costs(problem))
            return cls(
                name=table.path,
                suggest=problem.suggest,
                cost=problem.cost,
                bounds=bounds,
                unmeasured=unmeasured,
                fixed={},
            )
        location = resolve_location(study_file.dataset, what="the dataset")
        shape = data_shape(open_dataset(location, verify=False))
        training = {**study_file.training, "epochs": study_file.budget.epochs}
        space = build_space(study_file.space.name, shape, training, study_file.space.ranges)
        bounds, unmeasured = _split(study_file.to_bounds(), MEASURED_COSTS)
        return cls(
            name=f"{shape.leads} leads x {shape.samples} samples, {shape.classes} classes, "
            f"{len(shape.features)} features",
            suggest=space.suggest,
            cost=lambda candidate: cost(candidate.model),
            bounds=bounds,
            unmeasured=unmeasured,
            fixed={name: p.to_toml() for name, p in space.parameters.items() if p.fixed},
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One proposal."""

    group: str
    """Base of an EfficientECG, family of another network."""
    costs: Mapping[str, float] | None
    """None where the space refused it."""
    within_bounds: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    """What became of the proposals of one base or family."""

    name: str
    drawn: int
    refused: int
    within_bounds: int
    quantiles: Mapping[str, Mapping[str, float]]
    """cost -> quantile -> value, over all that can be built, within the bounds or not."""

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample]) -> Group:
        built = [sample.costs for sample in samples if sample.costs is not None]
        return cls(
            name=name,
            drawn=len(samples),
            refused=len(samples) - len(built),
            within_bounds=sum(sample.within_bounds for sample in samples),
            quantiles={
                cost: _quantiles([costs[cost] for costs in built])
                for cost in (built[0] if built else ())
            },
        )


def draw(surveyed: Surveyed, candidates: int, seed: int) -> list[Sample]:
    """Return so many proposals drawn at random from the whole space, the same for the same seed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    samples = []
    for _ in range(candidates):
        trial = study.ask()
        costs: Mapping[str, float] | None = None
        with contextlib.suppress(CandidateRefused):
            costs = surveyed.cost(surveyed.suggest(trial))
        within = costs is not None and all(b.violation(costs) <= 0 for b in surveyed.bounds)
        group = _group({**surveyed.fixed, **trial.params})
        samples.append(Sample(group=group, costs=costs, within_bounds=within))
    return samples


def groups(samples: Sequence[Sample]) -> list[Group]:
    """Return what became of each group, the smallest first, and of all together."""
    names = dict.fromkeys(sample.group for sample in samples)
    found = [Group.of(name, [s for s in samples if s.group == name]) for name in names]
    found.sort(key=_median_size)
    return found if len(found) == 1 else [*found, Group.of(EVERYTHING, samples)]


def survey_table(found: Sequence[Group], *, bounded: bool) -> str:
    """Return the counts, then the quantiles of each cost."""
    header = ["", "drawn", "refused", *(["within bounds"] if bounded else [])]
    rows = [
        [
            group.name,
            f"{group.drawn:,}",
            f"{group.refused / group.drawn:.1%}",
            *([f"{group.within_bounds / group.drawn:.1%}"] if bounded else []),
        ]
        for group in found
    ]
    tables = [[header, *rows]]
    for cost_name in dict.fromkeys(name for group in found for name in group.quantiles):
        tables.append([[cost_name, *QUANTILES]])
        for group in found:
            values = group.quantiles.get(cost_name, {})
            tables[-1].append([group.name, *(_shown(values.get(name)) for name in QUANTILES)])
    first = max(len(row[0]) for table in tables for row in table)
    return "\n\n".join("\n".join(_aligned(table, first)) for table in tables)


def _split(
    bounds: Sequence[Bound], measured: Sequence[str]
) -> tuple[tuple[Bound, ...], tuple[Bound, ...]]:
    """Return the bounds on exact costs, and those on measured ones."""
    unmeasured = tuple(bound for bound in bounds if is_exact(bound.name, measured))
    return tuple(bound for bound in bounds if bound not in unmeasured), unmeasured


def _group(params: Mapping[str, Any]) -> str:
    """Return what a proposal's parameters say of its family; another problem's have one group."""
    family = params.get("model", EfficientECGConfig.model)
    return str(params.get("base", EVERYTHING) if family == EfficientECGConfig.model else family)


def _median_size(group: Group) -> float:
    return next(iter(group.quantiles.values()))["50%"] if group.quantiles else 0.0


def _quantiles(values: list[float]) -> dict[str, float]:
    """Return the values of the nearest rank: sizes that a network really has."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {name: ordered[round(share * last)] for name, share in QUANTILES.items()}


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _aligned(rows: list[list[str]], first: int) -> list[str]:
    """Pad every column: names stand to the left, numbers and their headers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(1, len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], widths, strict=True))]
        ).rstrip()
        for row in rows
    ]
