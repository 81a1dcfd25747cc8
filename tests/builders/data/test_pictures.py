"""The one decoder of pictures, against hand-made pixels of each mode."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from zoo_builders.data.examples import BadData, Dataset
from zoo_builders.data.pictures import read
from zoo_builders.data.sources import SOURCES
from zoo_builders.data.tally import Tally

Pixels = list[list[int]]


def decoded(data: bytes, mode: Any = None) -> tuple[str, Pixels, Tally]:
    """Give the mode, the pixels in reading order, and what was counted."""
    tally = Tally("picture")
    image = read(io.BytesIO(data), "some.png", mode, tally)
    array = np.asarray(image)
    return image.mode, array.reshape(-1, 1 if array.ndim < 3 else array.shape[-1]).tolist(), tally


def saved(image: Image.Image, form: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **how)
    return out.getvalue()


def row(values: Sequence[Any], dtype: Any, mode: str | None = None) -> Image.Image:
    made = Image.fromarray(np.array([values], dtype))
    return made if mode is None else made.convert(mode)


def png(bits: int, colour: int, width: int, pixels: bytes, extra: bytes = b"") -> bytes:
    """Write one row by the PNG specification: what Pillow itself cannot write."""
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    body = zlib.compress(b"\0" + pixels)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def palette(**how: Any) -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    image.putdata([0, 1])
    return saved(image, "PNG", **how)


WORDS = np.array([0, 65535, 32768, 257], np.uint16)
CASES: dict[str, tuple[Callable[[], bytes], str, Pixels]] = {
    "one bit": (lambda: saved(row([0, 255], np.uint8, "1"), "PNG"), "L", [[0], [255]]),
    "two bits": (lambda: png(2, 0, 4, b"\x1b"), "L", [[0], [85], [170], [255]]),
    "grey": (lambda: saved(row([7, 200], np.uint8), "PNG"), "L", [[7], [200]]),
    "grey, 16 bits": (lambda: saved(row(WORDS, np.uint16), "PNG"), "L", [[0], [255], [128], [1]]),
    "tiff, 16 bits": (lambda: saved(row(WORDS, np.uint16), "TIFF"), "L", [[0], [255], [128], [1]]),
    "tiff, 16 bits, 0 is white": (
        lambda: saved(row([0, 65535], np.uint16), "TIFF", tiffinfo={262: 0}),
        "L",
        [[255], [0]],
    ),
    "pgm, 16 bits": (lambda: saved(row(WORDS, np.uint16), "PPM"), "L", [[0], [255], [128], [1]]),
    "pgm, 10 bits": (lambda: b"P2 3 1 1023\n0 1023 512\n", "L", [[0], [255], [128]]),
    "RGB, 16 bits": (
        lambda: png(16, 2, 1, struct.pack(">3H", 0, 65535, 32768)),
        "RGB",
        [[0, 255, 128]],
    ),
    "RGBA, 16 bits": (
        lambda: png(16, 6, 2, struct.pack(">8H", 0, 65535, 32768, 65535, 9, 9, 9, 0)),
        "RGB",
        [[0, 255, 128], [255, 255, 255]],
    ),
    "floats to 1": (lambda: saved(row([0, 1, 0.5], np.float32), "TIFF"), "L", [[0], [255], [128]]),
    "floats to 255": (lambda: saved(row([0, 200.4], np.float32), "TIFF"), "L", [[0], [200]]),
    "floats of their own": (
        lambda: saved(row([-3, 5, 1], np.float32), "TIFF"),
        "L",
        [[0], [255], [128]],
    ),
    "32-bit numbers": (lambda: saved(row([0, 2**30], np.int32), "TIFF"), "L", [[0], [255]]),
    "palette": (palette, "RGB", [[10, 20, 30], [200, 100, 50]]),
    "palette, one entry clear": (
        lambda: palette(transparency=1),
        "RGB",
        [[10, 20, 30], [255, 255, 255]],
    ),
    "palette with alpha": (
        lambda: palette(transparency=bytes([128, 255])),
        "RGB",
        [[132, 137, 142], [200, 100, 50]],
    ),
    "grey with alpha": (
        lambda: saved(row([[0, 128], [0, 255], [9, 0]], np.uint8), "PNG"),
        "L",
        [[127], [0], [255]],
    ),
    "RGBA": (
        lambda: saved(row([[255, 0, 0, 128], [1, 2, 3, 255], [1, 2, 3, 0]], np.uint8), "PNG"),
        "RGB",
        [[255, 127, 127], [1, 2, 3], [255, 255, 255]],
    ),
    "a clear colour": (
        lambda: png(8, 2, 2, bytes([1, 2, 3, 4, 5, 6]), chunk(b"tRNS", b"\0\1\0\2\0\3")),
        "RGB",
        [[255, 255, 255], [4, 5, 6]],
    ),
    "CMYK": (
        lambda: saved(Image.new("CMYK", (1, 1), (255, 0, 51, 51)), "TIFF"),
        "RGB",
        [[0, 204, 163]],
    ),
    "Lab": (lambda: saved(Image.new("LAB", (1, 1), (255, 128, 128)), "TIFF"), "RGB", [[255] * 3]),
}


@pytest.mark.parametrize("name", CASES)
def test_every_mode_gives_its_pixels(name: str) -> None:
    data, mode, pixels = CASES[name]
    found, values, _ = decoded(data())
    wanted = pixels if found == mode else [[value] * 3 for [value] in pixels]
    assert {mode, found} <= {"L", "RGB"}
    assert np.abs(np.array(values) - wanted).max() <= (name == "Lab")


@pytest.mark.parametrize("name", ["one bit", "grey", "palette", "RGBA", "CMYK"])
def test_the_asked_mode_is_given(name: str) -> None:
    data, own, pixels = CASES[name]
    assert decoded(data(), "RGB")[:2] == (
        "RGB",
        pixels if own == "RGB" else [[v] * 3 for [v] in pixels],
    )
    mode, values, _ = decoded(data(), "L")
    assert mode == "L"
    luma = [
        round(sum(w * c for w, c in zip((0.299, 0.587, 0.114), p * (3 // len(p)), strict=True)))
        for p in pixels
    ]
    assert all(abs(value - wanted) <= 1 for [value], wanted in zip(values, luma, strict=True))


def inks_in_jpeg(stored: tuple[int, int, int, int], transform: int) -> bytes:
    """A JPEG of these four stored channels, with Adobe's marker: 0 = CMYK, 2 = YCCK."""
    inverse = tuple(255 - value for value in stored)
    data = saved(Image.new("CMYK", (16, 16), inverse), "JPEG", quality=100)  # Pillow inverts
    at = data.index(b"Adobe") + 11
    return data[:at] + bytes([transform]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("stored", "transform"),
    [((255, 0, 0, 255), 0), ((179, 171, 0, 255), 2)],  # (179, 171, 0): YCbCr of 255 - (255, 0, 0)
    ids=["inverted CMYK", "YCCK"],
)
def test_inks_of_adobes_jpegs_are_inverted(
    stored: tuple[int, int, int, int], transform: int
) -> None:
    """No cyan, full magenta and yellow, no key: red, and not its negative."""
    _, [red, *_], _ = decoded(inks_in_jpeg(stored, transform))
    assert np.abs(np.array(red) - [255, 0, 0]).max() <= 3


INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_is_turned_upright_once(form: str) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = 255
    for orientation in range(1, 9):
        lying = Image.fromarray(upright)
        lying = lying.transpose(INVERSE[orientation]) if orientation > 1 else lying
        exif = Image.Exif()
        exif[0x0112] = orientation
        found = read(
            io.BytesIO(saved(lying, form, exif=exif, quality=98)), "some", "RGB", Tally("picture")
        )
        assert found.size == (40, 24), orientation
        assert np.abs(np.asarray(found, np.int16) - upright).max() <= 2, orientation


def test_tags_that_cannot_be_read_turn_nothing() -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk", b""):
        assert decoded(saved(image, "PNG", exif=exif))[1] == [[value] for value in range(12)]


def test_profiles_are_not_followed_and_others_than_srgb_are_told() -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 6, 3), np.uint8))
    plain = decoded(saved(image, "PNG"))[1]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile, told in ((srgb, 0), (b"no profile", 0), (lab, 1)):
        _, pixels, tally = decoded(saved(image, "PNG", icc_profile=profile))
        assert pixels == plain
        assert tally.found.total() == told


def test_plain_pictures_give_what_pillow_gives() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8))
    for form in ("JPEG", "PNG", "BMP", "WEBP", "PPM", "GIF", "TIFF"):
        data = saved(noise, form)
        for mode in ("RGB", "L"):
            with Image.open(io.BytesIO(data)) as opened:
                wanted = np.asarray(opened.convert(mode))
            tally = Tally("picture")
            found = read(io.BytesIO(data), "some", mode, tally)  # type: ignore[arg-type]
            assert np.array_equal(np.asarray(found), wanted), (form, mode)
            assert not tally.notes


def test_the_first_frame_of_a_moving_picture_is_read_and_told() -> None:
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (200, 10)]
    for form in ("GIF", "PNG", "WEBP", "TIFF"):
        data = saved(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
        _, pixels, tally = decoded(data)
        assert pixels == [[200, 0, 0]] * 16, form
        assert tally.notes == ("1 picture: several frames or pages, of which the first was read",)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "none of JPEG"),
        (b"<!DOCTYPE html><html></html>", "none of JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of JPEG"),
        (saved(Image.new("RGB", (64, 64)), "JPEG")[:-30], "truncated"),
        (saved(row([0, np.nan], np.float32), "TIFF"), "nan at row 0, column 1"),
    ],
    ids=["empty", "html", "postscript", "cut short", "nan"],
)
def test_what_is_no_picture_is_named(data: bytes, why: str) -> None:
    with pytest.raises(BadData, match=rf"some\.png.*{why}"):
        decoded(data)


def folder(root: Path, **args: Any) -> Dataset:
    source = SOURCES.get("image-folder")
    params = source.params.model_validate({"path": ".", "size": [4, 4], **args})
    return source.load(params, {"path": root}, lambda *_: None).checked()


def picture(path: Path, shade: int = 9) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade,) * 3).save(path)


def test_what_is_not_read_is_counted_and_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.gif", "c.tif", "d.avif"):
        picture(tmp_path / "cat" / name)
        picture(tmp_path / "dog" / name)
    picture(tmp_path / "dog" / "more" / "e.png")
    for name in ("._a.png", "Thumbs.db", "f.heic", "notes"):
        (tmp_path / "cat" / name).write_bytes(b"\0")
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "cat" / "linked.png").symlink_to(tmp_path / "cat" / "a.png")
    (tmp_path / "README.md").write_text("read me")
    for name in ("__MACOSX", ".git", "bird"):
        (tmp_path / name).mkdir()
    found = folder(tmp_path)
    assert found.classes == ("cat", "dog")
    assert np.bincount(found.splits["all"].labels).tolist() == [5, 4]
    skipped, empty = found.notes
    assert skipped == (
        "7 files were not read: 1 .db, 1 .heic, 1 beside the folders of classes, 1 hidden (a name"
        " that starts with a dot), 1 in folders below those of classes, 1 links that lead nowhere,"
        " 1 without a suffix"
    )
    assert empty == "no example lies in bird: such a folder is no class"


def test_folders_below_classes_make_no_splits_of_them(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / name / "1.png")
        picture(tmp_path / name / "thumbnails" / "1.png")
    assert set(folder(tmp_path).splits) == {"all"}


def test_an_empty_split_and_an_empty_class_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "1.png")
    (tmp_path / "train" / "dog").mkdir()
    (tmp_path / "test").mkdir()
    found = folder(tmp_path)
    assert {name: len(split.labels) for name, split in found.splits.items()} == {
        "train": 1,
        "test": 0,
    }
    assert "no example lies in test, train/dog" in found.notes[0]


def test_a_folder_of_other_files_says_which(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.heic").write_bytes(b"")
    with pytest.raises(BadData, match=r"holds no images"):
        folder(tmp_path)
