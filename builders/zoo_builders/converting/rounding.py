"""Which way each weight is rounded to eight bits.

It is chosen so that the errors of one output cancel instead of adding up. Pure: numpy.

A layer's output is off by `e x`, where `e` is what rounding did to its weights and `x` an input;
over calibration inputs the mean square of that is `e H e'`, with `H` the second moments of the
inputs. Rounding each weight to the nearest step minimizes every `e` by itself and ignores `H`;
where inputs go together (all after a ReLU6 are positive) the errors of one output add up.

* `compensated`: one input after the other is rounded, and what it lost is made up for in those
  still to be rounded (optimal brain quantization in a fixed order: Frantar et al. 2022, "GPTQ:
  Accurate Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1, with
  the inputs of largest moment first).
* `chosen`: with few inputs (a 3x3 depthwise kernel has nine) all choices of up and down are
  compared (the problem that Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training
  Quantization", relax).

Steps are the converter's: the largest weight of an output channel becomes 127. That weight stays
where it is, so the converter finds the same step again, and every weight on its grid.
"""

from functools import cache
from itertools import product

import numpy as np

from zoo_builders.arrays import Array

LEVELS = 127
FEW = 10
"""Up to how many inputs all roundings are compared.

There are 2 to the power of it for each output channel.
"""

_DAMPING = 0.01
"""Added to `H` as this share of its mean diagonal (GPTQ's own).

Inputs that never vary would make it singular.
"""


def step_of(kernel: Array) -> Array:
    """Give the step of each output channel of `kernel` [inputs, outputs].

    The steps are [outputs]; a step is 1 where all weights of the channel are zero.
    """
    largest = np.abs(kernel).max(axis=0) / LEVELS
    return np.where(largest > 0, largest, 1.0)


def nearest(kernel: Array, step: Array) -> Array:
    """Round each weight to the nearest multiple of its step."""
    rounded: Array = np.clip(np.rint(kernel / step), -LEVELS, LEVELS) * step
    return rounded


def compensated(kernel: Array, moments: Array) -> Array:
    """Round `kernel` [inputs, outputs] input by input.

    Each error is made up for in the inputs that follow.

    Args:
        kernel: weights, any float.
        moments: second moments of the inputs, [inputs, inputs].
    """
    order = np.argsort(-np.diag(moments), kind="stable")
    kernel = np.asarray(kernel, np.float64)[order]
    step, factor = step_of(kernel), _factor(moments[np.ix_(order, order)])
    largest = np.abs(kernel).argmax(axis=0)
    rest, rounded = kernel.copy(), np.empty_like(kernel)
    for index in range(len(rest)):
        rounded[index] = np.where(largest == index, kernel[index], nearest(rest[index], step))
        lost = (rest[index] - rounded[index]) / factor[index, index]
        rest[index + 1 :] -= np.outer(factor[index, index + 1 :], lost)
    back = np.empty_like(rounded)
    back[order] = rounded
    return back


def _factor(moments: Array) -> Array:
    """Give the upper Cholesky factor of the inverse of the damped moments."""
    mean = float(np.mean(np.diag(moments)))
    damped = moments + np.eye(len(moments)) * (_DAMPING * mean if mean > 0 else 1.0)
    factor: Array = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor


def chosen(kernel: Array, moments: Array) -> Array:
    """Round `kernel` [inputs] of one output channel the best way there is.

    This is for up to `FEW` inputs; for more it is `compensated`.
    """
    kernel = np.asarray(kernel, np.float64)
    if len(kernel) > FEW:
        return compensated(kernel[:, None], moments)[:, 0]
    step = float(step_of(kernel[:, None])[0])
    largest = int(np.abs(kernel).argmax())
    tried = np.clip(np.floor(kernel / step) + _choices(len(kernel)), -LEVELS, LEVELS) * step
    tried[:, largest] = kernel[largest]
    errors = tried - kernel
    damped = moments + np.eye(len(kernel)) * 1e-4 * max(
        float(np.mean(np.diag(moments))), np.finfo(np.float64).tiny
    )
    best: Array = tried[np.einsum("ij,jk,ik->i", errors, damped, errors).argmin()]
    return best


@cache
def _choices(count: int) -> Array:
    return np.array(list(product((0, 1), repeat=count)), np.float64)
