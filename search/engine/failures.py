"""Why trials fail, and what is done about it: a pure policy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Classes of failure. The last three can end otherwise the next time."""

    NON_FINITE = "non-finite loss"
    BAD_DATA = "bad data"
    BUG = "bug"
    OUT_OF_MEMORY = "out of memory"
    """The accelerator's, or main memory: an allocation failed, or Ray or the kernel killed the
    worker. (What a kernel other than the driver's kills counts as a lost worker.)"""
    LOST_WORKER = "lost worker"
    LOST_NODE = "lost node"
    """The machine went, or cannot be reached: not the candidate's doing."""


LOSS_MESSAGES = {
    Cause.LOST_WORKER: "a worker process died",
    Cause.LOST_NODE: "a node died or cannot be reached",
}


@dataclass(frozen=True)
class Retry:
    """Lease the candidate again; it goes on from its last checkpoint.

    After it ran out of memory, with every batch in twice as many parts.
    """


@dataclass(frozen=True)
class GiveUp:
    """Record the failure and go on with other candidates."""


@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """Retries what a retry can mend, so many times a candidate."""

    max_losses: int = 3
    """Lost workers: the candidate itself may be what kills them."""
    max_node_losses: int = 20
    """Lost nodes: it hardly is, yet nothing is retried for ever."""
    max_out_of_memory: int = 1
    """Retries with smaller parts of a batch in memory."""
    max_bugs_in_a_row: int = 3
    """So many candidates in a row that fail alike (a bug, or unreadable data) end the search."""

    def decide(self, cause: Cause, retried: int) -> Retry | GiveUp:
        """Decide after a failure; the candidate was `retried` so often for this cause before."""
        most = {
            Cause.LOST_WORKER: self.max_losses,
            Cause.LOST_NODE: self.max_node_losses,
            Cause.OUT_OF_MEMORY: self.max_out_of_memory,
        }
        return Retry() if retried < most.get(cause, 0) else GiveUp()


_LOST_PEER = (
    "Connection closed by peer",
    "Connection reset by peer",
    "NCCL communicator was aborted",
)
"""What gloo and nccl say on the ranks that are left when another one dies."""

_HUNG_PEER = ("ms for recv operation to complete", "ms for send operation to complete")
"""What gloo says on the ranks that have waited too long for another one."""

KERNEL_KILL_MESSAGE = "a worker process died as the kernel killed one for lack of memory"
HUNG_MESSAGE = "a worker did not answer the others in time"

_NO_MEMORY = (
    "can't allocate memory",
    "Cannot allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What torch, the operating system and CUDA say in errors that have no class of their own."""

_LOW_MEMORY = "due to the node running low on memory"
"""What Ray's memory monitor says of a worker that it killed."""

_LOST_NODE = ("its node has died", "node was terminated", "The actor is temporarily unavailable")
"""What Ray says of an actor on a node that is gone; the last until the node is declared dead."""


def classify(error: BaseException) -> Cause:
    """Name the cause of an exception that learning raised.

    Works on the classes' names, so that neither torch nor ray has to be imported to tell.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    if "non-finite" in text or "not a finite number" in text:
        return Cause.NON_FINITE
    if "OutOfMemoryError" in names or isinstance(error, MemoryError):
        return Cause.OUT_OF_MEMORY
    if any(phrase in text for phrase in _NO_MEMORY):
        return Cause.OUT_OF_MEMORY
    if "DataError" in names:
        return Cause.BAD_DATA
    if names & {"NodeDiedError", "ActorUnavailableError"}:
        return Cause.LOST_NODE
    if names & {"RayActorError", "WorkerCrashedError"}:
        return classify_death(text)
    if any(phrase in text for phrase in (*_LOST_PEER, *_HUNG_PEER)):
        return Cause.LOST_WORKER
    return Cause.BUG


def classify_death(text: str) -> Cause:
    """Name the cause of a worker's death by what Ray says of it."""
    if _LOW_MEMORY in text:
        return Cause.OUT_OF_MEMORY
    if any(phrase in text for phrase in _LOST_NODE):
        return Cause.LOST_NODE
    return Cause.LOST_WORKER


def explain_death(text: str, *, memory_kills: int = 0) -> tuple[Cause, str]:
    """Name the cause of a worker's death by what Ray says of it, and tell it in one line.

    Args:
        memory_kills: how many processes the kernel killed for lack of memory since the worker was
            last heard of. Ray says nothing of that.
    """
    cause = classify_death(text)
    if cause is Cause.LOST_WORKER and memory_kills:
        return Cause.OUT_OF_MEMORY, KERNEL_KILL_MESSAGE
    if cause is not Cause.OUT_OF_MEMORY:
        return cause, _loss_message(cause, text)
    return cause, next(line for line in text.splitlines() if _LOW_MEMORY in line).strip()


def signature(message: str) -> str:
    """Return what is alike in the messages of one and the same failure of different candidates."""
    return re.sub(r"\S*\d\S*", "#", message)


class BugsInARow:
    """The candidates that failed alike, one after the other."""

    def __init__(self) -> None:
        self._messages: list[str] = []
        self._epoch = 0

    def add(self, message: str, epoch: int) -> int:
        """Take a failure in the course of an epoch; return how many in a row are like it."""
        if self._messages and signature(self._messages[-1]) != signature(message):
            self._messages.clear()
        self._messages.append(message)
        self._epoch = epoch
        return len(self._messages)

    def passed(self, epoch: int) -> None:
        """Hear that a candidate got through an epoch; through that of the last bug ends the row."""
        if epoch == self._epoch:
            self._messages.clear()


def one_line(error: BaseException) -> str:
    """Return class and first line of an exception, as it is shown and written down."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def explain(error: BaseException) -> tuple[Cause, str]:
    """Name the cause of a failed lease, and tell it in one line.

    Of a group of workers the worst error counts (Ray Train gives one a rank).

    When one rank dies or raises, the others fail in their next collective call; what they say then
    is an echo and counts only when there is nothing else.
    """
    failures = list(getattr(error, "worker_failures", {}).values()) or [error]
    causes = [(classify(_root(failure)), _root(failure)) for failure in failures]
    cause, root = min(causes, key=lambda pair: _TELLING.index(pair[0]))
    if cause in LOSS_MESSAGES:
        return cause, _loss_message(cause, str(root))
    return cause, one_line(root)


def _loss_message(cause: Cause, text: str) -> str:
    hung = cause is Cause.LOST_WORKER and any(phrase in text for phrase in _HUNG_PEER)
    return HUNG_MESSAGE if hung else LOSS_MESSAGES[cause]


_TELLING = [
    Cause.NON_FINITE,
    Cause.OUT_OF_MEMORY,
    Cause.BAD_DATA,
    Cause.LOST_NODE,
    Cause.LOST_WORKER,
    Cause.BUG,
]
"""The most telling cause first: what ranks say that lose a peer looks like one of the last two."""


def _root(error: BaseException) -> BaseException:
    """Return the exception that user code raised, out of Ray's wrappers."""
    for wrapped in ("_base_exc", "health_check_failure", "controller_failure", "cause"):
        inner = getattr(error, wrapped, None)
        if isinstance(inner, BaseException):
            return _root(inner)
    return error
