"""Preprocessing: what happens to an example between its source and the model.

Features with `inside: true`, and the value steps behind them, are made by the file itself
(`front_end`): recordings are stored as they are.

Two kinds of steps. *Geometric* ones (`resize`, `center_crop`, `pad`, `grayscale` of images;
`log_mel`, `mfcc` of recordings) change the array and are stored in the data stage's result. *Value*
steps (`rescale`, `standardize`) are one affine map, `float32(x) * scale + offset`, which is stored
as two numbers (or two lists, one entry a channel) and applied when batches are made: images stay
uint8 on disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, RootModel, model_validator

from zoo_builders.data.audio_features import FEATURES, complete, features
from zoo_builders.data.examples import BadData
from zoo_builders.spec import Spec

if TYPE_CHECKING:
    import numpy as np

Pixels = Annotated[int, Field(ge=1, le=8192)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
_RGB = 3
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and TensorFlow weigh them


@dataclass(frozen=True, slots=True)
class ValueMap:
    """`float32(x) * scale + offset`; lists hold one entry a channel."""

    scale: float | list[float] = 1.0
    offset: float | list[float] = 0.0

    def __call__(self, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Map raw values (any dtype, channels last) to what the model expects, as float32."""
        import numpy as np

        mapped = values.astype(np.float32) * np.asarray(self.scale, np.float32) + np.asarray(
            self.offset, np.float32
        )
        return np.ascontiguousarray(mapped, dtype=np.float32)


class Square(RootModel[Pixels | tuple[Pixels, Pixels]]):
    """A size in pixels: one number for a square, or [height, width]."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return (self.root, self.root) if isinstance(self.root, int) else self.root


class Range(RootModel[tuple[Finite, Finite]]):
    """[low, high]: where the source's own lowest and highest value go."""

    @model_validator(mode="after")
    def _rises(self) -> "Range":
        if self.root[0] >= self.root[1]:
            raise ValueError(f"the first number must be below the second, found {list(self.root)}")
        return self


class Moments(Spec):
    """Mean and standard deviation a channel; empty = measured on the split called `train`."""

    mean: tuple[Finite, ...] = ()
    std: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()

    @model_validator(mode="after")
    def _both(self) -> "Moments":
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} entries and std {len(self.std)}; give both or neither"
            )
        return self


class Nothing(Spec):
    """A step without parameters: write {}."""


STEPS: Mapping[str, type[Spec] | type[RootModel[Any]]] = {
    "resize": Square,
    "center_crop": Square,
    "pad": Square,
    "grayscale": Nothing,
    **FEATURES,
    "rescale": Range,
    "standardize": Moments,
}
VALUE_STEPS = frozenset({"rescale", "standardize"})


def geometry(
    steps: Sequence[Mapping[str, Any]], images: "np.ndarray[Any, Any]", sample_rate: int = 0
) -> "np.ndarray[Any, Any]":
    """Apply the geometric steps, in order, to images or recordings.

    Images are [N, H, W, C]. Recordings are [N, samples, 1, 1] and come with a sample rate.

    Images keep their dtype; features of recordings are float32.

    Raises:
        BadData: a step does not fit what the source gives.
    """
    for step in steps:
        name, raw = _only(step)
        if name in FEATURES:
            images = _heard(name, raw, images, sample_rate)
            sample_rate = 0
        elif name not in VALUE_STEPS:
            _refuse_sound(name, sample_rate)
            images = _GEOMETRIC[name](images, STEPS[name].model_validate(raw))
    return images


def _heard(name: str, raw: Any, recordings: Any, sample_rate: int) -> Any:
    if not sample_rate:
        raise BadData(
            f"{name} is of recordings, and the data here are none",
            hint=f"drop {name}, or use a source of recordings",
        )
    return features(FEATURES[name].model_validate(raw), recordings, sample_rate)


def _refuse_sound(name: str, sample_rate: int) -> None:
    if sample_rate:
        raise BadData(
            f"{name} is a step for images, and the data are recordings",
            hint=f"drop {name}, or put mfcc or log_mel before it",
        )


def has_features(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a step makes features of recordings.

    The values of features have another range than the source's.
    """
    return any(_only(step)[0] in FEATURES for step in steps)


def outside(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give the steps that are done before an example reaches the file.

    These are the steps up to features that are made inside.
    """
    found: list[Mapping[str, Any]] = []
    for step in steps:
        name, raw = _only(step)
        if name in FEATURES and FEATURES[name].model_validate(raw).inside:
            break
        found.append(step)
    return found


def completed(
    steps: Sequence[Mapping[str, Any]], shape: tuple[int, ...], sample_rate: int
) -> list[dict[str, Any]]:
    """Spell the steps as a record does.

    Steps of images stay as written; features get everything that they depend on.
    """
    return [
        (
            {name: complete(FEATURES[name].model_validate(raw), sample_rate, shape[0])}
            if name in FEATURES
            else dict(step)
        )
        for step in steps
        for name, raw in [_only(step)]
    ]


def value_map(
    steps: Sequence[Mapping[str, Any]],
    value_range: tuple[float, float],
    train: "np.ndarray[Any, Any] | None",
) -> ValueMap:
    """Fold the value steps into one map; `train` (geometry done) is where `standardize` measures.

    Pure but for numpy.
    """
    import numpy as np

    scale: Any = np.float64(1)
    offset: Any = np.float64(0)
    low, high = value_range
    for step in steps:
        name, raw = _only(step)
        if name == "rescale":
            start, stop = Range.model_validate(raw).root
            if not low < high:
                raise BadData(
                    f"rescale: every value is {low:g}; there is no range to bring to {start:g} to"
                    f" {stop:g}",
                    hint="drop rescale, or look what the source holds",
                )
            gain = (stop - start) / (high - low)
            scale, offset = scale * gain, offset * gain + (start - low * gain)
            low, high = start, stop
        elif name == "standardize":
            mean, std = _moments(Moments.model_validate(raw), train, scale, offset)
            scale, offset = scale / std, (offset - mean) / std
    return ValueMap(_plain(scale), _plain(offset))


def shape_after(
    steps: Sequence[Mapping[str, Any]], shape: tuple[int, ...], sample_rate: int = 0
) -> tuple[int, ...]:
    """Give the shape of one example (H, W, C) after the geometric steps.

    A recording has the shape (samples, 1, 1) and comes with its sample rate.
    """
    for step in steps:
        name, raw = _only(step)
        if name in FEATURES:
            made = FEATURES[name].model_validate(raw)
            shape = (made.frames(sample_rate, shape[0]), made.width, 1)
        elif name in {"resize", "center_crop", "pad"}:
            shape = (*Square.model_validate(raw).size, shape[-1])
        elif name == "grayscale":
            shape = (*shape[:-1], 1)
    return shape


def _only(step: Mapping[str, Any]) -> tuple[str, Any]:
    ((name, raw),) = step.items()
    return name, {} if raw is None else raw


def _moments(params: Moments, train: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
    import numpy as np

    if params.mean:
        return np.asarray(params.mean), np.asarray(params.std)
    axes = tuple(range(train.ndim - 1))
    mean = train.mean(axis=axes, dtype=np.float64) * scale + offset
    std = train.std(axis=axes, dtype=np.float64) * scale
    return mean, np.where(std > 0, std, 1.0)


def _plain(value: Any) -> float | list[float]:
    listed = value.tolist()
    return [float(entry) for entry in listed] if isinstance(listed, list) else float(listed)


def _resize(images: Any, params: Any) -> Any:
    """Resize with Pillow's bilinear filter (antialiased when shrinking).

    Floats are resized channel by channel.
    """
    import numpy as np
    from PIL import Image

    height, width = params.size
    if images.shape[1:3] == (height, width):
        return images
    planes = np.empty((len(images), height, width, images.shape[-1]), images.dtype)
    for index, image in enumerate(images):
        for channel in range(images.shape[-1]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            planes[index, ..., channel] = np.asarray(
                plane.resize((width, height), Image.Resampling.BILINEAR)
            )
    return planes


def _center_crop(images: Any, params: Any) -> Any:
    height, width = params.size
    if images.shape[1] < height or images.shape[2] < width:
        raise ValueError(
            f"center_crop to {height}x{width} of images {images.shape[1]}x{images.shape[2]}"
        )
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def _pad(images: Any, params: Any) -> Any:
    import numpy as np

    height, width = params.size
    rows, columns = height - images.shape[1], width - images.shape[2]
    if rows < 0 or columns < 0:
        raise ValueError(f"pad to {height}x{width} of images {images.shape[1]}x{images.shape[2]}")
    return np.pad(
        images,
        ((0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)),
    )


def _grayscale(images: Any, _params: Any) -> Any:
    import numpy as np

    if images.shape[-1] != _RGB:
        raise ValueError(f"grayscale needs 3 channels, found {images.shape[-1]}")
    gray = images.astype(np.float32) @ np.asarray(_LUMA, np.float32)
    gray = np.rint(gray) if images.dtype == np.uint8 else gray
    return gray.astype(images.dtype)[..., None]


_GEOMETRIC = {"resize": _resize, "center_crop": _center_crop, "pad": _pad, "grayscale": _grayscale}
