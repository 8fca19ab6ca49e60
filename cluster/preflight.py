"""Asking every node, before hours are spent, whether it can do the work.

A worker node with another Python, another torch, or without the shared folder otherwise fails in
the middle of a study, in one trial of ten.
"""

import os
import platform
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.errors import ClusterError


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What one node answered. `problems` is empty where the node can do the work."""

    node_id: str
    host: str
    """Name where the node answered, otherwise its address."""
    python: str = ""
    versions: dict[str, str | None] = field(default_factory=dict)
    """Distribution -> version there, or None where it is not installed."""
    problems: tuple[str, ...] = ()


def check_nodes(
    *,
    distributions: Sequence[str] = (),
    readable: Sequence[Path] = (),
    writable: Path | None = None,
    timeout_s: float = 30.0,
) -> tuple[NodeReport, ...]:
    """Asks each living node of the connected cluster; the order is that of node identifiers.

    A node is healthy if its Python's minor version and the versions of `distributions` are those
    of this process, each path of `readable` can be read there, and `writable`, a folder, takes a
    file there. It reserves nothing, so it also answers on a busy cluster. A node that does not
    answer within `timeout_s`, or cannot import this package, has that as its problem.
    """
    expected = {name: _version(name) for name in distributions}
    ask = ray.remote(num_cpus=0, max_retries=0)(_look)
    nodes = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda n: n["NodeID"])
    asked = {
        node["NodeID"]: ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(tuple(expected), tuple(readable), writable)
        for node in nodes
    }
    # One wait for all, so that several dead nodes cost one timeout.
    answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
    reports = []
    for node in nodes:
        node_id, address = node["NodeID"], node["NodeManagerAddress"]
        answer = asked[node_id]
        if answer not in answered:
            # Not cancelled: Ray 2.60 can abort the driver when a task ends at that moment.
            problem = f"does not answer within {timeout_s:g} s"
            reports.append(NodeReport(node_id=node_id, host=address, problems=(problem,)))
            continue
        try:
            seen = ray.get(answer)
        except ray.exceptions.RayError as error:
            problem = f"cannot run a task: {_last_line(error)}"
            reports.append(NodeReport(node_id=node_id, host=address, problems=(problem,)))
            continue
        reports.append(_judge(node_id, seen, expected))
    return tuple(reports)


def require_healthy(reports: Sequence[NodeReport]) -> None:
    """Raises ClusterError naming each node that has a problem, and the problem."""
    ill = [
        f"node {report.host} ({report.node_id[:8]}) {problem}"
        for report in reports
        for problem in report.problems
    ]
    if ill:
        raise ClusterError(
            "; ".join(ill),
            hint="install the same environment and mount the same folders on every node, or take "
            "the node out of the cluster",
        )


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What a node sees, before it is compared with what is expected."""

    host: str
    python: str
    versions: dict[str, str | None]
    problems: tuple[str, ...]


def _look(names: Sequence[str], readable: Sequence[Path], writable: Path | None) -> _Seen:
    """Runs on the node."""
    problems = [f"cannot read {path}" for path in readable if not os.access(path, os.R_OK)]
    if writable is not None:
        try:
            # Not os.access: a mount may allow it and still be read-only or full.
            with tempfile.TemporaryFile(dir=writable) as file:
                file.write(b"preflight")
        except OSError as error:
            problems.append(f"cannot write to {writable}: {error.strerror}")
    return _Seen(
        host=socket.gethostname(),
        python=platform.python_version(),
        versions={name: _version(name) for name in names},
        problems=tuple(problems),
    )


def _judge(node_id: str, seen: _Seen, expected: dict[str, str | None]) -> NodeReport:
    problems = []
    minor = "{}.{}".format(*sys.version_info)
    if seen.python.rpartition(".")[0] != minor:
        problems.append(f"has Python {seen.python}, expected {minor}")
    for name, version in expected.items():
        if seen.versions[name] != version:
            there, here = seen.versions[name] or "missing", version or "none"
            problems.append(f"has {name} {there}, expected {here}")
    return NodeReport(
        node_id=node_id,
        host=seen.host,
        python=seen.python,
        versions=seen.versions,
        problems=(*problems, *seen.problems),
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
