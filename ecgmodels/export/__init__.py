"""A trained model to take home."""
