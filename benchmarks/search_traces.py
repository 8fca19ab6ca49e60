"""Searches as traces: the hypervolume that can be had after so many epochs spent.

Every epoch's result counts as a model that can be had, for us and for peers alike; a result that
is not a finite number is an epoch spent for nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import search_synthetic
from search_peers import Peer
from search_synthetic import Result, SyntheticProblem

from search.engine.front_volume import FrontVolume

Trace = list[tuple[int, float]]
"""(epochs spent, hypervolume), where it grew; the last entry is the end."""

LARGEST = 7.0
"""Logarithm of the parameters from which on a model counts for nothing."""


def reference(problem: SyntheticProblem) -> tuple[float, float]:
    """Return the worst accuracy and size that count: chance, and ten million parameters."""
    return (problem.chance, LARGEST)


def trace_of(results: Iterable[Result], problem: SyntheticProblem) -> Trace:
    """Return the trace of results in the order they came."""
    accuracy, size = reference(problem)
    volume = FrontVolume((-accuracy, size))
    whole = [(0, 0.0)]
    for spent, (reached, log_size) in enumerate(results, start=1):
        if math.isfinite(reached):
            volume.add((-reached, log_size))
        whole.append((spent, volume.value))
    return thinned(whole)


def thinned(trace: Sequence[tuple[int, float]]) -> Trace:
    """Return the entries at which it grew, and the last."""
    kept = [(0, 0.0)]
    for spent, volume in trace:
        if volume > kept[-1][1]:
            kept.append((spent, volume))
    return [*kept, trace[-1]] if trace else kept


def epochs_to(trace: Trace, volume: float) -> float:
    """Return the epochs spent when the hypervolume was reached; infinite if it never was."""
    return next((float(spent) for spent, reached in trace if reached >= volume), math.inf)


def peer_trace(
    peer: Peer, problem: SyntheticProblem, seed: int, budget_epochs: int, cache: Path | None
) -> Trace:
    """Return the trace of a peer's search: from the folder `cache`, or by searching.

    Peers do not change while ours is worked on; an entry is found by the code it came from.
    """
    if cache is None:
        return trace_of(peer.search(problem, seed, budget_epochs), problem)
    name = f"{problem.name}-{peer.name}-{seed}-{budget_epochs}".replace(" ", "_")
    path = cache / f"{name}-{_code_hash(peer, problem)}.json"
    if not path.exists():
        trace = trace_of(peer.search(problem, seed, budget_epochs), problem)
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(trace))
        unfinished.replace(path)
    return [(spent, volume) for spent, volume in json.loads(path.read_text())]


def _code_hash(peer: Peer, problem: SyntheticProblem) -> str:
    """Return a hash of the code that a trace depends on."""
    code = [inspect.getsource(part) for part in (type(problem), search_synthetic)]
    code += [peer.code, problem.fingerprint]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()[:12]
