"""Every compression algorithm is a technique of its own name.

One file in `compress/algorithms/` and nothing here.
"""

from zoo_builders.techniques import TECHNIQUES
from zoo_builders.techniques.compress.algorithms import ALGORITHMS
from zoo_builders.techniques.compress.technique import Compressor

TECHNIQUES.make_from(ALGORITHMS, Compressor)
