"""The one door to LiteRT (`ai_edge_litert`).

Its runtime, its version, and the schema bindings it ships.

Light on purpose: importing this module imports neither LiteRT nor numpy, so that a measuring child
starts fast.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo_builders.arrays import Array
from zoo_builders.tflite import state
from zoo_registry.model.errors import MeasureFailed, MissingExtra

if TYPE_CHECKING:
    import numpy as np

RUNTIME = "litert"
Kernels = Literal["xnnpack", "builtin", "reference"]
"""Who computes.

It is the XNNPACK delegate with optimized kernels behind it (the default of every app), the
optimized kernels alone, or the plain reference kernels.
"""

_DELEGATE = "TfLiteXNNPackDelegate"


def version() -> str:
    """Version of the installed runtime, without importing it.

    Raises:
        MissingExtra: it is not installed.
    """
    from importlib import metadata

    try:
        return metadata.version("ai-edge-litert")
    except metadata.PackageNotFoundError as error:
        raise _missing() from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the runtime's warning that keeping every tensor costs memory.

    Whoever asks for that means it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
        yield


def schema() -> Any:
    """Give the generated bindings of the TFLite schema.

    Raises:
        MissingExtra: the runtime is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise _missing() from error
    return schema_py_generated


def _missing() -> MissingExtra:
    return MissingExtra(
        "running a .tflite file needs LiteRT (ai-edge-litert)", hint="pip install 'edgezoo[bench]'"
    )


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a loaded file.

    `scale` is 0 for floats; integers mean (stored - zero_point) * scale.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    scale: float
    zero_point: int

    def store(self, values: Array) -> Array:
        """Turn real values into what the file takes.

        Rounded to the nearest step and clipped for integers.
        """
        import numpy as np

        if values.shape != self.shape and values.size == math.prod(self.shape):
            values = values.reshape(self.shape)  # the same numbers, but for sizes of 1
        if not self.scale:
            return np.ascontiguousarray(values, dtype=self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.ascontiguousarray(np.clip(steps, limits.min, limits.max).astype(self.dtype))

    def real(self, stored: Array) -> Array:
        """Turn what the file gives into real values, float32."""
        import numpy as np

        if not self.scale:
            return np.asarray(stored, np.float32)
        return ((stored.astype(np.float32) - self.zero_point) * np.float32(self.scale)).astype(
            np.float32
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a graph the delegate took.

    Nodes taken, nodes in all, and into how many pieces it was cut.
    """

    delegated: int
    total: int
    partitions: int


class Session:
    """A file loaded and ready to run.

    Examples never see each other: `run` and `infer` start each one with the file's variables as
    they were when it was loaded (see `state`). `keep_all` keeps what is computed on the way, for
    `value` (slow, and large). `shape` is what the one input takes, where the file leaves it open.

    Raises:
        MeasureFailed: the runtime cannot load the file or prepare its tensors; the message is the
            runtime's own.
    """

    def __init__(
        self,
        source: bytes | Path,
        *,
        threads: int = 1,
        kernels: Kernels = "xnnpack",
        keep_all: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise _missing() from error
        resolvers = {
            "xnnpack": OpResolverType.AUTO,
            "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": OpResolverType.BUILTIN_REF,
        }
        where = (
            {"model_content": source} if isinstance(source, bytes) else {"model_path": str(source)}
        )
        options = {
            "experimental_op_resolver_type": resolvers[kernels],
            "experimental_preserve_all_tensors": keep_all,
        }
        self._shape = shape
        self._load = partial(Interpreter, **where, num_threads=threads, **options)
        self._interpreter, self._ran = self._prepared(), False
        self._resources = state.holds_resources(source)
        self.inputs = tuple(_port(detail) for detail in self._interpreter.get_input_details())
        self.outputs = tuple(_port(detail) for detail in self._interpreter.get_output_details())

    def _prepared(self) -> Any:
        try:
            with quiet():
                interpreter = self._load()
            if self._shape is not None:
                [entry] = interpreter.get_input_details()
                interpreter.resize_tensor_input(entry["index"], list(self._shape))
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise MeasureFailed(
                f"the runtime cannot prepare the file: {error}", kind="load", hint="zoo doctor"
            ) from error
        return interpreter

    def fresh(self) -> None:
        """Forget what earlier runs left in the file's variables; inputs must be fed again.

        The runtime's reset clears tensors, not resources: a file with those is loaded anew.
        """
        if not self._ran:
            return
        if self._resources:
            self._interpreter = self._prepared()
        else:
            self._interpreter.reset_all_variables()
        self._ran = False

    def feed(self, arrays: Sequence[Array]) -> None:
        """Set all inputs, as stored (see `Port.store`).

        Raises:
            MeasureFailed: number, shape or dtype is not what the file takes.
        """
        if len(arrays) != len(self.inputs):
            raise MeasureFailed(
                f"{len(arrays)} inputs given, the file takes {len(self.inputs)}", kind="interface"
            )
        for port, array in zip(self.inputs, arrays, strict=True):
            try:
                self._interpreter.set_tensor(port.index, array)
            except (RuntimeError, ValueError) as error:
                raise MeasureFailed(f"input {port.name!r}: {error}", kind="interface") from error

    def invoke(self) -> None:
        """Run once, on the variables that the run before left.

        Raises:
            MeasureFailed: the runtime reports an error; the message is its own.
        """
        self._ran = True
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise MeasureFailed(f"the runtime failed while running the file: {error}") from error

    def fetch(self) -> tuple[Array, ...]:
        """Copy all outputs, as stored.

        Raises:
            MeasureFailed: an output holds a NaN or an infinity.
        """
        import numpy as np

        arrays = tuple(self._interpreter.get_tensor(port.index) for port in self.outputs)
        for port, array in zip(self.outputs, arrays, strict=True):
            if not np.issubdtype(array.dtype, np.integer) and not np.isfinite(array).all():
                raise MeasureFailed(
                    f"output {port.name!r} holds values that are not numbers", kind="not-finite"
                )
        return arrays

    def value(self, index: int) -> Array:
        """Copy a tensor by its index, as stored.

        One that is only computed on the way needs `keep_all`.

        Raises:
            MeasureFailed: it was not kept.
        """
        try:
            value: Array = self._interpreter.get_tensor(index)
        except (RuntimeError, ValueError) as error:
            raise MeasureFailed(f"tensor {index} cannot be read: {error}") from error
        return value

    def run(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Start fresh, feed, invoke, fetch; inputs and outputs as stored.

        Raises:
            MeasureFailed: as `feed`, `invoke` and `fetch`.
        """
        self.fresh()
        self.feed(arrays)
        self.invoke()
        return self.fetch()

    def infer(self, examples: Iterable[Array], output: int | None = 0) -> Array:
        """Run real values [N, …] of the first input, one example at a time, as applications do.

        Real values [N, …] of one output, float32; with None those of all outputs in a row,
        [N, numbers].

        Raises:
            MeasureFailed: as `run`; or outputs have another shape for each example.
        """
        import numpy as np

        port = self.inputs[0]
        rows = [self._real(self.run([port.store(one[None])]), output) for one in examples]
        try:
            return np.stack(rows)
        except ValueError as error:
            raise MeasureFailed(
                f"an output's shape differs from example to example: {rows[0].shape} and others"
            ) from error

    def _real(self, stored: Sequence[Array], output: int | None) -> Array:
        """Give one example's real values: without the batch of one, where there is one."""
        import numpy as np

        if output is None:
            return np.concatenate([self._real(stored, i).reshape(-1) for i in range(len(stored))])
        value = self.outputs[output].real(stored[output])
        return value[0] if value.ndim and len(value) == 1 else value

    def coverage(self) -> Coverage:
        """Count what the delegate took.

        The count walks back from the outputs of each of its nodes to their inputs.
        """
        # the runtime offers no public way to ask
        nodes = self._interpreter._get_ops_details()  # noqa: SLF001
        own = [
            node
            for node in nodes
            if _DELEGATE not in node["op_name"] and node["op_name"] != "DELEGATE"
        ]
        taken = [node for node in nodes if node not in own]
        producers = {
            int(tensor): index for index, node in enumerate(own) for tensor in node["outputs"]
        }
        delegated: set[int] = set()
        for node in taken:
            delegated |= _behind(node, own, producers)
        return Coverage(len(delegated), len(own), len(taken))


def outputs(session: Session, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """Run golden inputs, one array a port, [examples, …] as stored; give outputs likewise.

    Raises:
        MeasureFailed: as `Session.run`.
    """
    import numpy as np

    found = [session.run([array[example] for array in inputs]) for example in range(len(inputs[0]))]
    return tuple(np.stack(port) for port in zip(*found, strict=True))


def _behind(
    delegate: dict[str, Any], own: list[dict[str, Any]], producers: dict[int, int]
) -> set[int]:
    stop = {int(tensor) for tensor in delegate["inputs"]}
    waiting, found = [int(tensor) for tensor in delegate["outputs"]], set[int]()
    while waiting:
        tensor = waiting.pop()
        index = producers.get(tensor)
        if tensor in stop or index is None or index in found:
            continue
        found.add(index)
        waiting.extend(int(source) for source in own[index]["inputs"])
    return found


def _port(detail: dict[str, Any]) -> Port:
    import numpy as np

    scale, zero_point = detail["quantization"]
    if not math.isfinite(scale):
        raise MeasureFailed(f"tensor {detail['name']!r} has the scale {scale}", kind="load")
    shape, dtype = tuple(int(size) for size in detail["shape"]), np.dtype(detail["dtype"])
    if not np.issubdtype(dtype, np.integer):
        scale, zero_point = 0.0, 0  # old files give ranges of float tensors too
    return Port(
        int(detail["index"]), str(detail["name"]), shape, dtype, float(scale), int(zero_point)
    )
