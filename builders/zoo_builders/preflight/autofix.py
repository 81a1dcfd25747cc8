"""`zoo preflight --fix`.

It writes a finished Keras file anew so that XNNPACK can run it sparse, and proves that it computes
the same.
"""

import importlib
import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo_builders.manifest.reader import Resolved
from zoo_builders.manifest.yaml_lines import in_one_line
from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.preflight.graph_rewrite import Rewritten, rewrite
from zoo_registry.model.errors import ProofFailed, WrongUse

TOLERANCE = 1e-5
"""Largest difference of an output, as a share of the largest output.

It comes from the same sums in another order.
"""

PROBES = 16


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was changed, and where the result lies.

    Attributes:
        source: where the network is written: a Keras file, or code.
        rewritten: the changes, and what is left.
        file: the new Keras file; None when the network is code, or nothing could be changed.
        difference: largest difference of an output on random inputs, as a share of the largest
            output; 0 when none was measured.
        line: what to write into the manifest; empty when nothing was written and the network ships
            in one variant only.
        ships: the network is one of the zoo's own: nothing is to be changed in its code.
    """

    source: str
    rewritten: Rewritten
    file: Path | None = None
    difference: float = 0.0
    line: str = ""
    ships: bool = False

    def plain(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "source": self.source,
            "changes": [asdict(change) for change in self.rewritten.changes],
            "left": [asdict(objection) for objection in self.rewritten.left],
            "file": str(self.file) if self.file else None,
            "difference": self.difference,
            "manifest_line": self.line,
            "ships": self.ships,
        }


def repair(resolved: Resolved, graph: Graph) -> Repaired:
    """Rewrite the network of a manifest.

    Where the network is a finished Keras file, the new one is written beside it.

    Raises:
        WrongUse: the new file's name is taken.
        ProofFailed: the new network computes something else; nothing is written.
    """
    network, rewritten = resolved.found.network, rewrite(graph)
    source = str(network.file) if network else resolved.spec.base.network
    if network is not None and network.kind == "shipped":
        return Repaired(
            resolved.spec.base.network, rewritten, line=_other_variant(resolved, graph), ships=True
        )
    if network is None or network.kind != "model" or not rewritten.changes:
        return Repaired(source, rewritten)
    target = network.file.with_name(f"{network.file.stem}-xnnpack.keras")
    if target.exists():
        raise WrongUse(
            f"{target} is there already, and --fix writes over nothing",
            hint=f"rm {target}   # or use it",
        )
    difference = _write(network.file, graph, rewritten.graph, target)
    named = Path(resolved.spec.base.network).with_name(target.name)
    dots = "./" if resolved.spec.base.network.startswith("./") else ""
    return Repaired(source, rewritten, target, difference, f"base: {{network: {dots}{named}}}")


def _other_variant(resolved: Resolved, graph: Graph) -> str:
    """Give the manifest's line for the variant in which XNNPACK's sparse path opens.

    The line is empty where the zoo's network has none.
    """
    base = resolved.spec.base
    make = NETWORKS.get(base.network)
    if "variant" not in inspect.signature(make).parameters:
        return ""
    args = {**base.args, "variant": "xnnpack"}
    there = make(**args)
    if there.digest == graph.digest or len(sparse_path.objections(there)) >= len(
        sparse_path.objections(graph)
    ):
        return ""
    return in_one_line({"base": {"network": base.network, "args": args}})


def _write(source: Path, old: Graph, new: Graph, target: Path) -> float:
    """Give the new network the old one's weights, and write it.

    Its outputs are held against the old one's before that. The result is the largest difference.
    """
    import numpy as np

    from zoo_builders import tf
    from zoo_builders.keras_models.files import load, save
    from zoo_builders.keras_models.weights import render_with, weights_of

    importlib.import_module(
        "zoo_builders.keras_models.preload"
    )  # imports TensorFlow without what it has to say about it
    tf.deterministic(0)
    before = load(source)
    after = render_with(new, weights_of(before, old))
    inputs = np.random.default_rng(0).normal(size=(PROBES, *old.input_shape)).astype(np.float32)
    expected, found = (np.asarray(model(inputs, training=False)) for model in (before, after))
    difference = float(np.abs(expected - found).max() / max(float(np.abs(expected).max()), 1e-30))
    if not difference <= TOLERANCE:
        message = (
            f"{source.name}: the rewritten network differs by {difference:.2g} of its largest"
            f" output, at most {TOLERANCE:g} is rounding"
        )
        raise ProofFailed(message, hint="zoo preflight MANIFEST   # shows what to change by hand")
    save(after, target)
    return difference
