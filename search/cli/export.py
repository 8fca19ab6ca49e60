"""`ecgsearch export`, `latency`: models as ONNX files, and how long they take."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from cluster.paths import resolve_location, resolve_path
from search.cli.numbers import whole_number
from search.cli.progress_line import ProgressLine

Subparsers = Any  # argparse keeps the class of add_subparsers() private

LEAST_REPEATS = 100  # fewer have no 99th percentile


def add_commands(commands: Subparsers) -> None:
    """Add the commands to the parser."""
    export = commands.add_parser(
        "export",
        help="write a retrained model as ONNX, and int8",
        description="Write a retrained model as ONNX, compare it with the network, and measure "
        "size, latency of one segment on one thread and, with its dataset, what is left of its "
        "accuracy. The figures go to export.json, too.",
    )
    export.add_argument(
        "model", type=Path, metavar="MODEL_FOLDER", help="folder that `retrain` wrote"
    )
    export.add_argument("--out", type=Path, metavar="DIR", help="write here (default: the folder)")
    export.add_argument(
        "--int8", action="store_true", help="write it with 8-bit weights, too (model.int8.onnx)"
    )
    export.add_argument(
        "--dataset",
        metavar="DATA",
        help="the dataset it was trained on: evaluate what was written on the validation part",
    )
    export.set_defaults(run=_export)

    latency = commands.add_parser(
        "latency",
        help="measure how long the front's models take",
        description="Measure how long each member of a study's front takes for one segment on one "
        "thread of this machine: as a torch module, with batch norm folded, and exported to ONNX. "
        "The networks have random weights, on which the time does not depend.",
    )
    latency.add_argument("study", type=Path, help="the study's folder")
    latency.add_argument(
        "--repeats",
        type=whole_number(LEAST_REPEATS),
        metavar="N",
        help="calls of each kind (default 500)",
    )
    latency.add_argument("--json", action="store_true", help="print every detail as JSON")
    latency.set_defaults(run=_latency)


def _export(options: argparse.Namespace) -> int:
    from search.reports.export_table import export_table
    from search.retraining.exporting import REPORT, export_folder

    folder = resolve_path(options.model, what="the model's folder")
    out = folder if options.out is None else resolve_path(options.out, what="the folder to write")
    dataset = options.dataset
    export = export_folder(
        folder,
        out=out,
        int8=options.int8,
        dataset=None if dataset is None else resolve_location(dataset, what="the dataset"),
    )
    print(export_table(export))
    print(f"written: {out / REPORT}")
    return 0


def _latency(options: argparse.Namespace) -> int:
    from ecgmodels.inference.latency import REPEATS
    from search.reports.export_table import latency_table
    from search.reports.front_latency import front_latencies

    study = resolve_path(options.study, what="the study folder")
    with ProgressLine("model", sys.stderr) as progress:
        members = front_latencies(study, repeats=options.repeats or REPEATS, progress=progress)
    if options.json:
        print(json.dumps([member.to_dict() for member in members], indent=2))
    else:
        print(latency_table(members))
    return 0
