"""How many epochs it takes to find a front: ours beside what others need, in simulation.

    python benchmarks/search_efficiency.py [--only SECTION ...] [--tuning] [--problems NAME ...]
        [--seeds 10] [--jobs 4] [--cache FOLDER] [--peers NAME ...] [--peers-python PYTHON]
        [--sampler NAME] [--no-halving] [--at-most 1.0] [--json]

A search is given by its trace: the hypervolume of all results so far, over chance and below ten
million parameters (on a logarithmic scale), after every epoch spent. One worker, full length 52
epochs. Medians over the seeds; what is not reached within 5,200 epochs (for ours and for peers that
stop trainings early, `--at-most` of them) counts as infinite, null in JSON:

PROBLEM, TPE's volume     epochs until ours has the median hypervolume that stock TPE has after 100
                          full trainings, its 5,200 epochs as the peer
PROBLEM, random's volume  the same for random search
PROBLEM, by PEER          epochs until ours and until the peer has TPE's volume
median, worst problem     of the rows above, by ours/peer
PROBLEM, 64 workers       epochs until ours with 64 workers has TPE's volume, with one as the peer
engine, memory            ms and kB a candidate of a simulation of 10,000 on 1,000 workers, learning
                          left out, with those of 1,000 candidates as the peer: once with parameters
                          drawn by chance, which is the engine alone, and once with our sampler

Below the table: quartiles of ours over the seeds. Problems are described in search_problems.py,
peers in search_peers.py. `--cache` keeps the peers' traces, which take longest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from search_comparison import OBJECTIVES, Comparison, Ours, SpreadRow
from search_peers import PEERS, Peer, find_peer
from search_problems import FINAL, TUNING
from search_scale import scale_rows
from table import Row, show

from search.sampling.samplers import DEFAULT_SAMPLER, SAMPLERS

SECTIONS = ("efficiency", "workers", "scale")
ON_REQUEST = ("neps_primo",)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--tuning", action="store_true", help="the problems to tune on")
    parser.add_argument("--problems", nargs="+", metavar="NAME", choices=[*TUNING, *FINAL])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--cache", type=Path, help="folder that keeps the peers' traces")
    usual = [peer for peer in PEERS if peer not in ON_REQUEST]
    parser.add_argument("--peers", nargs="*", default=usual, choices=PEERS)
    parser.add_argument("--peers-python", help="interpreter that has syne-tune and NePS")
    parser.add_argument("--sampler", default=DEFAULT_SAMPLER, choices=SAMPLERS)
    parser.add_argument("--no-halving", action="store_true", help="train everything in full")
    parser.add_argument(
        "--at-most", type=float, default=1.0, help="share of 100 trainings for whoever halves"
    )
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows: list[Row] = []
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        comparison = Comparison(
            pool=pool,
            names=tuple(options.problems or (TUNING if options.tuning else FINAL)),
            seeds=options.seeds,
            cache=options.cache,
            ours=Ours(
                sampler=options.sampler,
                halving=not options.no_halving,
                at_most=options.at_most,
            ),
        )
        if "efficiency" in options.only:
            rows += comparison.efficiency_rows(found_peers(options.peers, options.peers_python))
        if "workers" in options.only:
            rows += comparison.worker_rows()
    if "scale" in options.only:
        for sampler in dict.fromkeys(("random", options.sampler)):
            rows += scale_rows(OBJECTIVES, sampler)
    show(rows, as_json=options.json)
    if not options.json:
        show_quartiles(rows)


def found_peers(names: list[str], python: str | None) -> list[Peer]:
    """Return the peers that can search here; say why others cannot."""
    peers = []
    for name in names:
        peer = find_peer(name, python)
        reason = peer.missing()
        if reason is None:
            peers.append(peer)
        else:
            print(f"{name} skipped: {reason}", file=sys.stderr)
    return peers


def show_quartiles(rows: list[Row]) -> None:
    """Print how far apart the seeds are."""
    spread = [row for row in rows if isinstance(row, SpreadRow)]
    width = max((len(row.name) for row in spread), default=0)
    print("\nquartiles of ours over the seeds; how many of them got there")
    for row in spread:
        low, high = row.quartiles
        print(f"{row.name:{width}}  {low:6.0f} to {high:6.0f}  {row.reached} of {row.seeds}")


if __name__ == "__main__":
    main()
