"""A `Graph` as a Keras model and back: files, weights, and the layers that Keras does not have."""
