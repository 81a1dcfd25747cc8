"""Base networks, one file each.

A network is a function that gives a `Graph`, decorated with `@network`.
"""

from collections.abc import Callable

from zoo_builders.networks.graph import Graph
from zoo_registry.model.plugins import Kind

NETWORKS: Kind[Callable[..., Graph]] = Kind("network", "networks", __name__)
network = NETWORKS.register
