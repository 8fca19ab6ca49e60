"""Applying a function to many items on a cluster, where some fail and some workers die."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import ray

from cluster.errors import ClusterError
from cluster.resources import read_capacity

Item = TypeVar("Item")
Result = TypeVar("Result")


# What ends one item's worker, or takes its result away, and leaves the cluster to the others.
_LOSSES = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
)


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[Item, Result]):
    """What became of one item: a result, or else an error."""

    name: str
    item: Item
    result: Result | None = None
    error: Exception | None = None
    lost: bool = False
    """The function did not fail, but what it ran on: its worker died, or a node."""


def iter_items(
    function: Callable[[Item], Result],
    items: Iterable[tuple[str, Item]],
    *,
    cpus: float = 1.0,
    in_flight: int | None = None,
) -> Generator[Answer[Item, Result]]:
    """Applies `function` to each item on the connected cluster; answers come in the items' order.

    Items are taken from `items` as there is room for them, and results are held for no longer
    than until they are handed over, so neither need fit into memory.

    Args:
        function: Called on the cluster. Workers import it from their own checkout.
        items: Names, which are those of the answers, and items.
        cpus: CPUs reserved for one item.
        in_flight: How many items are submitted and not yet handed over, to bound what waits in
            memory; by default twice as many as run at once.

    An item whose worker dies is tried once more, then it counts as lost; one that raises is not
    tried again, since it would raise again. Leaving the iteration early cancels what runs.

    Raises:
        ClusterError: The cluster as a whole can not go on.
    """

    def call(item: Item) -> Result:
        return function(item)  # Ray takes functions alone, not every callable

    task = ray.remote(num_cpus=cpus, max_retries=1)(call)
    bound = in_flight or max(1, 2 * int(read_capacity().cpus // max(cpus, 0.01)))
    waiting = iter(items)
    running: deque[tuple[str, Item, Any]] = deque()
    while True:
        while len(running) < bound and (following := next(waiting, None)):
            name, item = following
            running.append((name, item, task.remote(item)))
        if not running:
            return
        answer = _wait_for(*running[0])
        running.popleft()  # with the reference goes the result's place in the object store
        yield answer


def map_items(
    function: Callable[[Item], Result],
    items: Mapping[str, Item],
    *,
    cpus: float = 1.0,
    in_flight: int | None = None,
    on_error: Callable[[str, Exception], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Result]:
    """Applies `function` to each item on the connected cluster, as `iter_items` does.

    Args:
        items: Item by name; the names are those of errors and results.
        cpus: CPUs reserved for one item.
        in_flight: See `iter_items`.
        on_error: Called with an item's name and what it raised; the others go on, and the item
            is missing in the results. Without it, the first failure ends the mapping.
        progress: Called with how many items are done, failed ones too, and how many there are.

    Returns:
        Result by name, in the order of `items`.

    Raises:
        ClusterError: An item failed and there is no `on_error`; its `__cause__` is the failure.
    """
    results: dict[str, Result] = {}
    answers = iter_items(function, items.items(), cpus=cpus, in_flight=in_flight)
    for done, answer in enumerate(answers, start=1):
        if answer.error is None:
            results[answer.name] = cast(Result, answer.result)
        else:
            _report(answer.name, answer.error, on_error)
        if progress is not None:
            progress(done, len(items))
    return results


def _wait_for(name: str, item: Item, reference: Any) -> Answer[Item, Any]:
    try:
        return Answer(name=name, item=item, result=ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        return Answer(name=name, item=item, error=_cause(error))
    except _LOSSES as error:
        return Answer(name=name, item=item, error=error, lost=True)
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the cluster failed while it worked on {name}: {type(error).__name__}: "
            + " ".join(str(error).split()),
            hint="see what `ray status` says, and run again",
        ) from error


def _report(name: str, error: Exception, on_error: Callable[[str, Exception], None] | None) -> None:
    if on_error is not None:
        on_error(name, error)
        return
    raise ClusterError(
        f"{name}: {type(error).__name__}: {error}".splitlines()[0],
        hint=f"correct or leave out {name}, and run again",
    ) from error


def _cause(error: ray.exceptions.RayTaskError) -> Exception:
    """What the item's function raised; Ray's wrapping, which knows where, becomes its cause."""
    cause = error.cause
    if not isinstance(cause, Exception):
        return error
    cause.__cause__ = error
    return cause
