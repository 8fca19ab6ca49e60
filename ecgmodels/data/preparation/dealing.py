"""Dealing patients out into parts, so that each part gets its share of every class.

A greedy form of iterative stratification (Sechidis, Tsoumakas & Vlahavas, "On the stratification
of multi-label data", ECML PKDD 2011) over whole patients, who may be most of a class by themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

JITTER = 0.2
"""Patients whose shares differ by less than this part may be dealt in either order."""


def deal(
    counts: NDArray[np.float64],
    patients: Sequence[str],
    sizes: Sequence[float],
    *,
    seed: int,
    scored: NDArray[np.bool_],
    rare_part: int | None = None,
) -> NDArray[np.int64]:
    """Deal patients out into parts with like shares of each class.

    Patients are dealt from the one with the largest shares of classes downwards, each to the part
    where the weighted sum of share^2 / size of the part rises least, so that a patient who is two
    fifths of a class gets a part with little else of it. A class weighs the more the rarer it is
    (one over the square root of its count), and the number of records least of all. Once only as
    many patients of a class are left as parts lack it, they go to those parts, the scored classes'
    first.

    Args:
        counts: float64 [patient, class and, last, records].
        patients: names, one a row; with `seed` they decide about the order among equals.
        sizes: the share of the whole that each part is to get; they add up to 1.
        seed: other seeds deal in another order.
        scored: bool [class and records], the classes that every part must get.
        rare_part: the part for patients with a class that has fewer patients than there are parts,
            unless other parts need them for another class; None deals them like all others.

    Returns:
        int64 [patient], the part of each.
    """
    has = counts > 0
    totals = np.maximum(counts.sum(axis=0), 1)
    shares = counts / totals
    weights = totals**-0.5
    weights[-1] = 0.1 * weights.min()
    priority = weights * np.where(scored, 1e6, 1.0)
    patients_left = has.sum(axis=0)
    rare = patients_left < len(sizes)
    # Equal parts tie often: the seed says which of them comes first.
    preference = np.argsort([_number(seed, f"part {part}") for part in range(len(sizes))])
    size = np.asarray(sizes)[preference]
    loads = np.zeros((len(sizes), counts.shape[1]))
    covered = np.zeros(loads.shape, dtype=np.bool_)
    rare_row = None if rare_part is None else int(np.flatnonzero(preference == rare_part)[0])

    part = np.empty(len(patients), dtype=np.int64)
    for patient in _order(shares**2 @ weights, patients, seed):
        share = shares[patient]
        urgent = has[patient] & (patients_left <= (~covered).sum(axis=0))
        pinned = (has[patient] & rare).any() and not (urgent & ~rare).any()
        if rare_row is not None and pinned:
            row = rare_row
        else:
            # (load + share)^2 - load^2, over the size of the part.
            cost = (loads @ (2 * weights * share) + weights @ share**2) / size
            # Rounded, so that a tie is one whatever the processor's order of adding.
            cost = np.round(cost / cost.max(), 9)
            if urgent.any():
                need = ~covered @ (priority * urgent)
                cost[need < need.max()] = np.inf
            row = int(np.argmin(cost))
        part[patient] = preference[row]
        loads[row] += share
        covered[row] |= has[patient]
        patients_left = patients_left - has[patient]
    return part


def _order(size: NDArray[np.float64], patients: Sequence[str], seed: int) -> list[int]:
    """Return the numbers of the patients by size, downwards, jittered by the seed."""
    jitter = np.array([_number(seed, f"patient {name}") for name in patients])
    return np.argsort(-size * (1 - JITTER * jitter), kind="stable").tolist()


def _number(seed: int, name: str) -> float:
    """Return a number in [0, 1) that is the same on every machine and for every numpy."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
