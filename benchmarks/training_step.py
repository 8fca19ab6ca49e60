"""What a training step costs: ours beside the network and the loop that a user would write.

    python benchmarks/training_step.py [--quick] [--only SECTION ...] [--json]

Ours is `ecgmodels.training.learner`: its epochs over its own batches, with as many threads as it
measures to be best. The peer is the same network of Conv1d, BatchNorm1d and SiLU, a DataLoader over
a Dataset that normalises an item at a time (with 0 and, where there are CPUs for them, 2 worker
processes, the better of both), and AdamW as it comes. Both learn from the same made-up segments, 64
a step, without dropout. They are measured by turns, each in a process that has the CPUs to itself,
and the median of the rounds counts.

outputs   the largest difference between the logits of both with the same weights, while training
          and then in evaluation, beside what is allowed; beyond it the benchmark fails
cpus      segments/s on all CPUs that may be used; and MB of memory at most, beyond what the process
          had before
cpu       segments/s on one CPU, which is what a trial often has; and the multiply-accumulates that
          ours makes a second, beside those of nothing but a matrix product there: its floor
gpu       segments/s on a GPU, ours in bfloat16 and the peer as it comes; and what of the floor that
          binds, arithmetic or memory, ours reaches. Where there is none, a line says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import torch
from alone import alone
from table import Row, cpu_name, show
from training_floor import copied_bytes_per_s, matrix_macs_per_s, step_bytes, step_macs
from training_ours import ours
from training_peer import PeerNetwork, copy_weights, peer
from training_turns import Turns, by_turns, made
from training_work import BATCH, WITH_ATTENTION, WORKS, Work

from ecgmodels.models.efficientecg.plan import resolve
from ecgmodels.models.registry import build_model

ALLOWED_DIFFERENCE = 1e-4
WORKERS = (0, 2)
"""Of the peer's DataLoader; on one CPU, none."""
CPUS = (
    tuple(sorted(os.sched_getaffinity(0)))
    if hasattr(os, "sched_getaffinity")
    else tuple(range(os.cpu_count() or 1))
)
ALL = (*WORKS, WITH_ATTENTION)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="few turns")
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    options = parser.parse_args()
    rows: list[Row] = []
    for section in dict.fromkeys(options.only):
        rows += SECTIONS[section](2 if options.quick else 5)
        print(f"{section} measured", file=sys.stderr)
    show(rows, as_json=options.json)


def output_rows(_: int) -> list[Row]:
    """Compare what both networks answer.

    Raises:
        SystemExit: they differ by more than is allowed.
    """
    rows = [
        Row(
            name=f"difference, {work.name}",
            device=cpu_name(len(CPUS)),
            ours=largest_difference(work),
            peer=ALLOWED_DIFFERENCE,
            unit="logits",
        )
        for work in ALL
    ]
    for row in rows:
        if row.ours > row.peer:
            raise SystemExit(f"{row.name}: {row.ours:.2g} is more than the {row.peer:g} allowed")
    return rows


def largest_difference(work: Work) -> float:
    """Return the largest difference of logits, while training and then in evaluation."""
    random = torch.Generator().manual_seed(0)
    signal = torch.randn(BATCH, work.leads, work.samples, generator=random)
    features = torch.randn(BATCH, len(work.config.features), generator=random)
    known = torch.rand(features.shape, generator=random) < 0.9
    torch.manual_seed(0)
    own, other = build_model(work.config), PeerNetwork(resolve(work.config))
    copy_weights(own, other)
    differences = []
    for training in (True, False):
        answers = [model.train(training)(signal, features * known, known) for model in (own, other)]
        differences.append(float((answers[0] - answers[1]).detach().abs().max()))
    return max(differences)


def all_cpus_rows(turns: int) -> list[Row]:
    """Measure rates and memory on all CPUs."""
    rows = []
    for work in ALL:
        own, other = measured(work, "cpu", CPUS, turns)
        device = cpu_name(len(CPUS))
        rows.append(rate_row(work, device, own, other))
        rows.append(
            Row(
                name=f"memory, {work.name}",
                device=device,
                ours=own.peak_bytes / 1e6,
                peer=other.peak_bytes / 1e6,
                unit="MB",
            )
        )
    return rows


def one_cpu_rows(turns: int) -> list[Row]:
    """Measure rates on one CPU, and what of its arithmetic they use."""
    rows = []
    macs_per_s = alone(_macs_per_s_of_one_cpu)
    for work in ALL:
        own, other = measured(work, "cpu", CPUS[-1:], turns)
        rows.append(rate_row(work, cpu_name(1), own, other))
        rows.append(
            Row(
                name=f"arithmetic, {work.name}",
                device=cpu_name(1),
                ours=own.rate / BATCH * step_macs(work) / 1e9,
                peer=macs_per_s / 1e9,
                unit="GMAC/s",
            )
        )
    return rows


def _macs_per_s_of_one_cpu() -> float:
    torch.set_num_threads(1)
    return matrix_macs_per_s("cpu", torch.float32)


def gpu_rows(turns: int) -> list[Row]:
    """Measure rates on a GPU, and what of its arithmetic or memory they use."""
    if not torch.cuda.is_available():
        print("gpu skipped: this torch finds none", file=sys.stderr)
        return []
    device = torch.cuda.get_device_name()
    macs_per_s = matrix_macs_per_s("cuda", torch.bfloat16)
    bytes_per_s = copied_bytes_per_s("cuda")
    rows = []
    for work in ALL:
        own, other = measured(work, "cuda", CPUS, turns)
        rows.append(rate_row(work, device, own, other))
        steps_per_s = own.rate / BATCH
        macs, moved = step_macs(work), step_bytes(work, bytes_each=2)
        if macs / macs_per_s > moved / bytes_per_s:
            what, unit, used, most = "arithmetic", "TMAC/s", macs / 1e12, macs_per_s / 1e12
        else:
            what, unit, used, most = "memory bandwidth", "GB/s", moved / 1e9, bytes_per_s / 1e9
        rows.append(
            Row(
                name=f"{what}, {work.name}",
                device=device,
                ours=steps_per_s * used,
                peer=most,
                unit=unit,
            )
        )
    return rows


def measured(work: Work, device: str, cpus: Sequence[int], turns: int) -> tuple[Turns, Turns]:
    """Return what ours comes to, and the better of the peers."""
    ways = {"ours": made(ours, work, device=device)}
    for workers in WORKERS if len(cpus) > 1 else WORKERS[:1]:
        ways[f"{workers} workers"] = made(peer, work, device=device, workers=workers)
    found = by_turns(ways, cpus=cpus, turns=turns)
    own = found.pop("ours")
    return own, max(found.values(), key=lambda way: way.rate)


def rate_row(work: Work, device: str, own: Turns, other: Turns) -> Row:
    row = Row(name=work.name, device=device, ours=own.rate, peer=other.rate, unit="segments/s")
    print(f"{row.name} on {device}: {row.ratio:.2f} times the peer", file=sys.stderr)
    return row


SECTIONS: Mapping[str, Callable[[int], list[Row]]] = {
    "outputs": output_rows,
    "cpus": all_cpus_rows,
    "cpu": one_cpu_rows,
    "gpu": gpu_rows,
}


if __name__ == "__main__":
    main()
