"""Names that objectives can have: what is known of a network beforehand, what an epoch measures."""

from search.latency import LATENCY_COST

# What a network costs, by arithmetic (ecgmodels.models.registry.cost).
ECG_COSTS = ("parameters", "macs")
# And what it costs by measurement, where there is a [latency].
MEASURED_COSTS = (LATENCY_COST,)

# What an epoch measures (ecgmodels.metrics.classification, ecgmodels.training.fitting.Epoch).
ECG_METRICS = (
    *("mean_f1", "macro_f1", "macro_f1_occurring", "micro_f1", "macro_auc"),
    *("macro_sensitivity", "macro_positive_predictivity", "validation_loss", "train_loss"),
    *("balanced_accuracy", "accuracy", "exact_match", "challenge_score"),
)
CLASS_METRICS = ("sensitivity_", "positive_predictivity_", "f1_", "auc_")  # and a class's name

# Which of them one dataset has depends on its labels: one class a segment, or several.
ONE_CLASS_ONLY = ("balanced_accuracy", "accuracy")
SEVERAL_CLASSES_ONLY = ("exact_match", "auc_")
