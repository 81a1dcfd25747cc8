"""`cluster`: let the weights of each kernel share a few values.

Han et al. 2016, "Deep Compression".
"""

from typing import Any

from zoo_builders.techniques import Technique, register
from zoo_builders.techniques.cluster import rules
from zoo_builders.techniques.cluster import work as clustering
from zoo_builders.techniques.cluster.params import Params
from zoo_builders.training.context import Context


@register
class Cluster(Technique):
    """Let the weights of each kernel it picks share a few values, and prove how many."""

    name = "cluster"
    params = Params
    work = clustering
    doc = """Weight clustering with fine-tuning.

Shrinks the compressed download (few distinct values compress well); changes neither the file's raw
size nor its latency. Batch normalisation is folded into the convolution before it first, because
the converter would otherwise multiply every channel by its own factor and make the shared values
distinct again. Depthwise kernels and biases are not clustered. `per_channel` gives each output
channel of a Conv2D values of its own: better accuracy and more values in the file, free of charge
where int8 scales each channel anyway."""

    infer = staticmethod(rules.infer)
    check = staticmethod(rules.check)
    layers = staticmethod(rules.layers)
    remarks = staticmethod(rules.remarks)
    promises = staticmethod(rules.promises)
    rewrites = staticmethod(rules.rewrites)

    def refuse(self, model: Any, params: Params, context: Context) -> None:
        """Insist on a network whose layers all have a description, and some a kernel to cluster."""
        from zoo_builders.keras_models.render import judged

        del context
        judged(model, self.name, lambda graph: rules.unfit(graph, params))
