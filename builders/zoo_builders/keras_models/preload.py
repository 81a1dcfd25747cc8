"""What the fork server imports once.

Every TensorFlow stage then starts in milliseconds instead of seconds.

Importing is all that happens here: no operation runs, so TensorFlow has started no thread yet and
forking is safe. What the frameworks write to stderr while they load (which processor features they
were built for) is nobody's business.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from zoo_builders import tf


@contextmanager
def _silence() -> Iterator[None]:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _silence():
    MODULES = (tf.tensorflow, tf.keras, tf.tfmot)
