"""A signature as a Python program that runs the file.

Decoded picture or recording, preprocessing, quantization, output. Pure.

The program is complete for what the record says: input size and type, scale and zero point, the
manifest's preprocessing in its order, labels. A preprocessing step this page does not know is
written as a line that raises, never left out silently.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from zoo_registry.model.record import Record, TensorInfo, Values
from zoo_registry.web import snippet_sound

IMAGE_RANK, IMAGE_CHANNELS = 4, (1, 3)
_SIZING = frozenset({"resize", "center_crop", "pad"})
_VALUES = frozenset({"rescale", "standardize"})


def python(record: Record) -> str:
    """Write a Python program that runs `record`'s file on one input with ai_edge_litert.

    The program prints what came out.
    """
    kind = _kind(record)
    prepare = {"image": _image, "sound": _sound}.get(kind)
    lines = _head(kind, record.file.path)
    for index, tensor in enumerate(record.signature.inputs):
        lines += [
            "",
            *(prepare(tensor, record) if prepare else _zeros(tensor, index)),
            *_quantize(tensor, index),
        ]
    lines += ["", *_fresh(record), "interpreter.invoke()"]
    for index, tensor in enumerate(record.signature.outputs):
        lines += ["", *_output(tensor, index)]
    return "\n".join([*lines, *_labels(record)]) + "\n"


def requirements(record: Record) -> str:
    """Say what the program needs, as a pip command."""
    return "pip install ai-edge-litert numpy" + (" pillow" if _kind(record) == "image" else "")


def _kind(record: Record) -> Literal["image", "sound", "other"]:
    """What the one input is made from, as far as the record says it."""
    signature = record.signature
    if len(signature.inputs) != 1:
        return "other"
    steps = _steps(record)
    if signature.sound is not None or snippet_sound.step_of(steps) is not None:
        return "sound"
    heard = any(name in snippet_sound.STEPS for name, _ in steps)
    values, shape = signature.values, signature.inputs[0].shape
    pcm = values is not None and (values.low, values.high) == snippet_sound.PCM_RANGE
    return (
        "image"
        if len(shape) == IMAGE_RANK and shape[-1] in IMAGE_CHANNELS and not heard and not pcm
        else "other"
    )


def _steps(record: Record) -> list[tuple[str, Any]]:
    return [(name, value) for step in record.signature.preprocess for name, value in step.items()]


def _head(kind: str, file: str) -> list[str]:
    return [
        *({"image": ("import sys", ""), "sound": snippet_sound.IMPORTS}.get(kind, ())),
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        *(["from PIL import Image, ImageOps"] if kind == "image" else []),
        "",
        f"interpreter = Interpreter(model_path={json.dumps(file)}, num_threads=1)",
        "interpreter.allocate_tensors()",
        "inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()",
    ]


def _fresh(record: Record) -> list[str]:
    """Write what comes before every inference of a file that keeps state, beside the first too."""
    reset = (
        "interpreter.reset_all_variables()  # " if record.structure.state == "variables" else "# "
    )
    told = record.structure.before_each
    return [f"{reset}{told}"] if told else []


def _image(tensor: TensorInfo, record: Record) -> list[str]:
    steps = _steps(record)
    names = {name for name, _ in steps}
    height, width, channels = tensor.shape[1:]
    mode = "RGB" if channels == IMAGE_CHANNELS[-1] or "grayscale" in names else "L"
    lines = [f'image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("{mode}")']
    if not names & _SIZING:
        lines.append(_resize((height, width)))
    lines += [
        line for name, value in steps if name not in _VALUES for line in _geometry(name, value)
    ]
    prepared = _values(record.signature.values, steps)
    return [
        *lines,
        "x = np.asarray(image, dtype=np.float32)  # 0 to 255",
        *prepared,
        f"x = x.reshape({_shape(tensor)})",
    ]


def _sound(tensor: TensorInfo, record: Record) -> list[str]:
    steps = _steps(record)
    found, wanted = snippet_sound.step_of(steps), record.signature.sound
    made = snippet_sound.lines(*found) if found else []
    made = snippet_sound.heard(wanted.sample_rate, wanted.samples) if wanted else made
    other = [
        _unknown(name, value) for name, value in steps if name not in _VALUES | snippet_sound.STEPS
    ]
    recorded = record.signature.values
    prepared = [] if recorded is None else [_affine(recorded)]
    if recorded is None:
        prepared = [_unknown(name, value) for name, value in steps if name in _VALUES]
    return [*made, *other, *prepared, f"x = x.reshape({_shape(tensor)})"]


def _geometry(name: str, value: Any) -> list[str]:
    """Write one step that changes the picture, as the builders do it.

    Bilinear, centred, ITU-R 601 luma.
    """
    if name == "grayscale":
        return ['image = image.convert("L")']
    size = _pair(value) if name in _SIZING else None
    if size is None:
        return [_unknown(name, value)]
    height, width = size
    if name == "resize":
        return [_resize(size)]
    if name == "center_crop":
        return [
            f"left, top = (image.width - {width}) // 2, (image.height - {height}) // 2",
            f"image = image.crop((left, top, left + {width}, top + {height}))",
        ]
    return [
        f"padded = Image.new(image.mode, ({width}, {height}))",
        f"padded.paste(image, (({width} - image.width) // 2, ({height} - image.height) // 2))",
        "image = padded",
    ]


def _values(recorded: Values | None, steps: Sequence[tuple[str, Any]]) -> list[str]:
    """Write the steps that change the values; `recorded` says what all of them come to."""
    if recorded is not None:
        return _value_map(recorded)
    lines, low, high = (
        [
            (
                "# the record does not say the range of the data's own values: 0 to 255, as photos"
                " have, is taken"
            )
        ],
        0.0,
        255.0,
    )
    for name, value in steps:
        if name == "rescale" and _pair(value) is not None:
            start, stop = (float(end) for end in value)
            lines.append(_rescale((low, high), (start, stop)))
            low, high = start, stop
        elif (
            name == "standardize"
            and isinstance(value, Mapping)
            and value.get("mean")
            and value.get("std")
        ):
            lines.append(
                f"x = (x - np.array({_numbers(value['mean'])}, np.float32)) /"
                f" np.array({_numbers(value['std'])}, np.float32)"
            )
        elif name in _VALUES:
            lines.append(_unknown(name, value))
    return lines


def _rescale(old: tuple[float, float], new: tuple[float, float]) -> str:
    (low, high), (start, stop) = old, new
    from_zero = f"(x - {low:g})" if low > 0 else f"(x + {-low:g})" if low < 0 else "x"
    shift = f" + {start:g}" if start > 0 else f" - {-start:g}" if start < 0 else ""
    return f"x = {from_zero} * ({stop - start:g} / {high - low:g}){shift}  # {start:g} to {stop:g}"


def _value_map(recorded: Values) -> list[str]:
    low, high = recorded.low, recorded.high
    lines = (
        []
        if (low, high) == (0.0, 255.0)
        else [
            f"x = x * ({high - low:g} / 255) + {low:g}  # the data's own values: {low:g} … {high:g}"
        ]
    )
    return [*lines, _affine(recorded)]


def _affine(recorded: Values) -> str:
    scale, offset = (
        f"np.array({_numbers(value)}, np.float32)" for value in (recorded.scale, recorded.offset)
    )
    return f"x = x * {scale} + {offset}"


def _resize(size: tuple[int, int]) -> str:
    return f"image = image.resize(({size[1]}, {size[0]}), Image.Resampling.BILINEAR)"


def _pair(value: Any) -> tuple[int, int] | None:
    ends = (value, value) if isinstance(value, int) else value
    if (
        isinstance(ends, list | tuple)
        and len(ends) == 2  # noqa: PLR2004
        and all(isinstance(end, int | float) for end in ends)
    ):
        return int(ends[0]), int(ends[1])
    return None


def _numbers(value: Any) -> str:
    return repr(
        [float(entry) for entry in value] if isinstance(value, list | tuple) else float(value)
    )


def _unknown(name: str, value: Any) -> str:
    what = json.dumps({name: value}, default=str)
    return f"raise NotImplementedError({json.dumps(f'preprocess as the manifest says: {what}')})"


def _zeros(tensor: TensorInfo, index: int) -> list[str]:
    name = "x" if index == 0 else f"x{index}"
    return [
        (
            f"{name} = np.zeros({_shape(tensor)}, dtype=np.float32)  # your input:"
            f" {_inline(tensor.name)}"
        )
    ]


def _quantize(tensor: TensorInfo, index: int) -> list[str]:
    name = "x" if index == 0 else f"x{index}"
    lines = []
    if tensor.scale:
        low, high = _range(tensor.dtype)
        lines.append(
            f"{name} = np.clip(np.round({name} / {tensor.scale!r} + {tensor.zero_point}), {low},"
            f" {high})"
        )
    lines.append(
        f'interpreter.set_tensor(inputs[{index}]["index"], {name}.astype(np.{_dtype(tensor)}))'
    )
    return lines


def _output(tensor: TensorInfo, index: int) -> list[str]:
    name = "y" if index == 0 else f"y{index}"
    lines = [f'{name} = interpreter.get_tensor(outputs[{index}]["index"])[0]']
    if tensor.scale:
        lines.append(
            f"{name} = ({name}.astype(np.float32) - {tensor.zero_point}) * {tensor.scale!r}"
        )
    return lines


def _labels(record: Record) -> list[str]:
    outputs, labels = record.signature.outputs, record.signature.labels
    scores = len(outputs) == 1 and len(outputs[0].shape) == 2  # noqa: PLR2004  batch and classes
    if not scores:
        return ["", "print(y)"]
    classes = math.prod(outputs[0].shape[1:])
    named = len(labels) == classes
    lines = ["", f"labels = {json.dumps(list(labels), ensure_ascii=False)}"] if named else [""]
    shown = "labels[i]" if named else "i"
    return [
        *lines,
        f"for i in np.argsort(y)[::-1][:{min(5, classes)}]:",
        f'    print(f"{{y[i]:.4f}}  {{{shown}}}")',
    ]


def _shape(tensor: TensorInfo) -> str:
    return str(tuple(max(size, 1) for size in tensor.shape))


def _dtype(tensor: TensorInfo) -> str:
    known = {"float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"}
    if tensor.dtype not in known:
        return "float32"
    return "bool_" if tensor.dtype == "bool" else tensor.dtype


def _range(dtype: str) -> tuple[int, int]:
    return {"uint8": (0, 255), "int16": (-32768, 32767)}.get(dtype, (-128, 127))


def _inline(text: str) -> str:
    """Keep a name inside its comment: what is not printable or ends a line is escaped."""
    return text.encode("unicode_escape").decode("ascii")
