"""Training: options, losses, augmentation, the loop of epochs, checkpoints."""
