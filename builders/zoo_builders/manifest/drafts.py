"""A manifest for a `.tflite` file, drafted from what the file and the data say of themselves. Pure.

What nothing says is assumed and told: how pixels of a float file were prepared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders.manifest.yaml_lines import in_one_line
from zoo_builders.tflite import base_file
from zoo_builders.tflite.base_file import Choice
from zoo_builders.tflite.tflite_file import Tensor, TfliteFile

_UNSIGNED, _BITS = "uint8", {"int8": 8, "uint8": 8, "int16": 16}
_IMAGE = 3
_DRAWN = {"test": "test", "calibration": "train"}
AS_IT_IS, FLOAT = "as-is", "fp32"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of the file.

    Attributes:
        path: of the file, relative to the manifest.
        rescale: where the data's lowest and highest value go; None where nobody says.
        task: empty where nobody says.
    """

    name: str
    path: str
    sha256: str
    version: str = "1.0.0"
    license: str = "unknown"
    task: str = ""
    signature: str = ""
    output: str = ""
    rescale: tuple[float, float] | None = None
    publish: Sequence[str] = ("registry",)


@dataclass(frozen=True, slots=True)
class Examples:
    """Where the examples come from.

    Attributes:
        source: name of the data source; empty: numbers are drawn.
        splits: the source's own splits.
        shape: of one example, where the source knows it.
        sized: whether the source brings examples to the size it is told.
        heard: whether they are recordings.
    """

    source: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    splits: Sequence[str] = ()
    shape: tuple[int, ...] | None = None
    sized: bool = False
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A manifest's text, and what was assumed in it."""

    text: str
    assumed: Sequence[str]


def draft(file: TfliteFile, choice: Choice, wanted: Wanted, examples: Examples) -> Draft:
    """Write a manifest that takes the file as it is."""
    [(_, entry)] = base_file.ports(file, choice.subgraph, inputs=True)
    stored = base_file.stored_already(file.subgraphs[choice.subgraph])
    steps, assumed = _preprocess(entry, wanted, examples)
    task = wanted.task or _task(examples)
    base = {"tflite": wanted.path, "sha256": wanted.sha256}
    base |= {"signature": wanted.signature} if wanted.signature else {}
    base |= {"output": wanted.output} if wanted.output else {}
    data = {
        "source": examples.source or "drawn",
        "args": dict(examples.args) if examples.source else _drawn(entry),
        "splits": _splits(examples.splits) if examples.source else _DRAWN,
        "preprocess": steps,
    }
    variant = AS_IT_IS if stored else FLOAT
    top = {"model": wanted.name, "version": wanted.version, "task": task, "license": wanted.license}
    lines = [
        f"# {_about(stored)} Check it with:  zoo validate, build it with:  zoo build",
        "schema: edgezoo/v1",
        *(in_one_line({key: value}) for key, value in top.items()),
        *_block("base", base),
        *_block("data", data),
        "variants:",
        f"  {variant}: []  # the file as it came",
        in_one_line({"publish": list(wanted.publish)}),
    ]
    return Draft("\n".join(lines) + "\n", assumed)


def _block(name: str, values: Mapping[str, Any]) -> list[str]:
    return [f"{name}:", *(f"  {in_one_line({key: value})}" for key, value in values.items())]


def _about(stored: str) -> str:
    return (
        "A finished file of floats."
        if not stored
        else "A finished file, taken as it is: no recipe can store its weights in another way."
    )


def _task(examples: Examples) -> str:
    if not examples.source:
        return "fidelity"
    return "keyword-spotting" if examples.heard else "image-classification"


def _splits(own: Sequence[str]) -> dict[str, str]:
    """Test on what the source calls so; calibration is another part of it wherever there is one."""
    test = next((name for name in ("test", "validation", "val") if name in own), None)
    others = [name for name in own if name not in {test, "validation", "val"}]
    if test is None:
        first = own[0] if own else "all"
        return {"test": f"{first}[20%:]", "calibration": f"{first}[:20%]"}
    if not others:
        return {"test": f"{test}[10%:]", "calibration": f"{test}[:10%]"}
    return {"test": test, "calibration": f"{others[0]}[:200]"}


def _sizes(entry: Tensor) -> list[int]:
    """Sizes of one example as images have them: height, width, channels; open ones are 1."""
    sizes = [max(size, 1) for size in entry.shape[1:]]
    return (sizes + [1] * _IMAGE)[: max(_IMAGE, len(sizes))]


def _drawn(entry: Tensor) -> dict[str, Any]:
    whole = {"low": 0, "high": 1, "whole": True} if _is_number(entry) else {}
    return {"shape": _sizes(entry), **whole}


def _is_number(entry: Tensor) -> bool:
    """Whether an input takes whole numbers as they are."""
    return "int" in entry.dtype and not entry.scales


def _preprocess(
    entry: Tensor, wanted: Wanted, examples: Examples
) -> tuple[list[dict[str, Any]], list[str]]:
    steps = _geometry(entry, examples)
    if wanted.rescale is not None:
        return [*steps, {"rescale": list(wanted.rescale)}], []
    if _is_number(entry) or (not examples.source and entry.dtype not in _BITS):
        return steps, []
    if entry.dtype in _BITS and entry.scales:
        return [*steps, {"rescale": _range(entry)}], []
    told = (
        "the file does not say how its inputs were prepared: rescale: [0, 1] is assumed;"
        " --rescale -1 1 for the other usual way"
    )
    return [*steps, {"rescale": [0, 1]}], [told]


def _range(entry: Tensor) -> list[float]:
    """What the lowest and highest step of a quantized input stand for."""
    bits = _BITS[entry.dtype]
    lowest = 0 if entry.dtype == _UNSIGNED else -(1 << (bits - 1))
    zero = (entry.zero_points or (0,))[0]
    ends = (lowest, lowest + (1 << bits) - 1)
    return [float(f"{(end - zero) * entry.scales[0]:.6g}") for end in ends]


def _geometry(entry: Tensor, examples: Examples) -> list[dict[str, Any]]:
    """Bring pictures to the size and the colours that the file takes."""
    sizes = entry.shape[1:]
    if examples.heard or examples.sized or len(sizes) != _IMAGE or -1 in sizes:
        return []
    height, width, channels = sizes
    steps: list[dict[str, Any]] = []
    grey = examples.shape is not None and (examples.shape[2], channels) == (_IMAGE, 1)
    if grey:
        steps.append({"grayscale": {}})
    if examples.source and (examples.shape is None or examples.shape[:2] != (height, width)):
        steps.append({"resize": [height, width]})
    return steps
