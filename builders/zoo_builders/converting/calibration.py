"""TensorFlow's calibration, mended: fresh state for each example, refusals instead of signals.

The converter runs a float file on examples and notes the range of every tensor. Left to itself it

* clears the variables of recurrent layers before the first example only, so that their ranges are
  those of one endless sequence (here: before each);
* ends the whole process with a signal at some operators (here: refused before they are met).
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from zoo_builders import tf
from zoo_builders.tflite import flatbuffer
from zoo_registry.model.errors import BuildFailed, Loops

_LOOPS = frozenset({"WHILE", "IF"})
"""Its calibrator cannot note ranges within another subgraph: it ends with signal 11."""

_NO_INT16 = frozenset({"SQUARED_DIFFERENCE"})
"""Quantized to int16 all the same; the runtime ends with signal 6 when it prepares such a file."""


@contextmanager
def mended(*, sixteen_bits: bool) -> Iterator[None]:
    """Mend the converter's calibration as long as this lasts; `sixteen_bits` is what it is for.

    There is no public way in: its class is put in the place where the converter looks for it.

    Raises:
        Loops: the converter meets a float file with loops.
        BuildFailed: it meets other operators that end the process, or variables that nothing
            resets.
    """
    module = tf.calibrator
    endless = module.Calibrator

    class Fresh(endless):  # type: ignore[misc, valid-type]  # a class of TensorFlow's
        def __init__(self, content: bytes, *others: Any) -> None:
            refuse(_codes(content), sixteen_bits=sixteen_bits)
            super().__init__(content, *others)

        def _feed_tensors(self, examples: Callable[[], Any], resize_input: Any) -> None:
            for example in examples():
                super()._feed_tensors(lambda one=example: [one], resize_input)

    module.Calibrator = Fresh
    try:
        yield
    finally:
        module.Calibrator = endless


def refuse(codes: Collection[str], *, sixteen_bits: bool) -> None:
    """Refuse a float file of these operators where calibration would end in a signal or a lie.

    Raises:
        Loops: it holds loops.
        BuildFailed: it holds other operators of that kind.
    """
    if not _LOOPS.isdisjoint(codes):
        raise Loops(
            f"no ranges can be measured inside {_and(_LOOPS & set(codes))}: the converter's"
            " calibration ends with signal 11 there",
            hint="write dtype: float16 or dynamic, or fix the number of steps of the Input",
        )
    if "VAR_HANDLE" in codes:
        raise BuildFailed(
            "the network keeps variables between inferences, and the converter's calibration"
            " cannot reset them: ranges would be those of one endless sequence",
            hint="write dtype: float16 or dynamic",
        )
    if sixteen_bits and not _NO_INT16.isdisjoint(codes):
        raise BuildFailed(
            f"the runtime has no int16 kernel for {_and(_NO_INT16 & set(codes))}, which"
            " LayerNormalization is made of: it ends with signal 6 when it loads such a file",
            hint="write dtype: int8, float16 or dynamic",
        )


def _codes(content: bytes) -> Collection[str]:
    file = flatbuffer.read(bytes(content))
    return {operator.code for graph in file.subgraphs for operator in graph.operators}


def _and(codes: Collection[str]) -> str:
    return " and ".join(sorted(codes))
