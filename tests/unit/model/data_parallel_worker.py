"""One rank of `test_data_parallel`, as a process; prints what it saw as a line of JSON.

    python data_parallel_worker.py FOLDER RANK WORLD_SIZE

It trains two epochs with as many threads as it finds best, goes on from the checkpoint
FOLDER/trial.ckpt to the third, then tries to go on where only rank 0 has a checkpoint. At last it
learns from one batch in one, two and three parts.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ecgmodels import ECGNetwork, EfficientECGConfig, TrainingConfig, TrainingError, fit
from ecgmodels.loading.batches import to_device
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner
from tests.made_networks import freeze_norms
from tests.made_waves import in_records, make_data

MODEL = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", dropout=0.0)
TRAINING = TrainingConfig(
    epochs=3,
    batch_size=32,
    learning_rate=0.005,
    ema_decay=0.9,
    class_weighting="balanced",
    early_stop_epochs=2,
    early_stop_metric="f1_N",
)
# No whole batches; no equal shares of validation, and records that reach into both of them.
DATA = in_records(make_data(151, 21), "mean")


def main(folder: Path, rank: int, world_size: int) -> None:
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'rendezvous'}",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=60),
    )
    outcome = train(folder, rank, world_size)
    # What gloo's threads still hold must be gone before the interpreter is, or they abort it: so
    # models, which hold the process group, end before it does.
    gc.collect()
    dist.destroy_process_group()
    print(json.dumps(outcome))


def train(folder: Path, rank: int, world_size: int) -> dict[str, Any]:
    start = functools.partial(
        fit,
        MODEL,
        TRAINING,
        DATA,
        seed=0,
        rank=rank,
        world_size=world_size,
        threads="measure",
        threads_limit=2 + rank,  # as of a machine with more of them
    )
    checkpoint = folder / "trial.ckpt"
    epochs = []
    for last in (2, 3):
        for epoch in start(max_epochs=last, checkpoint=checkpoint):
            epochs.append(
                {
                    "metrics": epoch.metrics,
                    "weights": digest(epoch.model),
                    "best": digest(epoch.best_model),
                    "final": epoch.final,
                    "threads": epoch.threads,
                }
            )
            if rank == 0:
                epoch.save(checkpoint)
        dist.barrier()
    refusal = ""
    try:
        next(start(checkpoint=checkpoint if rank == 0 else folder / "elsewhere.ckpt"))
    except TrainingError as error:
        refusal = str(error)
    ranks, device = Ranks(rank=rank, world_size=world_size), torch.device("cpu")
    some, none = ranks.any(rank == 1, device), ranks.any(False, device)
    return {
        "epochs": epochs,
        "refusal": refusal,
        "any": [some, none],
        "gradients": [gradient(ranks, batch_parts=parts) for parts in (1, 2, 3)],
    }


def gradient(ranks: Ranks, *, batch_parts: int) -> list[float]:
    """Return the last layer's gradient after an epoch of one batch; norms left as they are."""
    device = torch.device("cpu")
    segments = to_device(DATA.train, DATA.normalisation, names=(), wanted=(), device=device)
    learner = Learner(
        MODEL,
        replace(TRAINING, segments_per_epoch=32),
        segments,
        rate_hz=DATA.rate_hz,
        seed=0,
        ranks=ranks,
        device=device,
        batch_parts=batch_parts,
    )
    freeze_norms(learner.model)
    learner.train_epoch(1)
    last = list(learner.model.parameters())[-2].grad
    assert last is not None
    return last.flatten().tolist()


def digest(model: ECGNetwork) -> str:
    values = model.state_dict().values()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in values)).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
