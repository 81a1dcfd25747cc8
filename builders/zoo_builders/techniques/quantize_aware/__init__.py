"""`quantize_aware`: train with quantization in the loop.

The weights learn to live with int8 (Jacob et al. 2018).
"""

from typing import Any

from zoo_builders.techniques import Technique, register
from zoo_builders.techniques.quantize_aware import rules
from zoo_builders.techniques.quantize_aware import work as training
from zoo_builders.techniques.quantize_aware.params import Params
from zoo_builders.training.context import Context


@register
class QuantizeAware(Technique):
    """Train with int8 weights and activations, hold what earlier steps made, and prove int8."""

    name = "quantize_aware"
    params = Params
    ends = True
    work = training
    doc = """Quantization-aware training: int8 weights and activations with the accuracy of float.

Ends a recipe: the file is int8, its ranges are those the training learned, and no calibration data
is read. After `prune` and `cluster` the zeros and shared values they made are kept (PQAT, CQAT,
PCQAT) in every Conv2D and Dense. Costs about twice the time of plain training an epoch. Does not
help where `quantize: {dtype: int8}` already loses nothing; try that first, it trains nothing."""

    infer = staticmethod(rules.infer)
    check = staticmethod(rules.check)
    layers = staticmethod(rules.layers)
    remarks = staticmethod(rules.remarks)
    promises = staticmethod(rules.promises)
    converts = staticmethod(rules.converts)

    def refuse(self, model: Any, params: Params, context: Context) -> None:
        """Insist on a network whose layers all can be quantized, or are left out."""
        from zoo_builders.keras_models.render import judged

        del context
        judged(model, self.name, lambda graph: rules.unfit(graph, params))
