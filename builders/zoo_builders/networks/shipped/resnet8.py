"""ResNet8, the image classifier of MLPerf Tiny, layer for layer as its reference has it.

Banbury et al. 2021.
"""

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network


@network("resnet8")
def resnet8(*, resolution: int = 32, classes: int = 10, width: int = 16) -> Graph:
    """For RGB images of 32x32 pixels (CIFAR-10): 79 thousand weights, ends in logits.

    MLPerf Tiny asks 85 % top-1 of it.

    Three residual blocks of 3x3 convolutions, `width`, 2 and 4 times `width` channels wide. Dense
    3x3 convolutions have no sparse form, so XNNPACK's sparse path stays shut; pruning and
    clustering shrink the file, int8 shortens the latency.
    """
    net = Net("resnet8", (resolution, resolution, 3))
    net.conv(width, 3, padding="same", name="stem_conv")
    net.batch_norm(name="stem_bn")
    net.relu(name="stem_relu")
    _block(net, "block1", width, 1)
    _block(net, "block2", 2 * width, 2)
    _block(net, "block3", 4 * width, 2)
    net.avg_pool(net.shape()[0], name="pool")
    net.flatten(name="flatten")
    net.dense(classes, name="classifier")
    return net.graph()


def _block(net: Net, name: str, filters: int, stride: int) -> None:
    entered = net.last
    net.conv(filters, 3, stride, padding="same", name=f"{name}_conv1")
    net.batch_norm(name=f"{name}_bn1")
    net.relu(name=f"{name}_relu1")
    net.conv(filters, 3, padding="same", name=f"{name}_conv2")
    inner = net.batch_norm(name=f"{name}_bn2")
    shortcut = (
        net.conv(filters, 1, stride, padding="same", name=f"{name}_shortcut", after=entered)
        if stride > 1
        else entered
    )
    net.add(shortcut, inner, name=f"{name}_add")
    net.relu(name=f"{name}_relu2")
