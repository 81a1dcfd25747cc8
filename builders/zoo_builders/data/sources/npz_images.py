"""`npz-images`: labelled images in one NumPy `.npz` file, in either of two layouts.

*Plain arrays*: `x_<split>` (uint8 or float32, [N, H, W] or [N, H, W, C]) and `y_<split>` (integers
[N]) for each split, such as `x_train`, `y_train`, `x_test`, `y_test`; optionally `classes` (names).

*JPEG stream*: `jpeg` (uint8, all files end to end), `offsets` (N+1; image i =
`jpeg[offsets[i]:offsets[i+1]]`), `label` (N), `split` (N; 0 train, 1 test) and optionally
`classes`.

Files sorted by class are common, and a slice such as `train[90%:]` of one would hold the last class
only. So each split is mixed by a permutation that depends on its length alone; `order: stored`
keeps the file's own order.

Files are read without pickle; shapes, offsets and labels are checked before anything is decoded.
"""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from zoo_builders.data import untrusted
from zoo_builders.data.examples import BadData, Dataset, Examples, Report
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.spec import Sha256, Spec

LIMIT = 16 << 30
_PIXELS = 64 << 20
_STREAM = ("jpeg", "offsets", "label", "split")
_EVERY = 1000
_GREY = 3


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


def _classes(arrays: Mapping[str, Any], labels: Any) -> tuple[str, ...]:
    if "classes" in arrays:
        names = arrays["classes"]
        if names.ndim != 1 or names.dtype.kind not in "US":
            raise BadData(f"classes: expected a list of names, found {names.dtype} {names.shape}")
        return tuple(
            name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()
        )
    return tuple(str(number) for number in range(int(labels.max()) + 1)) if len(labels) else ()


def _labels(name: str, labels: Any) -> Any:
    import numpy as np

    if labels.dtype.kind not in "iu":
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
    splits = {}
    for name in names:
        images = arrays[f"x_{name}"]
        images = images[..., None] if images.ndim == _GREY else images
        images = (
            images
            if images.dtype == np.uint8
            else images.astype(np.float32)
            if images.dtype.kind == "f"
            else images
        )
        splits[name] = Examples(images, _labels(f"y_{name}", arrays[f"y_{name}"]))
    labels = np.concatenate([examples.labels.ravel() for examples in splits.values()])
    return Dataset(splits, _classes(arrays, labels), _range(splits))


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
    first = _decode(jpeg, offsets, 0)
    images = np.empty((len(labels), *first.shape), np.uint8)
    for index in range(len(labels)):
        image = _decode(jpeg, offsets, index)
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
    return Dataset(splits, _classes(arrays, labels), (0.0, 255.0))


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


def _decode(jpeg: Any, offsets: Any, index: int) -> Any:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    data = jpeg[offsets[index] : offsets[index + 1]].tobytes()
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.width * image.height > _PIXELS:
                raise BadData(
                    f"image {index} is {image.width}x{image.height}; at most {_PIXELS} pixels are"
                    " decoded"
                )
            array = np.asarray(image)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as error:
        raise BadData(f"image {index} is not a JPEG: {error}") from error
    return array if array.ndim == _GREY else array[..., None]


SOURCES.add(
    "npz-images",
    Source(
        NpzImagesArgs,
        load,
        untrusted.files_of,
        tools=("numpy", "pillow"),
        doc="images in one .npz: plain arrays or a JPEG stream",
    ),
)
