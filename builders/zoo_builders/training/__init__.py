"""Fit a Keras model: batches, loops, checkpoints."""
