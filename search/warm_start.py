"""Begins a study from what is known: enqueued candidates, and results of earlier studies.

Everything is read and checked before anything is written. Earlier studies are only read; what is
taken over from them is written into this study's storage, so that going on with it needs no other
folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.paths import resolve_path
from ecgmodels.configs import nearest_hint
from search.ecg_problem import ECGProblem, data_shape
from search.errors import StudyError
from search.objectives import Bound, is_exact
from search.problem import Problem, candidate_dict, candidate_resources, measured_costs
from search.sampling.importing import Imported, imported_candidates
from search.sampling.pinned import fingerprint, pinned_draft
from search.sampling.prior import PriorResults, note_prior, noted_priors
from search.study.folder import StudyFolder
from search.study.stored import Proposal
from search.study.study import Study
from search.study_file.reading import StudyFile
from search.study_file.tables import WarmStartTable
from spaces import build_space

ENQUEUED_NOTE = "enqueued"
"""What was enqueued by command: a list of parameters."""
_DONE_NOTE = "warm_start:"
"""Of an earlier study that was taken over in full: this and its place in the study file."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """One earlier study, read and found fit; one of both is there."""

    place: int
    prior: PriorResults | None
    imported: Imported | None


# What is enqueued ---------------------------------------------------------------------------------


def enqueued(study_file: StudyFile, study: Study | None) -> tuple[Mapping[str, Any], ...]:
    """Return the parameters to try first: the study file's, then those enqueued by command."""
    given = [*study_file.enqueue, *(by_command(study) if study is not None else ())]
    return tuple({fingerprint(params): params for params in given}.values())


def by_command(study: Study) -> list[dict[str, Any]]:
    """Return what was enqueued by command, oldest first."""
    return study.note(ENQUEUED_NOTE) or []


def enqueue(study: Study, given: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Write down what is to be tried first; return what was not enqueued before, by command."""
    known = by_command(study)
    prints = {fingerprint(params) for params in known}
    new = [params for params in given if fingerprint(params) not in prints]
    if new:
        study.set_note(ENQUEUED_NOTE, [*known, *(dict(params) for params in new)])
    return new


def require_candidates(
    problem: Problem, bounds: Sequence[Bound], given: Sequence[Mapping[str, Any]], seed: int
) -> None:
    """Check that what is enqueued are candidates of the space, within bounds.

    Raises:
        StudyError: one is not; the message says which and names the parameter or the bound.
    """
    for place, params in enumerate(given):
        try:
            pinned_draft(problem, bounds, params, seed)
        except StudyError as error:
            shown = ", ".join(f"{name} = {value}" for name, value in params.items())
            raise StudyError(f"enqueue[{place}] ({shown}): {error}", hint=error.hint) from error


# What earlier studies found -----------------------------------------------------------------------


def read_earlier(
    study_file: StudyFile, problem: Problem, dataset_hash: str | None, study: Study | None
) -> list[Earlier]:
    """Read the earlier studies that a study file names and that were not taken over yet.

    Args:
        study: the study itself, when it has begun.

    Raises:
        StudyError: one is not there, has no results, or cannot be imported; the message says why.
    """
    found = []
    measured = measured_costs(problem)  # of a machine: no earlier study need have had them
    for place, table in enumerate(study_file.warm_start):
        if study is not None and study.note(f"{_DONE_NOTE}{place}") is not None:
            continue
        folder = StudyFolder(resolve_path(Path(table.study), what="the earlier study's folder"))
        earlier_file, earlier = folder.study_file(), open_earlier(folder)
        if table.use == "prior":
            prior = PriorResults.of(
                earlier,
                [o for o in study_file.to_objectives() if not is_exact(o.metric, measured)],
                source=table.study,
                max_epochs=earlier_file.budget.epochs,
            )
            found.append(Earlier(place=place, prior=prior, imported=None))
            continue
        _require_arguments(study_file, earlier_file, table)
        differences = import_differences(study_file, earlier_file, table)
        if folder.dataset_hash() != dataset_hash:
            differences.append("the dataset is another one")
        if differences:
            raise StudyError(
                f"{table.study} cannot be imported: {'; '.join(differences)}",
                hint='set them as they were there, or take it as knowledge only: use = "prior"',
            )
        imported = imported_candidates(
            problem,
            earlier.records.values(),
            study_file.to_bounds(),
            fixed=_fixed(problem, study_file, earlier_file),
            source=table.study,
        )
        found.append(Earlier(place=place, prior=None, imported=imported))
    return found


def take_over(study: Study, problem: Problem, earlier: Sequence[Earlier]) -> Iterator[str]:
    """Write what earlier studies found into a study; yield a line for people on each.

    A kill can fall between any two writes: what is there already is not written again.
    """
    known = {record.key for record in study.records.values()}
    for each in earlier:
        if each.prior is not None:
            if each.prior.source not in {prior.source for prior in noted_priors(study)}:
                note_prior(study, each.prior)
            yield f"{each.prior.source}: {len(each.prior.candidates)} results known beforehand"
        if each.imported is not None:
            for record, drafted, costs in each.imported.candidates:
                if drafted.key in known:
                    continue
                proposal = Proposal(
                    params=drafted.params,
                    distributions=drafted.distributions,
                    candidate=candidate_dict(drafted.candidate),
                    key=drafted.key,
                    costs=costs,
                    resources=candidate_resources(problem, drafted.candidate),
                    constraints={"duplicate": 0.0},
                )
                study.bring_in(proposal, record, f"{each.imported.source}, trial {record.number}")
                known.add(drafted.key)
            yield str(each.imported)
        study.set_note(f"{_DONE_NOTE}{each.place}", True)


def import_differences(now: StudyFile, then: StudyFile, table: WarmStartTable) -> list[str]:
    """Return what keeps the results of an earlier study from being this one's, a line each."""
    mine, theirs = _meaning(now, table), _meaning(then, table)
    return [
        f"{key} is {theirs[key]!r} there, {mine[key]!r} here"
        for key in mine
        if mine[key] != theirs[key]
    ]


def _require_arguments(now: StudyFile, then: StudyFile, table: WarmStartTable) -> None:
    given = [name for file in (now, then) if file.problem for name in file.problem.arguments]
    for name in table.ranges:
        if name not in given:
            raise StudyError(
                f"warm_start: ranges names '{name}', which is under [problem.arguments] neither "
                f"here nor in {table.study}",
                hint=nearest_hint(name, given) if given else "leave out ranges",
            )


def _meaning(file: StudyFile, table: WarmStartTable) -> dict[str, Any]:
    """Return the settings that decide what a result means."""
    values = file.to_dict()
    problem = values["problem"] or {"path": None, "arguments": {}}
    arguments = problem["arguments"]
    return {
        "budget.epochs": values["budget"]["epochs"],
        "split": values["split"],
        "objectives": [(each["metric"], each["direction"]) for each in values["objectives"]],
        "training": values["training"],
        "space.name": values["space"]["name"],
        "latency": values["latency"],
        "problem.path": problem["path"],
        "problem.arguments": {k: v for k, v in arguments.items() if k not in table.ranges},
    }


def _fixed(problem: Problem, now: StudyFile, then: StudyFile) -> dict[str, Any]:
    """Return the parameters that the earlier study held fixed: this one may search them."""
    if not isinstance(problem, ECGProblem):
        return {}
    training = {**now.training, "epochs": now.budget.epochs}
    space = build_space(then.space.name, data_shape(problem.dataset), training, then.space.ranges)
    return {
        name: parameter.to_toml() for name, parameter in space.parameters.items() if parameter.fixed
    }


def open_earlier(folder: StudyFolder) -> Study:
    """Open another study to read it; nothing is written there.

    Raises:
        StudyError: there is none, or it has no storage yet.
    """
    if not folder.study_file().storage.url and not folder.journal.exists():
        raise StudyError(
            f"{folder.path} has no results: there is no {folder.journal.name}",
            hint="search it first, or leave it out",
        )
    return folder.open()
