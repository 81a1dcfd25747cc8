"""The small CNN of TensorFlow's guide "Pruning for on-device inference with XNNPACK".

Layer by layer.
"""

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network


@network("cifar10_cnn")
def cifar10_cnn(*, classes: int = 10) -> Graph:
    """For 32x32 RGB images: 1.9 thousand weights, ends in logits.

    Every layer between the stem and the pooling is one that XNNPACK runs sparse, padding included;
    the guide's fixed model (`keepdims=True` before the classifier) is the one written here.
    Convolutions carry biases, as in the guide.
    """
    net = Net("cifar10_cnn", (32, 32, 3))
    net.zero_pad(1, name="stem_pad")
    net.conv(8, 3, 2, name="stem_conv")
    net.batch_norm(name="stem_bn")
    net.relu(name="stem_relu")
    net.depthwise(3, padding="same", name="block1_depthwise")
    net.batch_norm(name="block1_depthwise_bn")
    net.relu(name="block1_depthwise_relu")
    net.conv(16, 1, name="block1_pointwise")
    net.batch_norm(name="block1_pointwise_bn")
    net.relu(name="block1_pointwise_relu")
    net.zero_pad(1, name="block2_pad")
    net.depthwise(3, 2, padding="valid", name="block2_depthwise")
    net.batch_norm(name="block2_depthwise_bn")
    net.relu(name="block2_depthwise_relu")
    net.conv(32, 1, name="block2_pointwise")
    net.batch_norm(name="block2_pointwise_bn")
    net.relu(name="block2_pointwise_relu")
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    net.dense(classes, name="classifier")
    return net.graph()
