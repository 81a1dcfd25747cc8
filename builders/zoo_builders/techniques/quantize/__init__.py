"""`quantize`: store weights, or weights and activations, in fewer bits.

Done by the converter, after training.
"""

from zoo_builders.techniques import Technique, register
from zoo_builders.techniques.quantize import rules
from zoo_builders.techniques.quantize.params import Params
from zoo_builders.techniques.quantize.promises import promises


@register
class Quantize(Technique):
    """Hand the parameters to the converter, and prove what the file stores."""

    name = "quantize"
    params = Params
    doc = """Post-training quantization.

`float16` halves the file, costs no accuracy and no latency: processors widen it back to float32.
`dynamic` stores int8 weights and computes partly in int8: a quarter of the size, slower than
float32 where depthwise kernels are large, faster where there are none. `int8` needs calibration
data and is the fast one on phones and servers. `int16x8` (int16 activations) saves accuracy where
int8 loses it, and runs on reference kernels: slow. `int4` stores the weights of convolutions and
dense layers in four bits (all others in eight) and computes as `dynamic` does: for models that are
mostly weights. `keep_float` leaves layers that suffer in float: those you name, or with `auto` as
few as bring the metric back."""

    infer = staticmethod(rules.infer)
    on_file = staticmethod(rules.on_file)
    check = staticmethod(rules.check)
    layers = staticmethod(rules.layers)
    remarks = staticmethod(rules.remarks)
    promises = staticmethod(promises)
    converts = staticmethod(rules.converts)
