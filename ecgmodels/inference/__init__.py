"""Using a trained model: probabilities of segments and records."""
