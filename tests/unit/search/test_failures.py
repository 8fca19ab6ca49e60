"""Failures: what they are called, and which of them are worth another try."""

from __future__ import annotations

import pytest

from ecgmodels.errors import DataError
from search.engine.failures import (
    Cause,
    FailurePolicy,
    GiveUp,
    Retry,
    classify,
    explain,
    explain_death,
    one_line,
)
from search.errors import StudyError


class OutOfMemoryError(RuntimeError):
    """Named like torch's, which is not imported to tell."""


class RayActorError(Exception):
    pass


class ActorUnavailableError(RayActorError):
    """Like Ray's: a kind of RayActorError."""


class NodeDiedError(Exception):
    pass


# What Ray 2.60 says, shortened.
DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: LeaseRunner
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit
detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes
include: (1) the process was killed by the OOM killer due to high memory usage, (2) ray stop"""
NODE_DIED = """The actor died unexpectedly before finishing this task.
The actor died because its node has died. Node Id: 1d61d29e
\tthe actor's node was terminated unexpectedly: health check failed due to missing too many"""
MEMORY_MONITOR = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "10.0.0.5, ID: 49c4) was 22.9GB used / 23.5GB limit (0.97)"
)


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
        (RuntimeError("CUDA error: out of memory"), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when ..."), Cause.OUT_OF_MEMORY),
        (DataError("shard development-00000.arrow is short", hint="prepare again"), Cause.BAD_DATA),
        (RayActorError("the actor died"), Cause.LOST_WORKER),
        (RayActorError(DIED), Cause.LOST_WORKER),
        (RayActorError(NODE_DIED), Cause.LOST_NODE),
        (ActorUnavailableError("the actor is unavailable"), Cause.LOST_NODE),
        (NodeDiedError("the task's node died"), Cause.LOST_NODE),
        (OutOfMemoryError(MEMORY_MONITOR), Cause.OUT_OF_MEMORY),
        (RuntimeError("gloo/transport/tcp: Connection closed by peer [::1]"), Cause.LOST_WORKER),
        (RuntimeError("Connection reset by peer"), Cause.LOST_WORKER),
        (RuntimeError("Timed out waiting 9ms for recv operation to complete"), Cause.LOST_WORKER),
        (KeyError("lead"), Cause.BUG),
        (ZeroDivisionError("division by zero"), Cause.BUG),
    ],
)
def test_an_exception_is_classified(error: BaseException, cause: Cause) -> None:
    assert classify(error) is cause


@pytest.mark.parametrize("cause", [Cause.NON_FINITE, Cause.BAD_DATA, Cause.BUG])
def test_what_would_end_alike_again_is_given_up_at_once(cause: Cause) -> None:
    assert FailurePolicy().decide(cause, retried=0) == GiveUp()


@pytest.mark.parametrize(
    ("cause", "most"),
    [(Cause.OUT_OF_MEMORY, 1), (Cause.LOST_WORKER, 3), (Cause.LOST_NODE, 20)],
)
def test_what_may_end_otherwise_is_retried_so_many_times_a_candidate(
    cause: Cause, most: int
) -> None:
    policy = FailurePolicy()
    assert all(policy.decide(cause, retried) == Retry() for retried in range(most))
    assert policy.decide(cause, most) == GiveUp()


def test_without_retries_a_lost_worker_is_given_up() -> None:
    assert FailurePolicy(max_losses=0).decide(Cause.LOST_WORKER, 0) == GiveUp()


def test_a_death_is_explained_by_what_ray_says_of_it() -> None:
    assert explain_death(DIED) == (Cause.LOST_WORKER, "a worker process died")
    assert explain_death(NODE_DIED) == (Cause.LOST_NODE, "a node died or cannot be reached")
    cause, message = explain_death(f"Failure # 1\n{MEMORY_MONITOR}\nOOM kill reason: ...")
    assert cause is Cause.OUT_OF_MEMORY
    assert message == MEMORY_MONITOR
    assert explain_death("") == (Cause.LOST_WORKER, "a worker process died")


def test_a_death_while_the_kernel_killed_for_lack_of_memory_is_put_down_to_that() -> None:
    cause, message = explain_death(DIED, memory_kills=1)
    assert cause is Cause.OUT_OF_MEMORY
    assert message == "a worker process died as the kernel killed one for lack of memory"
    assert explain_death(NODE_DIED, memory_kills=1)[0] is Cause.LOST_NODE


class GroupError(Exception):
    """Like Ray Train's and the warm group's: one error a rank."""

    def __init__(self, *failures: BaseException) -> None:
        self.worker_failures = dict(enumerate(failures))


ECHO = RuntimeError("gloo/transport/tcp: Connection closed by peer [::1]")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (RayActorError("died"), (Cause.LOST_WORKER, "a worker process died")),
        (RayActorError("its node has died"), (Cause.LOST_NODE, "a node died or cannot be reached")),
        (OutOfMemoryError("CUDA full"), (Cause.OUT_OF_MEMORY, "OutOfMemoryError: CUDA full")),
        (KeyError("lead"), (Cause.LOST_WORKER, "a worker process died")),
    ],
)
def test_of_a_group_the_most_telling_failure_counts(
    failure: BaseException, told: tuple[Cause, str]
) -> None:
    assert explain(GroupError(ECHO, failure)) == told


def test_a_failure_is_shown_in_one_line() -> None:
    assert one_line(RuntimeError("first\nsecond")) == "RuntimeError: first"
    assert one_line(MemoryError()) == "MemoryError: no message"
