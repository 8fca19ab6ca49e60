"""What becomes of the front: models trained in full, evaluated, exported."""
