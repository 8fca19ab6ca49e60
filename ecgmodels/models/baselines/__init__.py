"""Networks of the field that EfficientECG is compared with, written from their papers."""
