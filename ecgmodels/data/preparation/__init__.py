"""From a folder of recordings to a dataset: options, splits, workers, the pipeline."""
