"""Fuzz the readers: `python -m tests.fuzz --inputs 20000 --seed 0`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.fuzz.fuzzing import Failure, run
from tests.fuzz.seeds import real_records


def main() -> int:
    """Read the inputs, say what came of them; 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="how many to generate")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    parser.add_argument("--only", type=int, help="the number of one input, to see it again")
    parser.add_argument("--recordings", type=Path, help="a folder of real records to spoil, too")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="their inputs")
    given = parser.parse_args()
    numbers = range(given.inputs) if given.only is None else range(given.only, given.only + 1)
    begin = time.perf_counter()
    outcome = run(
        numbers,
        seed=given.seed,
        failures=given.failures,
        more_records=real_records(given.recordings) if given.recordings else None,
    )
    print(
        f"{outcome.inputs:,} inputs in {time.perf_counter() - begin:.0f} s: "
        f"{outcome.calls_read:,} calls read something, {outcome.calls_refused:,} refused it, "
        f"{len(outcome.failures)} inputs failed"
    )
    alike: dict[str, list[Failure]] = defaultdict(list)
    for failure in outcome.failures:
        alike[failure.what].append(failure)
    for what, failures in alike.items():
        first = failures[0]
        print(f"\n{what}")
        print(f"  {len(failures)} inputs; first {first.number}, {first.kind}: {first.folder}")
    if alike:
        print(f"\nto see one again: python -m tests.fuzz --seed {given.seed} --only NUMBER")
    return 1 if alike else 0


if __name__ == "__main__":
    sys.exit(main())
