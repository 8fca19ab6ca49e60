"""From memory-mapped segments to batches on a device: where they lie, in which order, how fast."""
