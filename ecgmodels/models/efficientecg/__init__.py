"""The EfficientECG family: a 1-D EfficientNet with cross-attention to patient features."""
