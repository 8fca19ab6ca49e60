"""Real learning curves for simulated searches: EfficientECG on MIT-BIH, hundreds of configurations.

    python benchmarks/mitdb_curves.py --out benchmarks/data/mitdb_curves.parquet
        [--configurations 400] [--epochs 27] [--jobs 4] [--dataset FOLDER]

Every configuration is trained for `--epochs` epochs on the same 10,000 beats of DS1's 16 training
patients and validated after each on the same 5,000 beats of its six validation patients (split
"fixed"; all S, V and F beats, and N to make up the number). DS2, the test part, is never read.
`mitdb_protocol` says which configurations, `mitdb_table` what is written: no recordings.

Reads MIT-BIH from $ECG_DATA_ROOT/mitdb (default ../shared/data) and prepares it as `ecgsearch data
prepare mitdb` does, or takes `--dataset`, a folder that was prepared so. `--jobs` processes train,
one configuration and one thread each. Interrupt it in any way: the same command goes on, and only
trainings in flight are done again. With more `--configurations` the table grows.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from mitdb_protocol import Configuration, CurveProtocol, configurations
from mitdb_table import LearningCurve, Parts, read_table, write_table
from mitdb_training import learning_curves

from ecgmodels import ECGModelsError
from ecgmodels.data import PrepareOptions, open_dataset, prepare
from ecgmodels.files import write_atomically

DATA = Path(os.environ.get("ECG_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data"))
OUT = Path(__file__).parent / "data" / "mitdb_curves.parquet"


def collect(out: Path, *, count: int, epochs: int, jobs: int, dataset: Path | None) -> None:
    """Train what is missing of the first `count` configurations, and write the table."""
    parts = Parts(out)
    with _alone(parts.folder):
        if dataset is None:
            dataset = parts.folder / "mitdb"
            prepare("mitdb", DATA / "mitdb", dataset, PrepareOptions(), processes=1)
        protocol = CurveProtocol.of(open_dataset(dataset), epochs)
        known = _known(out, parts, protocol)
        wanted = configurations(protocol, count)
        missing = [one for one in wanted if one.number not in known]
        clock = _Clock(missing, total=len(wanted))
        try:
            with closing(learning_curves(str(dataset), protocol, missing, jobs=jobs)) as curves:
                for curve in curves:
                    parts.write(curve)
                    known[curve.number] = curve
                    print(clock.line(curve), file=sys.stderr, flush=True)
        finally:
            if known:
                write_table(out, protocol, list(known.values()))
    shutil.rmtree(parts.folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second collector off the same table; the lock goes with the process."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{folder} is in use by another process: wait for it, or end it")
        yield


def _known(out: Path, parts: Parts, protocol: CurveProtocol) -> dict[int, LearningCurve]:
    """Return the curves that earlier starts left, by number; a different protocol ends this one."""
    curves = parts.read()
    stated = parts.folder / "protocol.json"
    earlier = [CurveProtocol.from_json(stated.read_text())] if stated.exists() else []
    if out.exists():
        of_table, in_table = read_table(out)
        earlier.append(of_table)
        curves += in_table
    for other in earlier:
        if different := protocol.differences(other):
            sys.exit(
                f"{out} was begun with another {', '.join(different)}: choose another --out, "
                f"or remove it and {parts.folder}"
            )
    write_atomically(stated, protocol.to_json().encode())
    return {curve.number: curve for curve in curves}


class _Clock:
    """Says how far a collection is, and about how long it will take.

    Work is counted in MACs, to which `_FIXED_MACS` are added for what every training does alike:
    measured, an epoch of 10,000 beats takes 0.8 s and 2.2 s more for each million MACs.
    """

    _FIXED_MACS = 0.36e6

    def __init__(self, missing: Sequence[Configuration], total: int) -> None:
        self._left = {one.number: one.macs + self._FIXED_MACS for one in missing}
        self._total = total
        self._began_s = time.monotonic()
        self._done = 0.0

    def line(self, curve: LearningCurve) -> str:
        """Return what to print now that a curve is there."""
        self._done += self._left.pop(curve.number)
        passed_s = time.monotonic() - self._began_s
        left_s = passed_s * sum(self._left.values()) / self._done
        how = curve.failure or f"mean_f1 {curve.metrics['mean_f1'][-1]:.3f}"
        return (
            f"{self._total - len(self._left)}/{self._total} configuration {curve.number}: "
            f"{curve.parameters:,} parameters, {curve.macs / 1e6:.2f} M MACs, "
            f"{curve.epoch_s or 0:.2f} s an epoch, {how}; about {left_s / 60:.0f} min to go"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--configurations", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--dataset", type=Path, help="MIT-BIH, prepared already")
    options = parser.parse_args()
    for name in ("configurations", "epochs", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings' processes
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        collect(
            options.out,
            count=options.configurations,
            epochs=options.epochs,
            jobs=options.jobs,
            dataset=options.dataset,
        )
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except ECGModelsError as error:
        sys.exit(f"error: {error}\nfix: {error.hint}")


if __name__ == "__main__":
    main()
