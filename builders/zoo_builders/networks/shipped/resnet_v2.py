"""ResNet50V2 and ResNet101V2, as keras.applications has them.

He et al. 2016, "Identity Mappings in Deep Residual Networks".
"""

from typing import Literal

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network

_STACKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_EPSILON = 1.001e-5


@network("resnet_v2")
def resnet_v2(*, depth: Literal[50, 101] = 50, resolution: int = 224, classes: int = 1000) -> Graph:
    """For RGB images in [-1, 1]: 25.6 (50) or 44.7 (101) million weights, ends in logits.

    Keras.applications' weights fit exactly.

    There is one variant: it pads evenly as it is, but its 7x7 stem and 3x3 convolutions have no
    sparse form, so XNNPACK's sparse path stays shut. Pruning and clustering shrink the file; int8
    shortens the latency. 76.0 % and 77.2 % top-1 as published.
    """
    if depth not in _STACKS:
        raise ValueError(f"depth is {depth!r}, expected 50 or 101")
    net = Net(f"resnet{depth}v2", (resolution, resolution, 3))
    net.zero_pad(3, name="conv1_pad")
    net.conv(64, 7, 2, name="conv1_conv")
    net.zero_pad(1, name="pool1_pad")
    net.max_pool(3, 2, name="pool1_pool")
    for stack, blocks in enumerate(_STACKS[depth], start=2):
        for block in range(1, blocks + 1):
            stride = 2 if block == blocks and stack < len(_STACKS[depth]) + 1 else 1
            _block(net, f"conv{stack}_block{block}", 16 << stack, stride, projected=block == 1)
    _norm(net, "post")
    net.global_pool(keepdims=False, name="avg_pool")
    net.dense(classes, name="predictions")
    return net.graph()


def _norm(net: Net, name: str) -> str:
    net.batch_norm(epsilon=_EPSILON, name=f"{name}_bn")
    return net.relu(name=f"{name}_relu")


def _block(net: Net, name: str, filters: int, stride: int, *, projected: bool) -> None:
    """Add a bottleneck with its activations before its convolutions."""
    entered = net.last
    active = _norm(net, f"{name}_preact")
    if projected:
        shortcut = net.conv(4 * filters, 1, stride, name=f"{name}_0_conv")
    else:
        shortcut = (
            net.max_pool(1, stride, name=f"{name}_0_pool", after=entered) if stride > 1 else entered
        )
    net.conv(filters, bias=False, name=f"{name}_1_conv", after=active)
    _norm(net, f"{name}_1")
    net.zero_pad(1, name=f"{name}_2_pad")
    net.conv(filters, 3, stride, bias=False, name=f"{name}_2_conv")
    _norm(net, f"{name}_2")
    net.conv(4 * filters, name=f"{name}_3_conv")
    net.add(shortcut, net.last, name=f"{name}_out")
