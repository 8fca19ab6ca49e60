"""What the ranks of a warm group raised, as it travels to the driver."""

from __future__ import annotations

import pickle

from search.engine.failures import Cause, explain, explain_death
from search.execution.warm_group import GroupFailure

ECHO = RuntimeError("gloo/transport/tcp: Connection closed by peer [::1]")


def test_of_what_ranks_raise_the_root_counts_not_the_echo() -> None:
    failure = GroupFailure({0: ECHO, 1: ValueError("non-finite loss at epoch 3, step 17")})
    assert explain(failure) == (
        Cause.NON_FINITE,
        "ValueError: non-finite loss at epoch 3, step 17",
    )


def test_a_failure_survives_being_sent() -> None:
    sent = pickle.loads(pickle.dumps(GroupFailure({0: ECHO})))
    assert str(sent) == f"rank 0: {ECHO}"
    assert explain(sent) == (Cause.LOST_WORKER, "a worker process died")


def test_the_driver_reads_the_cause_from_the_text() -> None:
    hung = GroupFailure({1: RuntimeError("Timed out waiting 9ms for recv operation to complete")})
    assert explain_death(str(hung)) == (
        Cause.LOST_WORKER,
        "a worker did not answer the others in time",
    )
    gone = GroupFailure({0: ECHO, 1: RuntimeError("The actor died because its node has died.")})
    assert explain_death(str(gone))[0] is Cause.LOST_NODE
