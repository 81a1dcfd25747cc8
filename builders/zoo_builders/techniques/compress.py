"""Every compression algorithm is a technique of its own name: one file in `compression/` and nothing here."""

from zoo_builders.compressing import technique_of
from zoo_builders.compression import ALGORITHMS
from zoo_builders.techniques import TECHNIQUES

for _name in ALGORITHMS.names():
    TECHNIQUES.add(_name, technique_of(ALGORITHMS.get(_name)))
