"""What is written beside a retrained model, so that it can be used, judged and made again."""

from __future__ import annotations

from typing import Any

from ecgmodels.export.card import non_causal_parts, split_hash
from search.ecg_problem import ECGProblem
from search.engine.lease import Lease
from search.problem import ReplayTrial
from search.retraining.evaluation import Evaluation
from search.study.records import CandidateRecord, EpochResult


def model_card(
    problem: ECGProblem,
    record: CandidateRecord,
    lease: Lease,
    last: EpochResult,
    validation: Evaluation,
    test: Evaluation,
) -> dict[str, Any]:
    """Return what has to be known of a retrained model, as JSON-ready values.

    Args:
        problem: of the retraining.
        record: the candidate, as the search knows it.
        lease: of the retraining.
        last: its last epoch.
        validation: how the model does on the validation part.
        test: and on the test part.
    """
    dataset = problem.dataset
    manifest = dataset.manifest
    candidate = problem.suggest(ReplayTrial(record.params))
    used = candidate.model.features
    non_causal = [name for name in manifest.non_causal_features if name in used]
    return {
        "trial": record.number,
        "key": lease.key,
        "parameters": int(record.costs["parameters"]),
        "macs": int(record.costs["macs"]),
        "leads": list(dataset.leads),
        "rate_hz": dataset.rate_hz,
        "task": manifest.task,
        "multi_label": dataset.multi_label,
        "score": dataset.score,
        "classes": list(dataset.classes),
        "scored_classes": list(dataset.scored_classes),
        "features": list(dataset.features),
        "non_causal_features": non_causal,
        "template": candidate.model.template,
        "non_causal": non_causal_parts(
            filtered=manifest.options.filter_hz is not None,
            features=non_causal,
            template=candidate.model.template,
        ),
        "uv_per_unit": manifest.uv_per_unit,
        "samples_before": manifest.samples_before,
        "preprocessing": manifest.options.to_dict(),
        "normalisation": dataset.normalisation(problem.split).to_dict(),
        "dataset": {
            "database": manifest.database,
            "version": manifest.database_version,
            "hash": dataset.hash,
            "shared_patients": [list(records) for records in manifest.shared_patients],
        },
        "split": problem.split,
        "split_hash": split_hash(dataset, problem.split),
        "training": candidate.training.to_dict(),
        "epochs": last.number,
        "kept_epoch": last.kept or last.number,
        "workers": lease.resources.workers,
        "seed": lease.seed,
        "validation": validation.to_dict(),
        "test": test.to_dict(),
    }
