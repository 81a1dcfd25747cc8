"""Make the small real .tflite files under tests/golden/files.

`python tests/plugins/make_files.py` (needs TensorFlow).

With arguments, a folder and names: those kinds, into that folder. One network with symmetric
    padding, drawn from a seed and not
trained: what is tested is how files are read, not how well they classify. Four fifths of each 1x1
    kernel are zero, so that the sparse
path opens.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net

FILES = Path(__file__).resolve().parents[1] / "golden" / "files"
SEED = 7
SIDE = 16
CLASSES = 6
COMMITTED = ("fp32", "sparse", "sparse-fp16", "int8")
ZEROS = 0.8


def network() -> Graph:
    """Give a network that XNNPACK can run sparse.

    3x3/2 stem, depthwise and 1x1 convolutions, a mean, a dense layer.
    """
    net = Net("tiny", (SIDE, SIDE, 3))
    net.zero_pad()
    net.conv(4, 3, 2)
    net.relu()
    net.depthwise(3)
    net.relu()
    net.conv(32, 1)
    net.relu()
    net.zero_pad()
    net.depthwise(3, 2, padding="valid")
    net.relu()
    net.conv(40, 1)
    net.relu()
    net.global_pool()
    net.flatten()
    net.dense(CLASSES)
    return net.graph()


def model(*, pruned: bool) -> Any:
    """Render the network with weights from the seed.

    With `pruned`, the smallest weights of the 1x1 kernels are zero.
    """
    from zoo_builders.keras_models.render import render

    rendered = render(network())
    random = np.random.default_rng(SEED)
    weights = [
        random.normal(0, 0.4, weight.shape).astype(np.float32) for weight in rendered.get_weights()
    ]
    rendered.set_weights(
        [prune(weight) if pruned and weight.shape[:2] == (1, 1) else weight for weight in weights]
    )
    return rendered


def prune(weight: Any) -> Any:
    """Zero the smallest weights."""
    return np.where(np.abs(weight) < np.quantile(np.abs(weight), ZEROS), np.float32(0), weight)


def calibration() -> Any:
    """Give inputs like those of the network, from the seed."""
    return np.random.default_rng(SEED + 1).uniform(-1, 1, (32, SIDE, SIDE, 3)).astype(np.float32)


def convert(name: str) -> bytes:
    """Convert the network as `name` says.

    Fp32, fp16, dynamic, int8, int8-io, int16x8, sparse, sparse-fp16, sparse-int8.
    """
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.techniques.quantize.params import Params

    kinds = {
        "fp16": Params(dtype="float16"),
        "dynamic": Params(dtype="dynamic"),
        "int8": Params(dtype="int8"),
        "int8-io": Params(dtype="int8", interface="int8"),
        "int16x8": Params(dtype="int16x8"),
    }
    sparse = name.startswith("sparse")
    return to_tflite(
        model(pruned=sparse), kinds.get(name.removeprefix("sparse-")), calibration(), sparse=sparse
    )


def main(folder: Path, names: Iterable[str]) -> None:
    """Convert each kind into `folder`."""
    from zoo_builders import tf

    tf.deterministic(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.tflite").write_bytes(convert(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FILES, sys.argv[2:] or COMMITTED)
