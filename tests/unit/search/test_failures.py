"""Failures: what they are called, and which of them are worth another try."""

from __future__ import annotations

import pytest

from ecgmodels.errors import DataError
from search.engine.failures import Cause, FailurePolicy, GiveUp, Retry, classify, one_line
from search.errors import StudyError


class OutOfMemoryError(RuntimeError):
    """Named like torch's, which is not imported to tell."""


class RayActorError(Exception):
    pass


class ActorUnavailableError(RayActorError):
    """Like Ray's: a kind of RayActorError."""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("non-finite loss at epoch 3, step 17"), Cause.NON_FINITE),
        (
            StudyError("metric 'f1' is nan, not a finite number", hint="lower the rate"),
            Cause.NON_FINITE,
        ),
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), Cause.OUT_OF_MEMORY),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            Cause.OUT_OF_MEMORY,
        ),
        (OSError(12, "Cannot allocate memory"), Cause.OUT_OF_MEMORY),
        (DataError("shard development-00000.arrow is short", hint="prepare again"), Cause.BAD_DATA),
        (RayActorError("the actor died"), Cause.LOST_WORKER),
        (ActorUnavailableError("the actor is unavailable"), Cause.LOST_WORKER),
        (RuntimeError("gloo/transport/tcp: Connection closed by peer [::1]"), Cause.LOST_WORKER),
        (RuntimeError("Connection reset by peer"), Cause.LOST_WORKER),
        (KeyError("lead"), Cause.BUG),
        (ZeroDivisionError("division by zero"), Cause.BUG),
    ],
)
def test_an_exception_is_classified(error: BaseException, cause: Cause) -> None:
    assert classify(error) is cause


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.LOST_WORKER])
def test_what_would_end_alike_again_is_given_up_at_once(cause: Cause) -> None:
    assert FailurePolicy().decide(cause, losses=0) == GiveUp()


def test_a_lost_worker_is_retried_so_many_times_a_candidate() -> None:
    policy = FailurePolicy(max_losses=2)
    decisions = [policy.decide(Cause.LOST_WORKER, losses) for losses in (1, 2, 3)]
    assert decisions == [Retry(), Retry(), GiveUp()]


def test_without_retries_a_lost_worker_is_given_up() -> None:
    assert FailurePolicy(max_losses=0).decide(Cause.LOST_WORKER, 1) == GiveUp()


def test_a_failure_is_shown_in_one_line() -> None:
    assert one_line(RuntimeError("first\nsecond")) == "RuntimeError: first"
    assert one_line(MemoryError()) == "MemoryError: no message"
