"""A small CNN for scikit-learn's 8x8 grey digits: trains in seconds, shows every technique."""

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network

MOMENTUM = 0.9
"""The momentum of the moving statistics.

An epoch of digits is a few dozen steps, too few for Keras' 0.99 to arrive.
"""


@network("digits_cnn")
def digits_cnn(*, classes: int = 10, width: int = 32) -> Graph:
    """For 8x8 grey images: a stem and two depthwise-separable blocks, ends in logits.

    Built like a network that XNNPACK runs sparse (symmetric padding, 1x1 convolutions, pooling with
    `keepdims`), but not one: the sparse path starts at a stem with three input channels and digits
    have one. `prune` with `policy: xnnpack` therefore refuses it; `policy: whole-model` shrinks the
    compressed file and changes no latency.
    """
    net = Net("digits_cnn", (8, 8, 1))
    net.zero_pad(1, name="stem_pad")
    net.conv(width, 3, 1, name="stem_conv")
    net.batch_norm(momentum=MOMENTUM, name="stem_bn")
    net.relu(name="stem_relu")
    for block, filters in enumerate((2 * width, 4 * width), start=1):
        net.zero_pad(1, name=f"block{block}_pad")
        net.depthwise(3, 2, padding="valid", name=f"block{block}_depthwise")
        net.batch_norm(momentum=MOMENTUM, name=f"block{block}_depthwise_bn")
        net.relu(name=f"block{block}_depthwise_relu")
        net.conv(filters, 1, name=f"block{block}_pointwise")
        net.batch_norm(momentum=MOMENTUM, name=f"block{block}_pointwise_bn")
        net.relu(name=f"block{block}_pointwise_relu")
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    net.dense(classes, name="classifier")
    return net.graph()
