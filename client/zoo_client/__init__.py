"""The client: search, resolve, pull, verify. Imports no server and no TensorFlow."""
