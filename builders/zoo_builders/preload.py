"""What the fork server imports once, so that every TensorFlow stage starts in milliseconds instead of seconds.

Importing is all that happens here: no operation runs, so TensorFlow has started no thread yet and forking is safe.
"""

from zoo_builders import tf

MODULES = (tf.tensorflow, tf.keras)
