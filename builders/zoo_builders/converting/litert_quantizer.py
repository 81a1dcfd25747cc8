"""The LiteRT quantizer (`litert-quantizer`): a float .tflite file in, a quantized one out.

The one door to that package.

What it does to each operator is decided by `operator_settings` and told to it by exact names. Left
to itself it skips what it cannot do without a word; here that is refused, unless the recipe allows
floats.

Mended on the way in (`normal`): files written before 2020 name their operators in a field it does
not read, so that it would quantize nothing and say nothing; and files without a signature cannot be
calibrated.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from zoo_builders.arrays import Array
from zoo_builders.converting.operator_settings import Assigned, assign
from zoo_builders.techniques.quantize.engines import EIGHT_BITS
from zoo_builders.tflite import flatbuffer, operator_names, weight_tensors
from zoo_builders.tflite.litert import quiet
from zoo_builders.tflite.tflite_file import Subgraph, TfliteFile
from zoo_registry.model.errors import BuildFailed, MissingExtra

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize


DISTRIBUTION = "litert-quantizer"
SIGNATURE = "serving_default"
Report = Callable[[int, int, str], None]
_BITS: Mapping[str, int] = {"int8": 8, "int4": 4, "float16": 16}


def version() -> str:
    """Version of the installed quantizer, without importing it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise _missing() from error


def _missing() -> MissingExtra:
    return MissingExtra(f"engine: litert needs {DISTRIBUTION}", hint="pip install 'edgezoo[build]'")


def quantize(
    file: TfliteFile, settings: "Quantize", samples: Array, report: Report = lambda *_: None
) -> TfliteFile:
    """Quantize a float file as `settings` say.

    `samples`, float32 [N, …], fix the ranges of activations where these are quantized. The file is
    one that `normal` gave.

    Raises:
        BuildFailed: an operator cannot be quantized as asked and no float is allowed; or the
            quantizer fails, in its own words.
        MissingExtra: the quantizer is not installed.
    """
    assigned = assign(file.main, settings)
    _demand_float_weights(file.main)
    try:
        import litert_quantizer
    except ImportError as error:
        raise _missing() from error
    quantizer = litert_quantizer.Quantizer(bytearray(file.data))
    refused = [(one, reason) for one in assigned if (reason := _tell(quantizer, one, settings))]
    if refused:
        raise BuildFailed(
            f"engine litert cannot quantize {'; '.join(reason for _, reason in refused)}",
            hint=_way_out(refused, settings),
        )
    _ports(quantizer, settings)
    try:
        with quiet():
            return flatbuffer.read(bytes(_run(quantizer, file, samples, report)))
    except (
        ValueError,
        RuntimeError,
        KeyError,
        AttributeError,
        NotImplementedError,
        IndexError,
    ) as error:
        raise BuildFailed(
            f"litert-quantizer refuses the file: {type(error).__name__}: {error}",
            hint="name the layer in keep_float",
        ) from error


def _way_out(refused: Sequence[tuple[Assigned, str]], settings: "Quantize") -> str:
    """Say what to write.

    Floats are tolerated only of operators without weights about which no rule decides.
    """
    ruled = [one for one, _ in refused if one.rule is not None]
    if ruled:
        return (
            f"write dtype: int8 in the rule for {operator_names.layer_of(ruled[0].known_as)}, or"
            " take it out of rules"
        )
    if all(one.code not in EIGHT_BITS for one, _ in refused) and not settings.allow_float_fallback:
        return "write allow_float_fallback: true, or name them in keep_float"
    return (
        "write keep_float:"
        f" [{', '.join(operator_names.layer_of(one.known_as) for one, _ in refused)}]"
    )


def _run(quantizer: Any, file: TfliteFile, samples: Array, report: Report) -> Any:
    ranges = None
    if quantizer.need_calibration:
        name = file.input_names[file.main.inputs[0]]
        shape = file.main.tensors[file.main.inputs[0]].shape
        # each call loads the file anew: within one, the state of an example reaches the next
        together = 1 if file.state else max(1, len(samples))
        for start in range(0, len(samples), together):
            report(start, len(samples), "calibrate")
            some = [{name: one.reshape(shape)} for one in samples[start : start + together]]
            ranges = quantizer.calibrate({SIGNATURE: some}, ranges, num_threads=1)
    return quantizer.quantize(
        ranges, enable_progress_bar=False, enable_progress_report=False
    ).quantized_model


def _demand_float_weights(graph: Subgraph) -> None:
    for operator in graph.operators:
        tensor = weight_tensors.of(graph, operator)
        if tensor is not None and (tensor.dtype != "float32" or tensor.sparse is not None):
            how = "sparse" if tensor.sparse is not None else tensor.dtype
            raise BuildFailed(
                f"the weights {tensor.name!r} are stored as {how} already: only float32 can be"
                " quantized",
                hint="start from the float32 file",
            )


def _tell(quantizer: Any, one: Assigned, settings: "Quantize") -> str:
    """Tell the quantizer of one operator.

    Say why it cannot do what is asked, where that matters.
    """
    if one.weights == "float32":
        return ""
    from litert_quantizer import algorithm_manager, qtyping

    codes = _operation_names()
    if one.code not in codes:
        return _tolerated(one, settings, "its operator is unknown to the quantizer")
    operation, config = qtyping.TFLOperationName(codes[one.code]), _config(one, settings)
    algorithm = _algorithm(one, settings)
    try:
        algorithm_manager.check_op_quantization_config(algorithm, operation, config)
        quantizer.update_quantization_recipe(
            f"^{re.escape(one.output)}", operation, config, algorithm
        )
    except ValueError as error:
        return _tolerated(one, settings, _brief(error))
    return ""


def _brief(error: ValueError) -> str:
    """Give the quantizer's own words without the settings it spells out among them."""
    return re.sub(
        r"\.? Error: Quantization config OpQuantizationConfig\(.*", "", str(error).splitlines()[0]
    )


def _tolerated(one: Assigned, settings: "Quantize", reason: str) -> str:
    """Give the reason, unless floats are allowed and nobody asked for just this operator."""
    weightless = one.code not in EIGHT_BITS
    if one.rule is None and weightless and (settings.allow_float_fallback or not one.activations):
        return ""
    return f"{operator_names.layer_of(one.known_as)} ({one.code}): {reason}"


def _operation_names() -> dict[str, str]:
    """Map the schema's operator names to the quantizer's."""
    from litert_quantizer.utils import tfl_flatbuffer_utils

    from zoo_builders.tflite import litert

    codes = flatbuffer.names(litert.schema().BuiltinOperator)
    return {
        codes[code]: name.value
        for code, name in tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME.items()
        if code in codes
    }


def _algorithm(one: Assigned, settings: "Quantize") -> Any:
    from litert_quantizer.algorithm_manager import AlgorithmName

    if one.weights == "float16":
        return AlgorithmName.FLOAT_CASTING
    clipping = {"mse": AlgorithmName.MSE, "octav": AlgorithmName.OCTAV}
    return clipping.get(
        settings.method if one.code in EIGHT_BITS else "", AlgorithmName.MIN_MAX_UNIFORM_QUANT
    )


def _config(one: Assigned, settings: "Quantize") -> Any:
    from litert_quantizer import qtyping as q

    grain = q.QuantGranularity(
        {"channel": "CHANNELWISE", "tensor": "TENSORWISE"}.get(
            one.granularity, f"BLOCKWISE_{one.granularity.removeprefix('block')}"
        )
    )
    if one.weights == "float16":
        half = q.TensorQuantizationConfig(num_bits=16, dtype=q.TensorDataType.FLOAT)
        return q.OpQuantizationConfig(
            weight_tensor_config=half,
            compute_precision=q.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
    activations = (
        q.TensorQuantizationConfig(
            num_bits=one.activations, symmetric=one.activations == _BITS["float16"]
        )
        if one.activations
        else None
    )
    widen = settings.compute == "float"
    return q.OpQuantizationConfig(
        activation_tensor_config=activations,
        weight_tensor_config=q.TensorQuantizationConfig(
            num_bits=_BITS[one.weights], symmetric=True, granularity=grain
        ),
        compute_precision=q.ComputePrecision.FLOAT if widen else q.ComputePrecision.INTEGER,
        explicit_dequantize=widen,
    )


def _ports(quantizer: Any, settings: "Quantize") -> None:
    """Quantize inputs and outputs of the file too, where the recipe wants them so."""
    from litert_quantizer import qtyping as q

    if settings.interface == "int8":
        config = _config(Assigned("INPUT", "", "", "int8", "channel", _BITS["int8"]), settings)
        for port in (q.TFLOperationName.INPUT, q.TFLOperationName.OUTPUT):
            quantizer.update_quantization_recipe(".*", port, config)


def normal(file: TfliteFile) -> TfliteFile:
    """Give the same model as today's tools write it.

    Operators named in the present field, one signature.

    Raises:
        BuildFailed: it has several inputs or none.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(file.data))
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1:
        raise BuildFailed(
            f"the file has {len(graph.inputs)} inputs; only one can be calibrated",
            hint="cut the file to one input",
        )
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    if not model.signatureDefs or _text(model.signatureDefs[0].signatureKey) != SIGNATURE:
        model.signatureDefs = [_signature(graph)]
    return flatbuffer.read(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))


def _signature(graph: Any) -> Any:
    from zoo_builders.tflite import litert

    schema = litert.schema()
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = SIGNATURE, 0
    made.inputs, made.outputs = (
        [_named(schema, graph, index) for index in indices]
        for indices in (graph.inputs, graph.outputs)
    )
    return made


def _named(schema: Any, graph: Any, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = _text(graph.tensors[index].name), int(index)
    return entry


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
