"""Engine and study together: leases, verdicts, and searches that are killed at any write."""

from __future__ import annotations

import math
import random
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done, Verdict
from search.engine.failures import Cause, FailurePolicy
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.lease import Lease
from search.errors import StudyError
from search.execution.replay import replay
from search.study.creation import create_study
from search.study.records import CandidateRecord, EpochResult, Failure, Phase
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem
from tests.unit.search.driving import Killed, MortalStorage, carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAME = "toy"
FULL_LENGTH = 9
PATIENT = FailurePolicy(max_bugs_in_a_row=1000)


class Events:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def started(self, record: CandidateRecord) -> None:
        self.seen.append(("started", record.number, record.attempt))

    def reported(self, record: CandidateRecord, verdict: Verdict) -> None:
        self.seen.append(("reported", record.number, record.epochs, verdict))

    def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None:
        self.seen.append(("failed", record.number, failure.cause, retried))


def plan(candidates: int = 4, *, halving: ParetoHalving | None = None, **options: Any) -> Plan:
    goal = Goal(candidates=candidates, max_epochs=FULL_LENGTH)
    return Plan(goal=goal, sampler="random", halving=halving, **options)


def new_study() -> Study:
    return create_study(InMemoryStorage(), NAME, TOY_OBJECTIVES)


def conductor_of(study: Study, asked: Plan, **options: Any) -> Conductor:
    return Conductor(
        ToyProblem(), study, asked, checkpoints=options.pop("checkpoints", Path("/none")), **options
    )


def lease_of(conductor: Conductor) -> Lease:
    lease = conductor.next(lambda resources: True)
    assert isinstance(lease, Lease)
    return lease


def result(epoch: int, accuracy: float = 0.5) -> EpochResult:
    return EpochResult(number=epoch, metrics={"accuracy": accuracy}, seconds=1.0)


# Leases -----------------------------------------------------------------------------------------


def test_a_lease_says_all_that_a_worker_needs() -> None:
    study = new_study()
    halving = ParetoHalving(eta=3)
    conductor = conductor_of(study, plan(halving=halving), checkpoints=Path("/study/trials"))
    lease = lease_of(conductor)
    record = study.records[0]
    assert (lease.number, lease.attempt, lease.known_epochs) == (0, 1, 0)
    assert (lease.key, lease.params, lease.resources) == (record.key, record.params, Resources())
    assert (lease.max_epochs, lease.rungs) == (9, (1, 3))
    assert lease.checkpoints == Path("/study/trials") / f"00000-{record.key[:12]}"


def test_a_candidate_is_running_in_the_study_before_its_lease_is_handed_out() -> None:
    study = new_study()
    lease = lease_of(conductor_of(study, plan()))
    assert study.records[lease.number].phase is Phase.RUNNING


def test_the_seed_of_training_depends_on_study_and_candidate_not_on_the_attempt() -> None:
    def seeds(study_seed: int) -> list[int]:
        study = new_study()
        conductor = conductor_of(study, plan(seed=study_seed))
        first = lease_of(conductor)
        conductor.failed(first.number, first.attempt, Cause.LOST_WORKER, "gone")
        again = lease_of(conductor)
        assert (again.number, again.attempt) == (first.number, 2)
        return [first.seed, again.seed, lease_of(conductor).seed]

    first, again, other = seeds(0)
    assert first == again != other
    assert seeds(0) == [first, again, other]
    assert seeds(1)[0] != first


def test_a_promoted_candidate_is_leased_with_what_the_study_knows() -> None:
    conductor = conductor_of(new_study(), plan(halving=ParetoHalving(eta=3)))
    leases = [lease_of(conductor) for _ in range(3)]
    scores = {leases[0].number: 0.9, leases[1].number: 0.5, leases[2].number: 0.4}
    for lease in leases:
        conductor.report(lease.number, 1, [result(1, scores[lease.number])])
    promoted = lease_of(conductor)
    assert (promoted.attempt, promoted.known_epochs) == (2, 1)


# Results ----------------------------------------------------------------------------------------


def test_every_verdict_is_in_the_study_when_the_worker_hears_it() -> None:
    study = new_study()
    conductor = conductor_of(study, plan(halving=ParetoHalving(eta=3, first_rung=2)))
    lease = lease_of(conductor)
    assert conductor.report(0, lease.attempt, [result(1)]) is Verdict.CONTINUE
    assert (study.records[0].phase, study.records[0].epochs) == (Phase.RUNNING, 1)
    assert conductor.report(0, lease.attempt, [result(2)]) is Verdict.PAUSE
    assert (study.records[0].phase, study.records[0].epochs) == (Phase.PAUSED, 2)


def test_full_length_ends_a_candidate() -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    lease = lease_of(conductor)
    epochs = [result(n) for n in range(1, FULL_LENGTH + 1)]
    assert conductor.report(0, lease.attempt, epochs) is Verdict.STOP
    assert study.records[0].phase is Phase.DONE


def test_a_worker_of_an_earlier_attempt_is_told_to_stop_and_not_listened_to() -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    old = lease_of(conductor)
    conductor.failed(0, old.attempt, Cause.LOST_WORKER, "gone")
    new = lease_of(conductor)
    assert conductor.report(0, old.attempt, [result(1)]) is Verdict.STOP
    conductor.failed(0, old.attempt, Cause.BUG, "echo")
    assert study.records[0].curve == ()
    assert study.records[0].phase is Phase.RUNNING
    assert conductor.report(0, new.attempt, [result(1)]) is Verdict.CONTINUE


def test_a_worker_whose_candidate_was_given_up_is_told_to_stop() -> None:
    conductor = conductor_of(new_study(), plan())
    lease = lease_of(conductor)
    conductor.failed(0, lease.attempt, Cause.BAD_DATA, "shard is short")
    assert conductor.report(0, lease.attempt, [result(1)]) is Verdict.STOP


def test_a_missing_metric_is_a_bug_of_that_candidate() -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    lease = lease_of(conductor)
    misnamed = EpochResult(number=1, metrics={"acuracy": 0.5}, seconds=1.0)
    assert conductor.report(0, lease.attempt, [misnamed]) is Verdict.STOP
    missing = Failure(cause="bug", message="metric 'accuracy' is missing", attempt=1)
    assert study.records[0].failure == missing
    assert lease_of(conductor).number == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_objective_that_is_not_finite_fails_its_candidate_as_such(value: float) -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    lease = lease_of(conductor)
    assert conductor.report(0, lease.attempt, [result(1, value)]) is Verdict.STOP
    assert study.records[0].failure == Failure(
        cause="non-finite loss",
        message=f"metric 'accuracy' is {value}, not a finite number",
        attempt=1,
    )
    assert study.records[0].curve == ()


def test_diverging_candidates_in_a_row_do_not_halt_the_search() -> None:
    conductor = conductor_of(new_study(), plan(candidates=10))
    for number in range(5):
        lease = lease_of(conductor)
        assert lease.number == number
        conductor.report(number, lease.attempt, [result(1, math.nan)])


def test_a_skipped_epoch_fails_its_candidate_and_the_study_goes_on() -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    lease = lease_of(conductor)
    assert conductor.report(0, lease.attempt, [result(2)]) is Verdict.STOP
    assert study.records[0].failure is not None
    assert study.records[0].failure.message == "candidate 0 reports epoch 2 after 0"
    assert lease_of(conductor).number == 1


def test_a_lost_worker_is_noted_and_the_candidate_waits() -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    lease = lease_of(conductor)
    conductor.failed(0, lease.attempt, Cause.LOST_WORKER, "gone")
    record = study.records[0]
    assert (record.phase, record.failure) == (Phase.PAUSED, None)
    assert record.setbacks == (Failure(cause="lost worker", message="gone", attempt=1),)


def test_out_of_memory_is_retried_once_with_halved_batches_under_the_same_identity() -> None:
    study = new_study()
    conductor = conductor_of(study, plan())
    lease = lease_of(conductor)
    assert lease.batch_parts == 1
    conductor.failed(0, lease.attempt, Cause.OUT_OF_MEMORY, "full")
    again = lease_of(conductor_of(study, plan()))  # also when the driver was killed meanwhile
    assert (again.number, again.key, again.seed) == (0, lease.key, lease.seed)
    assert again.batch_parts == 2


def test_out_of_memory_again_gives_the_candidate_up() -> None:
    study = new_study()
    for _ in range(2):
        conductor = conductor_of(study, plan())
        lease = lease_of(conductor)
        conductor.failed(0, lease.attempt, Cause.OUT_OF_MEMORY, "full")
    record = study.records[0]
    assert record.failure == Failure(cause="out of memory", message="full", attempt=2)
    assert [setback.attempt for setback in record.setbacks] == [1]


def test_a_listener_hears_of_starts_results_and_failures() -> None:
    events = Events()
    conductor = conductor_of(new_study(), plan(), listener=events)
    lease = lease_of(conductor)
    conductor.report(0, lease.attempt, [result(1)])
    conductor.failed(0, lease.attempt, Cause.LOST_WORKER, "gone")
    conductor.failed(0, lease_of(conductor).attempt, Cause.NON_FINITE, "nan")
    assert events.seen == [
        ("started", 0, 1),
        ("reported", 0, 1, Verdict.CONTINUE),
        ("failed", 0, "lost worker", True),
        ("started", 0, 2),
        ("failed", 0, "non-finite loss", False),
    ]


# Taking a study up ------------------------------------------------------------------------------


def test_a_candidate_killed_between_its_last_epoch_and_its_verdict_is_done() -> None:
    storage = MortalStorage()
    conductor = conductor_of(create_study(storage, NAME, TOY_OBJECTIVES), plan(candidates=1))
    lease = lease_of(conductor)
    storage.writes_left = FULL_LENGTH
    with pytest.raises(Killed):
        conductor.report(0, lease.attempt, [result(n) for n in range(1, FULL_LENGTH + 1)])
    storage.writes_left = math.inf
    study = Study(storage, NAME, TOY_OBJECTIVES)
    resumed = conductor_of(study, plan(candidates=1))
    assert study.records[0].phase is Phase.DONE
    assert resumed.next(lambda resources: True) == Done()


HALVING = ParetoHalving(eta=3)


def require_sound(study: Study, candidates: int) -> None:
    """What holds of every finished search, however often it was killed."""
    records = study.records
    assert len(records) == candidates
    assert len({record.key for record in records.values()}) == candidates
    assert all(record.phase.is_final for record in records.values())
    trials = study.storage.get_all_trials(study._study_id, deepcopy=False)
    assert all(trial.state.is_finished() for trial in trials)
    assert len(trials) == candidates + len(study.rejections)
    for record in records.values():
        assert [epoch.number for epoch in record.curve] == list(range(1, record.epochs + 1))
        assert (record.failure is not None) == (record.phase is Phase.FAILED)
        if record.phase is Phase.DONE:
            assert record.epochs == FULL_LENGTH
        if record.phase is Phase.STOPPED:
            assert record.epochs in HALVING.rungs(FULL_LENGTH)


def require_agreement(study: Study, undisturbed: Study) -> None:
    """The same candidates with the same curves, as far as halving let both of them go."""
    expected = {record.key: record.curve for record in undisturbed.records.values()}
    assert {record.key for record in study.records.values()} == set(expected)
    for record in study.records.values():
        both = min(record.epochs, len(expected[record.key]))
        assert record.curve[:both] == expected[record.key][:both]


@settings(max_examples=25, deadline=None)
@given(
    kills=st.lists(st.integers(0, 120), max_size=4),
    fail=st.sampled_from(["", "large"]),
    halving=st.sampled_from([HALVING, None]),
    chance=st.randoms(use_true_random=False),
)
def test_a_search_killed_at_any_write_is_finished_by_who_takes_it_up(
    kills: list[int], fail: str, halving: ParetoHalving | None, chance: random.Random
) -> None:
    candidates = 10
    problem = ToyProblem(fail=fail)
    asked = plan(candidates, halving=halving, failure_policy=PATIENT)
    storage = MortalStorage()
    create_study(storage, NAME, TOY_OBJECTIVES)
    finished: dict[int, CandidateRecord] = {}
    with tempfile.TemporaryDirectory() as folder:
        for writes in [*kills, math.inf]:
            storage.writes_left = writes
            study = Study(storage, NAME, TOY_OBJECTIVES)
            try:
                conductor = conductor_of(study, asked, checkpoints=Path(folder))
                done = carry_out(conductor, problem, loses_worker=lambda: chance.random() < 0.1)
                assert done == Done()
                conductor.conclude()
            except Killed:
                records = Study(storage, NAME, TOY_OBJECTIVES).records
                assert finished.items() <= records.items()  # nothing finished is done again
                finished = {n: record for n, record in records.items() if record.phase.is_final}
    require_sound(study, candidates)
    assert Study(storage, NAME, TOY_OBJECTIVES).records == study.records


def test_candidates_that_are_promoted_at_once_all_train_on_wherever_a_kill_falls(
    tmp_path: Path,
) -> None:
    """When nothing new is left, all members of the front are promoted in one decision."""

    def epochs_of(writes: float) -> list[int]:
        storage = MortalStorage()
        create_study(storage, NAME, TOY_OBJECTIVES)
        for storage.writes_left in (writes, math.inf):
            study = Study(storage, NAME, TOY_OBJECTIVES)
            folder = tmp_path / str(writes)
            try:
                conductor = conductor_of(study, plan(8, halving=HALVING), checkpoints=folder)
                carry_out(conductor, ToyProblem(), slots=1)
                conductor.conclude()
                break
            except Killed:
                continue
        assert replay(study, ToyProblem()).difference is None
        return [record.epochs for record in study.records.values()]

    undisturbed = epochs_of(math.inf)
    for writes in range(50, 80):  # the promotions are among these
        assert epochs_of(writes) == undisturbed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A search of eight candidates that nothing disturbed."""
    study = new_study()
    folder = tmp_path_factory.mktemp("undisturbed")
    conductor = conductor_of(study, plan(8, halving=HALVING), checkpoints=folder)
    carry_out(conductor, ToyProblem(), slots=1)
    conductor.conclude()
    require_sound(study, 8)
    return study


@settings(max_examples=15, deadline=None)
@given(interruptions=st.lists(st.integers(1, 25), max_size=6))
def test_a_search_that_is_left_and_taken_up_again_finds_what_an_undisturbed_one_finds(
    undisturbed: Study, interruptions: list[int]
) -> None:
    asked = plan(8, halving=HALVING)
    storage = InMemoryStorage()
    create_study(storage, NAME, TOY_OBJECTIVES)
    with tempfile.TemporaryDirectory() as folder:
        for steps in [*interruptions, math.inf]:
            study = Study(storage, NAME, TOY_OBJECTIVES)
            conductor = conductor_of(study, asked, checkpoints=Path(folder))
            if carry_out(conductor, ToyProblem(), steps=steps) is not None:
                conductor.conclude()
    require_sound(study, 8)
    require_agreement(study, undisturbed)


def test_workers_that_are_lost_all_the_time_change_no_result(
    undisturbed: Study, tmp_path: Path
) -> None:
    study = new_study()
    asked = plan(8, halving=HALVING, failure_policy=FailurePolicy(max_losses=1000))
    chance = random.Random(0)
    conductor = conductor_of(study, asked, checkpoints=tmp_path)
    carry_out(conductor, ToyProblem(), slots=1, loses_worker=lambda: chance.random() < 0.25)
    conductor.conclude()
    require_sound(study, 8)
    assert sum(len(record.setbacks) for record in study.records.values()) > 5
    require_agreement(study, undisturbed)


def test_a_candidate_that_the_space_now_builds_otherwise_ends_the_run_before_any_lease(
    tmp_path: Path,
) -> None:
    """And loses nothing: with the old code back, the study goes on."""

    class Changed(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {**super().suggest(trial), "added": 1.0}

    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    plan = Plan(goal=Goal(candidates=2, max_epochs=3), sampler="random")
    Conductor(ToyProblem(), study, plan, checkpoints=tmp_path).next(lambda _: True)
    with pytest.raises(StudyError, match="is rebuilt as"):
        Conductor(Changed(), study, plan, checkpoints=tmp_path)
    lease = Conductor(ToyProblem(), study, plan, checkpoints=tmp_path).next(lambda _: True)
    assert isinstance(lease, Lease)
    assert (lease.number, lease.attempt) == (0, 2)


def test_a_candidate_goes_on_with_the_resources_that_are_asked_for_today(tmp_path: Path) -> None:
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    plan = Plan(goal=Goal(candidates=1, max_epochs=3), sampler="random")
    wide = ToyProblem(wide_above=0, workers=4)
    Conductor(wide, study, plan, checkpoints=tmp_path).next(lambda _: True)
    lease = Conductor(ToyProblem(), study, plan, checkpoints=tmp_path).next(lambda _: True)
    assert isinstance(lease, Lease)
    assert lease.resources == Resources(workers=1)
