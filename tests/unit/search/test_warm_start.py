"""Studies that begin from earlier ones: what is imported, what is refused, and kills in between."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search.engine.conductor import Conductor
from search.engine.decisions import Done, Verdict
from search.engine.lease import Lease
from search.engine.reopening import reopenable
from search.errors import StudyError, StudyFileError
from search.execution.replay import replay
from search.objectives import Bound
from search.problem import Problem, ProblemSpec
from search.sampling.importing import imported_candidates
from search.sampling.prior import noted_priors
from search.study.creation import create_study
from search.study.folder import StudyFolder
from search.study.fronts import front_records
from search.study.records import EpochResult, Phase
from search.study.study import Study
from search.study_file.plan import plan
from search.study_file.reading import StudyFile
from search.warm_start import enqueued, read_earlier, require_candidates, take_over
from tests.toy import TOY_OBJECTIVES, ToyProblem
from tests.unit.search.test_conductor import Killed, MortalStorage, carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)

OBJECTIVES = [
    {"metric": "accuracy", "direction": "max"},
    {"metric": "parameters", "direction": "min", "exact": True},
]


def study_file(name: str, *, finite: int = 0, **settings: Any) -> StudyFile:
    table = {"path": "tests.toy:ToyProblem", "arguments": {"finite": finite}}
    values = {
        "name": name,
        "problem": table,
        "objectives": OBJECTIVES,
        "budget": {"candidates": 6, "epochs": 9},
        "sampler": {"name": "random"},
    }
    return StudyFile.from_dict({**values, **settings})


def problem_of(file: StudyFile) -> Problem:
    assert file.problem is not None
    return ProblemSpec(path=file.problem.path, arguments=file.problem.arguments).build()


def run(file: StudyFile) -> Study:
    """What `ecgsearch run` does, without Ray."""
    folder, problem = StudyFolder(Path(file.study)), problem_of(file)
    with folder.driving():
        begun = folder.begun()
        earlier = read_earlier(file, problem, None, begun)
        first = enqueued(file, begun)
        require_candidates(problem, file.to_bounds(), first, file.seed)
        study = folder.create(file, None)
        for _ in take_over(study, problem, earlier):
            pass
        asked = dataclasses.replace(plan(file), enqueued=first)
        conductor = Conductor(problem, study, asked, checkpoints=folder.trials)
        done = carry_out(conductor, problem, slots=1)  # type: ignore[arg-type]
        assert isinstance(done, Done)
        conductor.conclude()
    return folder.open()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGSEARCH_HOME", raising=False)


@pytest.fixture
def narrow(_home: None) -> Study:
    """All six candidates of a space of six."""
    return run(study_file("narrow", finite=6))


def wider(**settings: Any) -> StudyFile:
    table = {"study": "studies/narrow", "use": "import", "ranges": ["finite"]}
    return study_file("wide", **({"finite": 9, "warm_start": [table]} | settings))


def bytes_under(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# Imports ----------------------------------------------------------------------------------------


def test_imported_candidates_are_full_results_and_not_trained_again(narrow: Study) -> None:
    wide = run(wider())
    imported = [record for record in wide.records.values() if record.imported is not None]
    own = [record for record in wide.records.values() if record.imported is None]
    assert sorted(record.params["size"] for record in own) == [7, 8, 9]
    assert {record.key: record.curve for record in imported} == {
        record.key: record.curve for record in narrow.records.values()
    }
    by_key = {record.key: record for record in narrow.records.values()}
    for record in imported:
        earlier = by_key[record.key]
        assert (record.phase, record.costs) == (earlier.phase, earlier.costs)
        assert record.imported == f"studies/narrow, trial {earlier.number}"
        assert record.candidate == earlier.candidate
        assert record.params == earlier.params


def test_imported_candidates_have_their_verdicts_and_values_in_optuna(narrow: Study) -> None:
    wide = run(wider())
    trials = wide.storage.get_all_trials(wide._study_id, deepcopy=False)
    assert all(trial.state.is_finished() for trial in trials)
    for number, record in wide.records.items():
        if record.phase is Phase.DONE:
            assert trials[number].state is TrialState.COMPLETE
            values = [record.metrics["accuracy"], record.costs["parameters"]]
            assert trials[number].values == values
        ranges = trials[number].distributions["size"]
        assert (ranges.low, ranges.high) == (1, 9)  # type: ignore[attr-defined]


def test_imported_candidates_stand_on_the_front(narrow: Study) -> None:
    assert [record for record in front_records(run(wider())) if record.imported is not None]


@pytest.mark.parametrize(("imports", "verdict"), [(True, Verdict.CONTINUE), (False, Verdict.PAUSE)])
def test_imported_candidates_are_what_others_are_compared_with(
    imports: bool, verdict: Verdict
) -> None:
    """One in three goes on from a rung: with two imported ones, the first that beats both."""
    halving = {"min_results": 1, "finish_front": False}
    two = [{"size": 5}, {"size": 6}]
    budget = {"candidates": 2, "epochs": 9}
    run(study_file("narrow", finite=6, halving=halving, enqueue=two, budget=budget))
    file = wider(halving=halving)
    problem = problem_of(file)
    study = create_study(InMemoryStorage(), "wide", TOY_OBJECTIVES)
    if imports:
        list(take_over(study, problem, read_earlier(file, problem, None, None)))
    asked = dataclasses.replace(plan(file), enqueued=({"size": 1},))
    conductor = Conductor(problem, study, asked, checkpoints=Path("none"))
    lease = conductor.next(lambda _: True)
    assert isinstance(lease, Lease)
    best = EpochResult(number=1, metrics={"accuracy": 0.99}, seconds=1.0)
    assert conductor.report(lease.number, lease.attempt, [best]) is verdict


def test_imported_candidates_cost_nothing_of_the_budget(narrow: Study) -> None:
    wide = run(wider(budget={"candidates": 2, "epochs": 9}))
    assert sum(record.imported is None for record in wide.records.values()) == 2
    assert len(wide.records) == 8


def test_an_imported_candidate_that_was_stopped_is_not_taken_up_again(narrow: Study) -> None:
    assert Phase.STOPPED in {record.phase for record in narrow.records.values()}
    run(wider(budget={"candidates": 1, "epochs": 9}))
    wide = StudyFolder(Path("studies/wide"))
    again = reopenable(wide.open(), ToyProblem(finite=9), lambda _: True)
    assert not [record for record in again if record.imported is not None]
    stopped = [r for r in wide.open().records.values() if r.imported and r.phase is Phase.STOPPED]
    again = run(wider(budget={"candidates": 3, "epochs": 9}))
    assert stopped
    assert all(again.records[record.number] == record for record in stopped)


def test_failures_are_imported_and_what_was_never_trained_is_not(narrow: Study) -> None:
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    file = study_file("troubled", problem={"path": "tests.toy:ToyProblem", "arguments": {}})
    conductor = Conductor(ToyProblem(), study, plan(file), checkpoints=Path("none"))
    for _ in range(3):
        conductor.next(lambda _: True)
    from search.engine.failures import Cause

    conductor.failed(0, 1, Cause.BUG, "KeyError: 'x'")
    found = imported_candidates(
        ToyProblem(), study.records.values(), (), fixed={}, source="studies/troubled"
    )
    assert [record.number for record, _, _ in found.candidates] == [0]
    assert found.left_out == {"not trained": 2}
    target = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    from search.warm_start import Earlier

    lines = list(take_over(target, ToyProblem(), [Earlier(place=0, prior=None, imported=found)]))
    assert lines == ["studies/troubled: 1 candidate imported, left out: 2 not trained"]
    assert target.records[0].phase is Phase.FAILED
    assert target.records[0].failure == study.records[0].failure


def test_what_is_outside_the_space_or_its_bounds_is_left_out(narrow: Study) -> None:
    records = narrow.records.values()
    found = imported_candidates(
        ToyProblem(finite=4), records, [Bound("parameters", min=2)], fixed={}, source="s"
    )
    assert sorted(record.params["size"] for record, _, _ in found.candidates) == [2, 3, 4]
    assert found.left_out == {"outside this space": 2, "out of bounds": 1}
    with pytest.raises(StudyError, match=r"nothing of s can be imported \(s: 0 candidates"):
        imported_candidates(
            ToyProblem(finite=4), records, [Bound("parameters", min=9)], fixed={}, source="s"
        )


class Searching(ToyProblem):
    """A space that searches a parameter which the toy's small one holds fixed."""

    def suggest(self, trial: Any) -> dict[str, float]:
        found = super().suggest(trial)
        return {**found, "rate": trial.suggest_float("rate", 0.001, 0.1)}


def test_a_parameter_that_was_fixed_may_be_searched_now(narrow: Study) -> None:
    records = narrow.records.values()
    problem = Searching(finite=6)
    found = imported_candidates(problem, records, (), fixed={"rate": 0.01}, source="s")
    assert len(found.candidates) == 6
    assert all(drafted.params["rate"] == 0.01 for _, drafted, _ in found.candidates)
    with pytest.raises(StudyError, match=r"the space asks for 'rate', which trial 0 of s was"):
        imported_candidates(problem, records, (), fixed={}, source="s")


def test_a_parameter_that_is_fixed_now_leaves_out_who_had_another_value(narrow: Study) -> None:
    class Fixed(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {"size": 3, "rate": 0.01}

    records = narrow.records.values()
    found = imported_candidates(Fixed(), records, (), fixed={}, source="s")
    assert [record.params["size"] for record, _, _ in found.candidates] == [3]
    assert found.left_out == {"outside this space": 5}


def test_a_candidate_that_is_another_one_now_is_refused(narrow: Study) -> None:
    class Changed(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {**super().suggest(trial), "added": 1.0}

    with pytest.raises(StudyError, match=r"trial 0 of s, \w+, is rebuilt as \w+"):
        imported_candidates(Changed(finite=6), narrow.records.values(), (), fixed={}, source="s")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"budget": {"epochs": 12}}, "budget.epochs is 9 there, 12 here"),
        ({"objectives": [OBJECTIVES[0]]}, "objectives is .* there"),
        (
            {"problem": {"path": "tests.toy:ToyProblem", "arguments": {"finite": 6, "fail": "x"}}},
            "problem.arguments is {} there, {'fail': 'x'} here",
        ),
    ],
)
def test_results_that_mean_something_else_are_refused(
    narrow: Study, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(StudyError, match=f"studies/narrow cannot be imported: .*{reason}"):
        run(wider(**settings))
    assert not Path("studies/wide").exists()


def test_another_datasets_results_are_refused(narrow: Study) -> None:
    file = wider()
    with pytest.raises(StudyError, match="the dataset is another one") as caught:
        read_earlier(file, problem_of(file), "abc", None)
    assert 'use = "prior"' in caught.value.hint


@pytest.mark.parametrize("use", ["prior", "import"])
def test_a_study_that_is_not_there_is_named_and_nothing_written(use: str) -> None:
    with pytest.raises(StudyError, match="studies/none holds no study"):
        run(study_file("wide", warm_start=[{"study": "studies/none", "use": use}]))
    assert not Path("studies").exists()


def test_a_study_without_its_journal_is_refused_and_gets_none(narrow: Study) -> None:
    journal = Path("studies/narrow/journal.log")
    journal.unlink()
    with pytest.raises(StudyError, match=r"has no results: there is no journal\.log"):
        run(wider())
    assert not journal.exists()


def test_earlier_studies_are_only_read_and_only_once(narrow: Study) -> None:
    before = bytes_under(Path("studies/narrow"))
    run(wider(budget={"candidates": 1, "epochs": 9}))
    prior = [{"study": "studies/narrow"}]
    run(study_file("learning", warm_start=prior))
    assert bytes_under(Path("studies/narrow")) == before
    Path("studies/narrow").rename("studies/gone")
    assert len(run(wider()).records) == 9
    assert len(run(study_file("learning", warm_start=prior)).records) == 6


def test_a_kill_between_any_two_writes_imports_nobody_twice(narrow: Study) -> None:
    file = wider()
    problem = problem_of(file)
    for writes in range(7):
        storage = MortalStorage()
        study = create_study(storage, "wide", TOY_OBJECTIVES)
        earlier = read_earlier(file, problem, None, study)
        storage.writes_left = writes
        try:
            list(take_over(study, problem, earlier))
        except Killed:
            storage.writes_left = math.inf
            study = Study(storage, "wide", TOY_OBJECTIVES)
            list(take_over(study, problem, read_earlier(file, problem, None, study)))
        assert sorted(r.params["size"] for r in study.records.values()) == [1, 2, 3, 4, 5, 6]
        assert read_earlier(file, problem, None, study) == []


# Priors -----------------------------------------------------------------------------------------


def test_a_prior_is_kept_in_the_study_and_says_what_is_tried_first(narrow: Study) -> None:
    file = study_file("learning", finite=50, warm_start=[{"study": "studies/narrow"}])
    study = run(file)
    assert [prior.source for prior in noted_priors(study)] == ["studies/narrow"]
    front = {record.params["size"] for record in front_records(narrow)}
    first = [study.records[n].params["size"] for n in range(min(6, len(front)))]
    assert set(first) <= front
    assert all(record.imported is None for record in study.records.values())
    assert len(study.records) == 6


def test_what_a_study_began_from_may_not_change(narrow: Study) -> None:
    run(wider(budget={"candidates": 1, "epochs": 9}))
    with pytest.raises(StudyError, match="begun with other settings: warm_start"):
        run(wider(warm_start=[{"study": "studies/narrow"}]))


# What a study file may say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"enqueue": [{}]}, "enqueue[0] has no parameters"),
        ({"enqueue": [{"size": [1, 2]}]}, "enqueue[0].size: not one value"),
        ({"enqueue": [{"size": 1}, {"size": 1}]}, "enqueue[1] is there twice"),
        (
            {"enqueue": [{"size": n} for n in range(7)]},
            "7 candidates are enqueued, budget.candidates is 6",
        ),
        (
            {"warm_start": [{"study": "studies/mine"}]},
            "warm_start: 'studies/mine' is this study itself",
        ),
        (
            {"warm_start": [{"study": "a"}, {"study": "a", "use": "import"}]},
            "warm_start: 'a' is there twice",
        ),
        (
            {"warm_start": [{"study": "a", "ranges": ["finite"]}]},
            "warm_start[0]: ranges has no effect: a prior may be of any space",
        ),
        (
            {"warm_start": [{"study": "a", "use": "imprt"}]},
            "warm_start[0].use: expected 'prior' or 'import', got \"imprt\"",
        ),
    ],
)
def test_a_beginning_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        study_file("mine", **settings)
    assert str(caught.value).endswith(message)


def test_what_the_space_lacks_is_refused_before_anything_is_written() -> None:
    with pytest.raises(StudyError, match=r"enqueue\[1\] \(size = 0\): 'size' is 0, outside 1"):
        run(study_file("mine", enqueue=[{"size": 3}, {"size": 0}]))
    assert not Path("studies").exists()


def test_ranges_that_name_no_argument_are_refused(narrow: Study) -> None:
    table = {"study": "studies/narrow", "use": "import", "ranges": ["finite", "finit"]}
    with pytest.raises(StudyError, match="ranges names 'finit'") as caught:
        run(wider(warm_start=[table]))
    assert caught.value.hint == "did you mean 'finite'?"
    assert not Path("studies/wide").exists()


def test_more_may_be_enqueued_when_a_study_goes_on() -> None:
    first = run(study_file("mine", enqueue=[{"size": 3}]))
    assert first.records[0].params["size"] == 3
    more = study_file(
        "mine", enqueue=[{"size": 4}, {"size": 3}], budget={"candidates": 8, "epochs": 9}
    )
    again = run(more)
    assert [record.params["size"] for record in again.records.values()].count(3) == 1
    assert again.records[6].params["size"] == 4


class Timed(ToyProblem):
    """A toy whose latency has to be measured."""

    def measured_costs(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def measure(self, candidate: Any) -> dict[str, float]:
        return {"latency_ms": 0.1 * candidate["size"]}


def test_a_prior_need_not_have_measured_what_this_machine_measures(narrow: Study) -> None:
    latency = {"metric": "latency_ms", "direction": "min", "exact": True}
    file = study_file(
        "timed",
        problem={"path": "tests.unit.search.test_warm_start:Timed", "arguments": {}},
        objectives=[*OBJECTIVES, latency],
        warm_start=[{"study": "studies/narrow"}],
    )
    study = run(file)
    front = {record.params["size"] for record in front_records(narrow)}
    assert study.records[0].params["size"] in front
    assert all(record.costs["latency_ms"] > 0 for record in study.records.values())


def test_what_began_from_earlier_studies_and_was_extended_can_be_replayed(narrow: Study) -> None:
    settings: dict[str, Any] = {
        "halving": {"min_results": 1, "finish_front": False},
        "sampler": {"name": "tpe", "startup": 4},
        "warm_start": [{"study": "studies/narrow"}],
    }
    run(study_file("learning", **settings))
    learning = run(study_file("learning", **settings, budget={"candidates": 20, "epochs": 9}))
    trials = learning.storage.get_all_trials(learning._study_id, deepcopy=False)
    assert [trial for trial in trials if "continues" in trial.user_attrs]
    assert replay(learning, ToyProblem()).difference is None
    wide = run(wider(enqueue=[{"size": 8}], budget={"candidates": 3, "epochs": 9}))
    assert replay(wide, ToyProblem(finite=9)).difference is None
