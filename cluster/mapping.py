"""Applying a function to many items on a cluster, where some fail and some workers die."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import ray

from cluster.errors import ClusterError
from cluster.resources import read_capacity

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_items(
    function: Callable[[Item], Result],
    items: Mapping[str, Item],
    *,
    cpus: float = 1.0,
    in_flight: int | None = None,
    on_error: Callable[[str, Exception], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Result]:
    """Applies `function` to each item on the connected cluster.

    Args:
        items: Item by name; the names are those of errors and results.
        cpus: CPUs reserved for one item.
        in_flight: How many items are submitted at once, to bound what waits in memory; by
            default twice as many as run at once.
        on_error: Called with an item's name and what it raised; the others go on, and the item
            is missing in the results. Without it, the first failure ends the mapping.
        progress: Called with how many items are done, failed ones too, and how many there are.

    Returns:
        Result by name, in the order of `items`.

    Raises:
        ClusterError: An item failed and there is no `on_error`; its `__cause__` is the failure.

    An item whose worker dies is tried once more, then it counts as failed; one that raises is
    not tried again, since it would raise again.
    """
    task = ray.remote(num_cpus=cpus, max_retries=1)(function)
    bound = in_flight or max(1, 2 * int(read_capacity().cpus // max(cpus, 0.01)))
    waiting = iter(items.items())
    running: dict[Any, str] = {}
    results: dict[str, Result] = {}
    done = 0
    try:
        while True:
            while len(running) < bound and (following := next(waiting, None)):
                name, item = following
                running[task.remote(item)] = name
            if not running:
                return {name: results[name] for name in items if name in results}
            (finished,), _ = ray.wait(list(running))
            name = running.pop(finished)
            try:
                results[name] = ray.get(finished)
            except ray.exceptions.RayError as error:
                _report(name, _cause(error), on_error)
            done += 1
            if progress is not None:
                progress(done, len(items))
    finally:
        # Left early, by an error or by Ctrl-C: nobody waits for these any more.
        for reference in running:
            ray.cancel(reference, force=True)


def _report(name: str, error: Exception, on_error: Callable[[str, Exception], None] | None) -> None:
    if on_error is not None:
        on_error(name, error)
        return
    raise ClusterError(
        f"{name}: {type(error).__name__}: {error}".splitlines()[0],
        hint=f"correct or leave out {name}, and run again",
    ) from error


def _cause(error: Exception) -> Exception:
    """What the item's function raised, rather than Ray's wrapping of it."""
    if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, Exception):
        return error.cause
    return error
