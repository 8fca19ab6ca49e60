"""What it costs to open a dataset and to read it: ours beside the machine, and beside its peers.

    python benchmarks/data_loading.py [--quick] [--only SECTION ...] [--json]

opening   ms until a verified dataset of a million segments is open, with the arrays of all its
          parts; the peer is Hugging Face's `load_from_disk` of the same segments
copying   GB/s of batches, normalised, with features and labels, gathered in random order from a
          mapped file in the page cache; bytes are those that must be read (int16) and written
          (float32). The peer is a copy between two arrays of 256 MiB that are in memory already,
          bytes read and written, on as many threads. One row is the copy into new memory.
epochs    segments/s of shuffled batches of 128, normalised, of MIT-BIH's training part in the
          recordings' own rate (made-up recordings where MIT-BIH is absent): ours on one thread.
          The peers get the same segments: wfdb in a DataLoader cuts each beat from its record's
          file; .npy is numpy's memory map, indexed; datasets is Hugging Face's; Ray Data is
          `iter_torch_batches` with a local shuffle. Slow ones read a part of an epoch.
cold      MB/s of an epoch over shards that are not in the page cache, read in windows (see
          ecgmodels.loading.paging); the peers are the same files read from end to end, and the
          same epoch in a fully random order (a part of it). Then MB of memory that the epoch takes
          beyond what the process had, beside the data's size.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from loading_cold import cold_rows
from loading_copying import copying_rows
from loading_epochs import epoch_rows
from loading_opening import opening_rows
from table import Row, show

SECTIONS = {
    "opening": opening_rows,
    "copying": copying_rows,
    "epochs": epoch_rows,
    "cold": cold_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="fewer repeats, smaller samples")
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    options = parser.parse_args()
    rows: list[Row] = []
    for section in options.only:
        with tempfile.TemporaryDirectory(prefix="bench") as folder:
            rows += SECTIONS[section](Path(folder), quick=options.quick)
        print(f"{section} measured", file=sys.stderr)
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
