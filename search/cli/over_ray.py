"""Preparing records on a Ray cluster: what `prepare` takes as its mapper."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cluster.connect import connect
from cluster.mapping import Answer, iter_items
from cluster.preflight import check_nodes, require_healthy
from ecgmodels.data.preparation.mappers import Function, Mapper
from ecgmodels.data.preparation.workers import FailedRecord, Group, Outcome
from ecgmodels.errors import DataError


@contextmanager
def ray_mapper(
    address: str | None, *, source: Path, show: Callable[[str], None]
) -> Iterator[Mapper]:
    """Yield a mapper over a cluster, connected for as long as the context lasts.

    Args:
        address: HOST:PORT; None takes $RAY_ADDRESS, else a Ray started on this machine.
        source: the recordings, which every node must be able to read.
        show: told what it is connected to.

    Raises:
        ClusterError: nothing answers there, or a node cannot read the recordings.
    """
    with connect(address) as connection:
        if not connection.local:
            require_healthy(check_nodes(readable=[source]))
        show(f"on {connection.description}")
        yield map_on_ray


def map_on_ray(function: Function, groups: Iterable[Group]) -> Generator[list[Outcome]]:
    """Prepare on the connected cluster; a `Mapper`.

    A group whose worker dies is tried once more, then its records count as failed.
    """
    named = ((f"record {group[0]}", group) for group in groups)
    with closing(iter_items(function, named)) as answers:
        for answer in answers:
            yield _outcomes(answer)


def _outcomes(answer: Answer[Group, list[Outcome]]) -> list[Outcome]:
    if answer.result is not None:
        return answer.result
    assert answer.error is not None
    if not answer.lost:
        raise answer.error
    reason = type(answer.error).__name__
    return [
        FailedRecord(
            id=record_id,
            error=DataError(
                f"record {record_id} cannot be prepared: the worker died twice ({reason}) on the "
                f"{len(answer.item)} records from {answer.item[0]} on",
                hint="see whether the nodes have memory enough, and prepare again",
            ),
        )
        for record_id in answer.item
    ]
