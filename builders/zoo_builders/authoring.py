"""What your own files may import: one module whose names stay, wherever the code behind them moves.

A network file (`base.network: ./nets/mine.py`) needs `Net`, or gives a `Graph`; a compression
algorithm (`./rounding.py` in a recipe) needs `Algorithm` and `Params`, and `Promise` with
`kernels_of` to say what the finished file will hold. `zoo_builders.tf` stays the door to
TensorFlow: import it inside the function that needs it, because planning runs these files.
"""

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network
from zoo_builders.techniques.compress.algorithms import ALGORITHMS, Algorithm, Params
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Graph",
    "Net",
    "Node",
    "Params",
    "Promise",
    "kernels_of",
    "network",
]
