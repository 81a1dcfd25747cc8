"""Kernels put back to what an earlier step made them.

Zero where they were zero, equal where they were equal.
"""

from collections.abc import Callable
from typing import Any

from zoo_builders import tf


def projection(zeros: Any, groups: Any) -> Callable[[Any], Any]:
    """Make the function kernel → kernel.

    Zero where `zeros` (bool) says so, and the mean of its group (int) for each weight.

    Its gradient gives every weight of a group the group's mean gradient, so that they move
    together. Both arrays have the kernel's shape; None asks for nothing.
    """
    import numpy as np

    tensorflow = tf.tensorflow
    mask = None if zeros is None else (~np.asarray(zeros)).astype(np.float32)
    numbers = None if groups is None else np.asarray(groups, np.int32)

    def project(kernel: Any) -> Any:
        kept = tensorflow.convert_to_tensor(kernel) if mask is None else kernel * mask
        if numbers is None:
            return kept
        means = tensorflow.math.unsorted_segment_mean(kept, numbers, int(numbers.max()) + 1)
        return tensorflow.gather(means, numbers)

    return project
