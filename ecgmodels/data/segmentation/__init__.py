"""From one recording to its segments: filtering, resampling, cutting, labels, features."""
