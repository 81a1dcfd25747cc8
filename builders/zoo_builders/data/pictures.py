"""Pictures as people have them become upright 8-bit RGB or grey: the one decoder of picture files.

What is done to a picture beyond decoding its bytes, in this order:

    first frame    of a moving picture, or the first page of a TIFF
    orientation    the EXIF tag is applied (Pillow does so itself for TIFF and AVIF)
    depth          16 bits by 65535, 12 bits of a TIFF by 4095; 32-bit numbers and floats by
                   the narrowest of 0..1, 0..255 and 0..65535 that holds them, else by their own
                   lowest and highest value
    colours        CMYK is (255 - ink) * (255 - key) / 255; JPEG's inverted CMYK and YCCK are turned
                   by Pillow. Lab goes to sRGB. ICC profiles are not followed, as TensorFlow's and
                   torchvision's decoders do not: a number must compare with theirs
    transparency   laid on `BACKGROUND`
    mode           RGB, or grey by ITU-R BT.601 (0.299, 0.587, 0.114)

A picture that needs none of this gives the bytes that `Image.convert` gives. Each step that was
taken is counted in a `Tally`, whose `notes` a record keeps.
"""

import io
import math
import struct
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

from zoo_builders.data.examples import BadData
from zoo_builders.data.tally import Tally

Mode = Literal["L", "RGB"]

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".ppm", ".pgm"}
    | {".pbm", ".pnm", ".pfm", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k"}
)
"""File names that are read as pictures."""

BACKGROUND = 255
"""What lies behind transparent pixels: white, as behind a page's pictures."""

_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "PPM", "GIF", "TIFF", "AVIF", "JPEG2000")
_MOVING = frozenset({"GIF", "PNG", "WEBP", "AVIF", "TIFF"})
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF 2.32, 4.6.4 A, tag 0x0112 → what turns the picture upright (Pillow's names)."""

_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})
_OPAQUE = 255
_SAME = 3
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""What Pillow's readers raise of damaged files, one as another."""


def read(source: "Path | IO[bytes]", told: str, mode: Mode | None, tally: Tally) -> Any:
    """Give a picture as a Pillow image of `mode`; None = grey or RGB, as the picture is itself.

    `told` is how messages name it.

    Raises:
        BadData: it is no picture of a known format, is damaged, cut short or too large, or holds
            values that are not numbers.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source, formats=_FORMATS) as opened:
                moving = opened.format in _MOVING and getattr(opened, "n_frames", 1) > 1
                opened.load()
                image = _normal(opened, told, mode, tally)
    except (*_BROKEN, Image.DecompressionBombError) as error:
        why = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            why = (
                f"its bytes are none of {', '.join(_FORMATS)}, or of a kind that Pillow cannot read"
            )
        raise BadData(
            f"{told} is not an image: {why}",
            hint=f"open {told} in a viewer; remove it, or save it as PNG or JPEG",
        ) from error
    if moving:
        tally.add("several frames or pages, of which the first was read")
    return image


def _normal(image: Any, told: str, mode: Mode | None, tally: Tally) -> Any:
    profile = image.info.get("icc_profile")
    grey = image.mode in _GREY or image.mode.startswith("I;")
    depth = _Depth.of(image)
    image = _eight_bits(_upright(image, tally), depth, told, tally)
    image, alpha = _without_alpha(image)
    image = _colours(image, bytes(profile or b""), tally)
    wanted = mode or ("L" if grey else "RGB")
    if alpha is not None:
        tally.add(f"transparent, laid on white ({BACKGROUND})")
        image = _laid(image, alpha)
    return image.copy() if image.mode == wanted else image.convert(wanted)


def _upright(image: Any, tally: Tally) -> Any:
    """Turn a picture as its EXIF orientation says; tags that cannot be read say nothing."""
    from PIL import Image

    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        return image
    if turn is None:
        return image
    tally.add("turned upright, as EXIF orientation says")
    return image.transpose(Image.Transpose[turn])


@dataclass(frozen=True, slots=True)
class _Depth:
    """What a file says of grey values of more than 8 bits: how many, and whether 0 is white."""

    bits: int = 16
    inverted: bool = False

    @classmethod
    def of(cls, image: Any) -> "_Depth":
        """Read TIFF's BitsPerSample and PhotometricInterpretation; Pillow inverts 8 bits only."""
        tags = getattr(image, "tag_v2", {})
        return cls(int(tags.get(_BITS, (16,))[0]), tags.get(_PHOTOMETRIC) == 0)


def _eight_bits(image: Any, depth: _Depth, told: str, tally: Tally) -> Any:
    """Bring grey values of more than 8 bits to 0..255, by the range they lie in."""
    import numpy as np
    from PIL import Image

    if not (image.mode in {"I", "F"} or image.mode.startswith("I;")):
        return image
    values = np.asarray(image)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise BadData(
            f"{told} holds {values[row, column]} at row {row}, column {column}",
            hint=f"mend {told}: every value must be a number",
        )
    low, high = _range(image.mode, values, depth.bits)
    tally.add(f"values {low:g} to {high:g}, brought to 0 to 255" if _known(low, high) else _OWN)
    scaled = (values.astype(np.float64) - low) * (255.0 / (high - low) if high > low else 0.0)
    eight = np.rint(255.0 - scaled if depth.inverted else scaled).astype(np.uint8)
    grey = Image.fromarray(eight)
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    seen = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, seen))


_OWN = "values beyond 0 to 65535, each picture's own lowest and highest brought to 0 and 255"


def _known(low: float, high: float) -> bool:
    return low == 0 and bool(math.log2(high + 1).is_integer())


def _range(mode: str, values: Any, bits: int) -> tuple[float, float]:
    """Give what counts as black and as white."""
    if mode.startswith("I;16"):
        return 0.0, float(2**bits - 1)
    low, high = float(values.min()), float(values.max())
    steps = (1.0, 255.0, 65535.0) if mode == "F" else (65535.0,)
    return next(((0.0, step) for step in steps if low >= 0 and high <= step), (low, high))


def _without_alpha(image: Any) -> tuple[Any, Any]:
    """Give (the picture without transparency, its alpha); alpha is None where all is opaque."""
    if not image.has_transparency_data:
        return image, None
    clear = image.convert("RGBA")
    alpha = clear.getchannel("A")
    if alpha.getextrema()[0] < _OPAQUE:
        return clear.convert("RGB"), alpha
    return image.convert("L" if image.mode in _GREY else "RGB"), None


def _laid(image: Any, alpha: Any) -> Any:
    from PIL import Image

    above = image.convert("RGB")
    above.putalpha(alpha)
    behind = Image.new("RGBA", image.size, (BACKGROUND, BACKGROUND, BACKGROUND, _OPAQUE))
    return Image.alpha_composite(behind, above).convert("RGB")


def _colours(image: Any, profile: bytes, tally: Tally) -> Any:
    """Bring Lab to sRGB, and tell of profiles that are not followed."""
    from PIL import ImageCms

    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if profile and not _is_srgb(profile):
        tally.add("an ICC profile other than sRGB, which is not followed")
    return image


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile moves no RGB colour by more than `_SAME` levels on its way to sRGB.

    9 levels a channel, mixed, are looked at. A profile that cannot be read says nothing.
    """
    import numpy as np
    from PIL import Image, ImageCms

    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if found.profile.xcolor_space.strip() != "RGB":
            return False
        cube, srgb = Image.fromarray(colours), ImageCms.createProfile("sRGB")
        moved = np.asarray(ImageCms.profileToProfile(cube, found, srgb), np.int16)
    except (ImageCms.PyCMSError, *_BROKEN):
        return True
    return bool(np.abs(moved - colours).max() <= _SAME)
