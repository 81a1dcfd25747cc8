"""`prune`: set the smallest weights to zero while fine-tuning.

Zhu & Gupta 2017, "To prune, or not to prune".
"""

from typing import Any

from zoo_builders.networks.graph import Graph
from zoo_builders.techniques import Technique, register
from zoo_builders.techniques.prune import rules
from zoo_builders.techniques.prune import work as pruning
from zoo_builders.techniques.prune.params import Params, problem
from zoo_builders.techniques.prune.promises import promises
from zoo_builders.training.context import Context
from zoo_registry.model.errors import BuildFailed


@register
class Prune(Technique):
    """Zero the smallest weights of every layer it picks, and prove the zeros."""

    name = "prune"
    params = Params
    work = pruning
    doc = """Magnitude pruning with fine-tuning: single weights, blocks, or m of every n weights.

Always shrinks the compressed file; shrinks the file itself once zeros are left out (from about a
third on). Latency changes only where XNNPACK's sparse path opens: `policy: xnnpack`, float32 or
float16, more than two thirds zeros, on ARM and in browsers, not on x86 with AVX. Costs as much time
as training for `epochs`; `epochs: 0` prunes at once, to see what a target costs without
fine-tuning. Does not help networks that are tiny already. Depthwise kernels stay dense."""

    check = staticmethod(rules.check)
    layers = staticmethod(rules.layers)
    remarks = staticmethod(rules.remarks)
    promises = staticmethod(promises)

    def refuse(self, model: Any, params: Params, context: Context) -> None:
        """Insist that every rule picks a layer, and that the schedule reaches its target."""
        graph, nodes = pruning.read(model, params)
        refused = [] if graph else rules.unread(params)
        refused += rules.objections(graph or Graph(model.name, nodes), nodes, params)
        if refused:
            lines = "; ".join(f"layer {one.layer}: {one.reason}" for one in refused)
            raise BuildFailed(f"prune cannot be applied: {lines}", hint=refused[0].fix)
        window = pruning.window_of(params, context) if params.epochs else None
        wrong, hint = problem(window) if window else ("", "")
        if window and wrong:
            steps = window.last // params.epochs
            raise BuildFailed(
                f"prune would not reach its target: {wrong} ({steps} steps an epoch)",
                hint=f"{hint} in the manifest",
            )
