"""InceptionV3, layer for layer as keras.applications has it.

Szegedy et al. 2016, "Rethinking the Inception Architecture".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net, Size
from zoo_builders.networks.shipped import network

_Step = tuple[int, Size]
"""(filters, kernel) of one convolution of a branch."""


@network("inception_v3")
def inception_v3(*, resolution: int = 299, classes: int = 1000) -> Graph:
    """For RGB images in [-1, 1], at least 75x75: 23.9 million weights, ends in logits.

    Keras.applications' weights fit exactly.

    There is one variant: its 3x3, 1x7 and 7x1 convolutions and its joins have no sparse form, so
    XNNPACK's sparse path stays shut. Pruning and clustering shrink the file; int8 shortens the
    latency. 77.9 % top-1 as published.
    """
    net = Net("inception_v3", (resolution, resolution, 3))
    writer = _Writer(net)
    writer.conv(32, 3, 2, padding="valid")
    writer.conv(32, 3, padding="valid")
    writer.conv(64, 3)
    net.max_pool(3, 2, name="pool_1")
    writer.conv(80, 1, padding="valid")
    writer.conv(192, 3, padding="valid")
    net.max_pool(3, 2, name="pool_2")
    for number, pooled in enumerate((32, 64, 64)):
        writer.mixed(
            f"mixed{number}",
            ((64, 1),),
            ((48, 1), (64, 5)),
            ((64, 1), (96, 3), (96, 3)),
            pooled=pooled,
        )
    writer.shrink("mixed3", ((384, 3),), ((64, 1), (96, 3), (96, 3)))
    for number, width in enumerate((128, 160, 160, 192), start=4):
        writer.mixed(
            f"mixed{number}", ((192, 1),), _seven(width, 192), _twice_seven(width, 192), pooled=192
        )
    writer.shrink(
        "mixed8", ((192, 1), (320, 3)), ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3))
    )
    for number in (9, 10):
        writer.wide(f"mixed{number}")
    net.global_pool(keepdims=False, name="avg_pool")
    net.dense(classes, name="predictions")
    return net.graph()


def _seven(width: int, last: int) -> tuple[_Step, ...]:
    return ((width, 1), (width, (1, 7)), (last, (7, 1)))


def _twice_seven(width: int, last: int) -> tuple[_Step, ...]:
    return ((width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (last, (1, 7)))


@dataclass(slots=True)
class _Writer:
    """Writes convolutions and numbers them in the order they are written.

    The order is that of keras.applications.
    """

    net: Net
    count: int = 0

    def conv(
        self,
        filters: int,
        kernel: Size,
        stride: int = 1,
        *,
        padding: str = "same",
        after: str | None = None,
    ) -> str:
        """Add a convolution, batch normalisation without scale, and ReLU."""
        self.count += 1
        self.net.conv(
            filters,
            kernel,
            stride,
            padding=padding,
            bias=False,
            name=f"conv2d_{self.count}",
            after=after,
        )
        self.net.batch_norm(scale=False, name=f"batch_normalization_{self.count}")
        return self.net.relu(name=f"activation_{self.count}")

    def branch(self, origin: str, steps: Sequence[_Step], *, shrinks: bool = False) -> str:
        """Add convolutions one behind the other; with `shrinks` the last halves the image."""
        end = origin
        for index, (filters, kernel) in enumerate(steps):
            last = shrinks and index == len(steps) - 1
            end = self.conv(
                filters, kernel, 2 if last else 1, padding="valid" if last else "same", after=end
            )
        return end

    def pooled(self, origin: str, filters: int, name: str) -> str:
        """Add a branch of average pooling and a 1x1 convolution."""
        return self.conv(
            filters, 1, after=self.net.avg_pool(3, 1, padding="same", name=name, after=origin)
        )

    def mixed(self, name: str, *branches: Sequence[_Step], pooled: int) -> None:
        """Add branches side by side, one of them pooling, and join them."""
        origin = self.net.last
        ends = [self.branch(origin, steps) for steps in branches]
        self.net.concat([*ends, self.pooled(origin, pooled, f"{name}_pool")], name=name)

    def shrink(self, name: str, *branches: Sequence[_Step]) -> None:
        """Add branches that halve the image, one of them pooling, and join them."""
        origin = self.net.last
        ends = [self.branch(origin, steps, shrinks=True) for steps in branches]
        self.net.concat(
            [*ends, self.net.max_pool(3, 2, name=f"{name}_pool", after=origin)], name=name
        )

    def wide(self, name: str) -> None:
        """Add one of the two last modules, whose branches fork once more."""
        origin = self.net.last
        first = self.conv(320, 1, after=origin)
        second = self.fork(self.branch(origin, ((384, 1),)), f"{name}_3x3")
        third = self.fork(self.branch(origin, ((448, 1), (384, 3))), f"{name}_3x3dbl")
        self.net.concat([first, second, third, self.pooled(origin, 192, f"{name}_pool")], name=name)

    def fork(self, origin: str, name: str) -> str:
        """Add a 1x3 and a 3x1 convolution side by side."""
        ends = [self.conv(384, kernel, after=origin) for kernel in ((1, 3), (3, 1))]
        return self.net.concat(ends, name=name)
