"""The front end of speech models inside the network.

It takes recordings and gives features to the network behind it, as fixed layers.

`audio`'s formulas as layers that XNNPACK runs, all of them called `front_end_…`
(`graph.Node.is_fixed`): their weights are formulas, so no training and no technique changes them.
With g the greatest common divisor of window and step in samples:

    input       [samples, 1, 1]      shares of full scale (int16 / 32768)
    crop        what no window reaches is cut off; absent where nothing is
    rows        [samples / g, 1, g]  the same numbers: a window is then window / g rows, one step
                                     step / g rows
    cosine      [frames, 1, used]    convolution with the windowed cosines of those frequencies that
                                     some band weighs
    sine        [frames, 1, used]
    magnitude   sqrt(cosine² + sine²)
    mel         [frames, 1, bins]    1x1 convolution with the bands; its bias is the floor
    log
    values      [frames, 1, width]   1x1 convolution with the DCT and the value steps
                                     (`standardize`, `rescale`); of log_mel a depthwise one
    features    [frames, width, 1]   what the network behind takes

The convolution is over rows, and not over samples. The work is the same, but with one sample a
channel XNNPACK takes 1.3 to 2.4 times as long. Pure but for numpy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo_builders.data.audio_features import (
    FEATURES,
    FULL_SCALE,
    LogMel,
    Mfcc,
    complete,
    dct,
    mel_bank,
    spectrum_basis,
)
from zoo_builders.data.examples import BadData
from zoo_builders.data.preprocess import ValueMap
from zoo_builders.networks.graph import FIXED, Graph, Node, Shape
from zoo_registry.model.errors import BuildFailed

LAST = f"{FIXED}features"
"""The layer that gives the network behind its input."""

PCM = ValueMap(1 / FULL_SCALE, 0.0)
"""From stored recordings (int16) to what the front end takes."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """Features as layers.

    Attributes:
        step: `mfcc` or `log_mel`.
        params: its parameters.
        sample_rate: of the recordings.
        samples: of each recording.
        mapped: whether value steps follow, which become part of the last layer with weights.
    """

    step: str
    params: LogMel
    sample_rate: int
    samples: int
    mapped: bool

    @property
    def shape(self) -> Shape:
        """Shape of the features: (frames, width, 1)."""
        return (self.params.frames(self.sample_rate, self.samples), self.params.width, 1)

    def told(self, values: ValueMap) -> dict[str, Any]:
        """Say all there is to know of it as plain JSON, as `read` takes it.

        `values` is what the value steps come to.
        """
        params = complete(self.params, self.sample_rate, self.samples)
        return {
            "step": self.step,
            "params": params,
            "mapped": self.mapped,
            "scale": values.scale,
            "offset": values.offset,
        }


def of(steps: Sequence[Mapping[str, Any]], samples: int, sample_rate: int) -> FrontEnd | None:
    """Find the features that preprocessing steps want inside the file.

    None where there are none.
    """
    for index, step in enumerate(steps):
        ((name, raw),) = step.items()
        if name in FEATURES:
            params = FEATURES[name].model_validate(raw or {})
            return (
                FrontEnd(name, params, sample_rate, samples, mapped=index + 1 < len(steps))
                if params.inside
                else None
            )
    return None


def read(told: Mapping[str, Any]) -> tuple[FrontEnd, ValueMap]:
    """Give back what `FrontEnd.told` said."""
    kind = FEATURES[str(told["step"])]
    params = kind.model_validate(
        {name: value for name, value in told["params"].items() if name in kind.model_fields}
    )
    rate, samples = int(told["params"]["sample_rate"]), int(told["params"]["samples"])
    return FrontEnd(str(told["step"]), params, rate, samples, bool(told["mapped"])), ValueMap(
        told["scale"], told["offset"]
    )


def problem(front: FrontEnd) -> BadData | None:
    """Say why there can be no such features of these recordings; None where there can."""
    if not front.shape[0]:
        reason = (
            f"recordings of {front.samples} samples hold no window of"
            f" {front.params.window(front.sample_rate)}"
        )
        return BadData(reason, hint="raise seconds of the data")
    try:
        mel_bank(front.params, front.sample_rate)
    except BadData as error:
        return error
    return None


def attached(graph: Graph, front: FrontEnd) -> Graph:
    """Give the network that takes recordings: the front end, then `graph`.

    Raises:
        BuildFailed: `graph` takes another shape than the features have.
    """
    first, *rest = graph.nodes
    if first.shape != front.shape:
        raise BuildFailed(
            f"{graph.name} takes inputs of shape {list(first.shape)}, the front end gives"
            f" {list(front.shape)}",
            hint=(
                f"args: {{frames: {front.shape[0]}, coefficients: {front.shape[1]}}} where the"
                " network takes them"
            ),
        )
    source = replace(first, shape=(front.samples, 1, 1))
    own = _nodes(front, first.name)
    behind = [
        replace(node, inputs=tuple(LAST if name == first.name else name for name in node.inputs))
        for node in rest
    ]
    return Graph(graph.name, (source, *own, *behind))


@dataclass(slots=True)
class _Chain:
    """Layers that are being lined up."""

    nodes: list[Node]
    at: str
    shape: Shape

    def add(self, name: str, op: str, config: Mapping[str, Any], shape: Shape, **more: Any) -> str:
        """Add a layer behind the last one, or behind `inputs`."""
        inputs = more.pop("inputs", (self.at,))
        self.nodes.append(
            Node(f"{FIXED}{name}", op, config, inputs, shape, more.get("weights", {}))
        )
        self.at, self.shape = self.nodes[-1].name, shape
        return self.at

    def conv(
        self,
        name: str,
        filters: int,
        kernel: tuple[int, int] | int = 1,
        strides: Any = 1,
        *,
        bias: bool,
    ) -> str:
        """Add a convolution over rows that nothing trains."""
        tall, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        rows = (self.shape[0] - tall) // (strides if isinstance(strides, int) else strides[0]) + 1
        weights: dict[str, Shape] = {"kernel": (tall, wide, self.shape[-1], filters)} | (
            {"bias": (filters,)} if bias else {}
        )
        config = {
            "filters": filters,
            "kernel_size": kernel,
            "strides": strides,
            "padding": "valid",
            "use_bias": bias,
            "activation": None,
            "trainable": False,
        }
        return self.add(name, "Conv2D", config, (rows, 1, filters), weights=weights)


def _nodes(front: FrontEnd, source: str) -> tuple[Node, ...]:
    params, rate = front.params, front.sample_rate
    window, step = params.window(rate), params.step(rate)
    frames, width, _ = front.shape
    hop, used = math.gcd(window, step), window + (frames - 1) * step
    chain = _Chain([], source, (front.samples, 1, 1))
    if used < front.samples:
        chain.add(
            "crop", "Cropping2D", {"cropping": ((0, front.samples - used), (0, 0))}, (used, 1, 1)
        )
    rows = chain.add(
        "rows", "Reshape", {"target_shape": (used // hop, 1, hop)}, (used // hop, 1, hop)
    )
    count = len(_used(front))
    pair = []
    for name in ("cosine", "sine"):
        chain.at, chain.shape = rows, (used // hop, 1, hop)
        pair.append(
            chain.conv(name, count, _spelled(window // hop), _spelled(step // hop), bias=False)
        )
    chain.add("magnitude", "Magnitude", {}, (frames, 1, count), inputs=tuple(pair))
    chain.conv("mel", params.bins, bias=True)
    chain.add("log", "Logarithm", {}, (frames, 1, params.bins))
    if isinstance(params, Mfcc):
        chain.conv("values", width, bias=front.mapped)
    elif front.mapped:
        config = {
            "kernel_size": 1,
            "strides": 1,
            "padding": "valid",
            "use_bias": True,
            "trainable": False,
        }
        chain.add(
            "values",
            "DepthwiseConv2D",
            config,
            (frames, 1, width),
            weights={"depthwise_kernel": (1, 1, width, 1), "bias": (width,)},
        )
    chain.add("features", "Reshape", {"target_shape": front.shape}, front.shape)
    return tuple(chain.nodes)


def _spelled(tall: int) -> Any:
    """Write (height, 1) as Keras configurations are read back: one number where both are equal."""
    return 1 if tall == 1 else (tall, 1)


def _used(front: FrontEnd) -> Any:
    """Give the indices of the frequencies that some band weighs."""
    import numpy as np

    return np.flatnonzero(mel_bank(front.params, front.sample_rate).any(axis=1))


def weights(front: FrontEnd, values: ValueMap) -> dict[str, dict[str, Any]]:
    """Give the weights of its layers, float32, as Keras names and shapes them.

    `values` is what the value steps come to.
    """
    import numpy as np

    params, rate = front.params, front.sample_rate
    window, step = params.window(rate), params.step(rate)
    hop, used = math.gcd(window, step), _used(front)
    cosine, sine = (
        part[:, used].reshape(window // hop, 1, hop, len(used))
        for part in spectrum_basis(params, rate)
    )
    bank = mel_bank(params, rate)[used]
    found = {
        "cosine": {"kernel": cosine},
        "sine": {"kernel": sine},
        "mel": {"kernel": bank[None, None], "bias": np.full(params.bins, params.floor)},
    }
    scale, offset = (
        np.asarray(value, np.float64).ravel() for value in (values.scale, values.offset)
    )
    bias = {"bias": np.broadcast_to(offset, (params.width,))} if front.mapped else {}
    if isinstance(params, Mfcc):
        found["values"] = {"kernel": (dct(params) * scale)[None, None], **bias}
    elif front.mapped:
        found["values"] = {
            "depthwise_kernel": np.broadcast_to(scale, (1, 1, params.width, 1)),
            **bias,
        }
    return {
        f"{FIXED}{layer}": {
            name: np.ascontiguousarray(array, np.float32) for name, array in own.items()
        }
        for layer, own in found.items()
    }
