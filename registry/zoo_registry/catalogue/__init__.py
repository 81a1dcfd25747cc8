"""The catalogue: an SQL index over the releases of a store, so that a budget is a query.

Never the truth: `reindex` rebuilds it.
"""

from zoo_registry.catalogue.catalogue import Catalogue

__all__ = ["Catalogue"]
