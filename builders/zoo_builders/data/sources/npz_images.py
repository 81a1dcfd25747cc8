"""`npz-images`: labelled images in one NumPy `.npz` file, in either of two layouts.

*Plain arrays*: `x_<split>` (numbers of any type, [N, H, W] or [N, H, W, C]; above 255 they are 16
bits: 0 to 65535) and `y_<split>` (whole numbers [N]) for each split, such as `x_train`, `y_train`,
`x_test`, `y_test`; optionally `classes` (names).

*JPEG stream*: `jpeg` (uint8, all files end to end), `offsets` (N+1; image i =
`jpeg[offsets[i]:offsets[i+1]]`), `label` (N), `split` (N; 0 train, 1 test) and optionally
`classes`.

Files sorted by class are common, and a slice such as `train[90%:]` of one would hold the last class
only. So each split is mixed by a permutation that depends on its length alone; `order: stored`
keeps the file's own order.

Files are read without pickle; shapes, offsets and labels are checked before anything is decoded.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from zoo_builders.data import pictures, untrusted
from zoo_builders.data.examples import BadData, Dataset, Examples, Report, Survey, refuse_no_numbers
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.data.tally import Tally
from zoo_builders.spec import Sha256, Spec

LIMIT = 16 << 30
_STREAM = ("jpeg", "offsets", "label", "split")
_EVERY = 1000
_GREY = 3
_BYTE, _WORDS = 255, (0.0, 65535.0)
_CLASSES = 100_000


class NpzImagesArgs(Spec):
    """What `data.args` says about `npz-images`."""

    path: str = Field(description="the .npz file: relative to the manifest, or ${ZOO_DATA}/…")
    sha256: Sha256 = Field(
        description="its sha256: what a build is bound to, wherever the file lies"
    )
    order: Literal["mixed", "stored"] = Field(
        default="mixed",
        description="mix each split (seeded, always the same), or keep the file's order",
    )


def load(args: NpzImagesArgs, files: Mapping[str, Path], report: Report) -> Dataset:
    """Read the file; JPEG streams are decoded with Pillow.

    Raises:
        BadData: it is not an .npz of either layout, or its parts do not fit together.
    """
    arrays = untrusted.arrays(files["path"], LIMIT)
    dataset = (_stream(arrays, report) if "jpeg" in arrays else _plain(arrays)).checked()
    if args.order == "stored":
        return dataset
    return replace(
        dataset, splits={name: examples.mixed() for name, examples in dataset.splits.items()}
    )


def survey(_args: NpzImagesArgs, files: Mapping[str, Path]) -> Survey | None:
    """Read the shapes of plain arrays from their headers, and the labels.

    A JPEG stream is only known when read.

    Raises:
        BadData: labels are no class numbers, or there are none for some images.
    """
    path = files["path"]
    shapes = untrusted.shapes(path)
    images = {name[2:]: shape for name, shape in shapes.items() if name.startswith("x_")}
    if not images:
        return None
    inner = {(*shape[1:], 1) if len(shape) == _GREY else shape[1:] for shape in images.values()}
    return Survey(
        {name: shape[0] for name, shape in images.items()},
        _stored_classes(path, sorted(images)),
        shape=inner.pop() if len(inner) == 1 else None,
    )


def _stored_classes(path: Path, splits: Sequence[str]) -> tuple[str, ...]:
    import numpy as np

    names = [f"y_{name}" for name in splits]
    found = untrusted.arrays(path, LIMIT, {*names, "classes"})
    given = [_labels(name, found[name]).ravel() for name in names if name in found]
    return _classes(found, np.concatenate(given)) if len(given) == len(names) else ()


def _classes(arrays: Mapping[str, Any], labels: Any) -> tuple[str, ...]:
    if "classes" in arrays:
        names = arrays["classes"]
        if names.ndim != 1 or names.dtype.kind not in "US":
            raise BadData(f"classes: expected a list of names, found {names.dtype} {names.shape}")
        return tuple(
            name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()
        )
    highest = int(labels.max()) if len(labels) else -1
    if highest >= _CLASSES:
        raise BadData(
            f"the highest label is {highest}; classes are numbered 0, 1, … up to {_CLASSES - 1}",
            hint="number the classes anew: numpy.unique(labels, return_inverse=True)",
        )
    return tuple(str(number) for number in range(highest + 1))


def _labels(name: str, labels: Any) -> Any:
    """Give labels as int64; floats that are whole numbers are taken, as spreadsheets write them."""
    import numpy as np

    if labels.dtype.kind == "f":
        wrong = np.flatnonzero(labels != np.rint(labels))
        if len(wrong):
            raise BadData(
                f"{name}: the label of example {wrong[0]} is {labels.ravel()[wrong[0]]}; labels are"
                f" whole numbers ({len(wrong)} are not)",
                hint="number the classes 0, 1, …",
            )
    elif labels.dtype.kind not in "iu":
        raise BadData(f"{name}: expected integers, found {labels.dtype}")
    return (
        labels.reshape(len(labels), -1)[:, 0].astype(np.int64)
        if labels.size == len(labels)
        else labels
    )


def _plain(arrays: Mapping[str, Any]) -> Dataset:
    import numpy as np

    names = sorted(name.removeprefix("x_") for name in arrays if name.startswith("x_"))
    missing = [f"y_{name}" for name in names if f"y_{name}" not in arrays]
    if not names or missing:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise BadData(f"expected x_train, y_train, … or {', '.join(_STREAM)}; found {found}")
    given = {name: arrays[f"x_{name}"] for name in names}
    wide = any(images.dtype.kind in "iu" and _above_bytes(images) for images in given.values())
    splits = {
        name: Examples(
            _pixels(f"x_{name}", images, wide=wide), _labels(f"y_{name}", arrays[f"y_{name}"])
        )
        for name, images in given.items()
    }
    labels = np.concatenate([examples.labels.ravel() for examples in splits.values()])
    return Dataset(splits, _classes(arrays, labels), _WORDS if wide else _range(splits))


def _above_bytes(images: Any) -> bool:
    return bool(images.size) and images.dtype.itemsize > 1 and int(images.max()) > _BYTE


def _pixels(name: str, images: Any, *, wide: bool) -> Any:
    """Give images as uint8 or float32 [N, H, W, C]: 16-bit ones as float32 in 0..65535.

    Raises:
        BadData: a value is no number, or lies outside of 0..65535 in whole numbers.
    """
    import numpy as np

    images = images[..., None] if images.ndim == _GREY else images
    if images.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(_BYTE)
    if images.dtype.kind == "f":
        refuse_no_numbers(images, name)
        with np.errstate(over="ignore"):
            single = images.astype(np.float32)
        refuse_no_numbers(single, f"{name} as float32")
        return single
    if images.dtype.kind in "iu" and images.size:
        low, high = int(images.min()), int(images.max())
        if low < 0 or high > _WORDS[1]:
            raise BadData(
                f"{name}: whole numbers from {low} to {high}; expected 0 to 255 or 0 to 65535",
                hint="store other ranges as float32",
            )
        return images.astype(np.float32 if wide else np.uint8)
    return images


def _range(splits: Mapping[str, Examples]) -> tuple[float, float]:
    if all(examples.images.dtype.kind == "u" for examples in splits.values()):
        return 0.0, 255.0
    low = min(float(examples.images.min()) for examples in splits.values() if examples.images.size)
    high = max(float(examples.images.max()) for examples in splits.values() if examples.images.size)
    if not low < high:
        raise BadData(f"every value is {low}; there is nothing to learn from")
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _stream(arrays: Mapping[str, Any], report: Report) -> Dataset:
    import numpy as np

    jpeg, offsets, labels, split = _checked_stream(arrays)
    tally = Tally("picture")
    first = _decode(jpeg, offsets, 0, Tally("picture"))
    images = np.empty((len(labels), *first.shape), np.uint8)
    for index in range(len(labels)):
        image = _decode(jpeg, offsets, index, tally)
        if image.shape != first.shape:
            raise BadData(f"image {index} is {image.shape}, image 0 is {first.shape}")
        images[index] = image
        if index % _EVERY == 0:
            report(index, len(labels), "decode JPEG")
    report(len(labels), len(labels), "decode JPEG")
    chosen = {
        name: split == code for code, name in enumerate(("train", "test")) if (split == code).any()
    }
    splits = {name: Examples(images[mask], labels[mask]) for name, mask in chosen.items()}
    return Dataset(splits, _classes(arrays, labels), (0.0, 255.0), notes=tally.notes)


def _checked_stream(arrays: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    import numpy as np

    missing = [name for name in _STREAM if name not in arrays]
    if missing:
        raise BadData(f"a JPEG stream needs {', '.join(_STREAM)}; {', '.join(missing)} is missing")
    jpeg, offsets, split = arrays["jpeg"], arrays["offsets"], arrays["split"]
    labels = _labels("label", arrays["label"])
    if (
        jpeg.dtype != np.uint8
        or jpeg.ndim != 1
        or offsets.dtype.kind not in "iu"
        or offsets.ndim != 1
    ):
        raise BadData(
            f"jpeg must be uint8 [bytes] and offsets integers [N+1]; found {jpeg.dtype}"
            f" {jpeg.shape}, {offsets.dtype} {offsets.shape}"
        )
    offsets = offsets.astype(np.int64)
    if len(offsets) != len(labels) + 1 or labels.shape != split.shape or not len(labels):
        raise BadData(
            f"{len(offsets)} offsets, {labels.shape} labels, {split.shape} splits: expected N+1, N"
            " and N"
        )
    if offsets[0] < 0 or offsets[-1] > len(jpeg) or (np.diff(offsets) <= 0).any():
        raise BadData(f"offsets must rise strictly within 0..{len(jpeg)}")
    if not np.isin(split, (0, 1)).all():
        raise BadData(
            f"split holds {np.unique(split).tolist()[:5]}; expected 0 (train) and 1 (test)"
        )
    return jpeg, offsets, labels, split


def _decode(jpeg: Any, offsets: Any, index: int, tally: Tally) -> Any:
    import numpy as np

    data = jpeg[offsets[index] : offsets[index + 1]].tobytes()
    array = np.asarray(pictures.read(io.BytesIO(data), f"image {index}", None, tally))
    return array if array.ndim == _GREY else array[..., None]


SOURCES.add(
    "npz-images",
    Source(
        NpzImagesArgs,
        load,
        untrusted.files_of,
        survey=survey,
        tools=("numpy", "pillow"),
        doc="images in one .npz: plain arrays or a JPEG stream",
    ),
)
