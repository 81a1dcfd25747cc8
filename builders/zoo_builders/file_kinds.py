"""What bytes are that somebody calls a model: by how they begin, never by running or unpickling.

Sources of the signatures: the formats' own specifications (Git LFS `docs/spec.md`, RFC 1952, zip's
APPNOTE, HDF5's superblock, `saved_model.proto`, `onnx.proto`, `graph.proto`, safetensors, GGUF).
"""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

TFLITE = b"TFL3"
"""The identifier of a .tflite file, at its byte 4."""

_AT = 4
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z")
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Kind:
    """What bytes are: in words, as the object of "is"; and what to do about it."""

    name: str
    words: str
    hint: str


AGAIN = "download it again; with curl: curl -fL -o NAME URL"


def recognize(data: bytes) -> Kind | None:
    """Say what `data`, a whole file, is; None of a .tflite file, and where nothing is known."""
    if not data:
        return Kind("empty", "empty (0 bytes)", f"git lfs pull, or {AGAIN}")
    if data[_AT : _AT + len(TFLITE)] == TFLITE:
        return None
    return next((kind for look in _LOOKS if (kind := look(data)) is not None), None)


def _pointer(data: bytes) -> Kind | None:
    """A small text that stands for a large file: Git LFS, git-annex, DVC."""
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        size = re.search(rb"^size (\d+)", data, re.MULTILINE)
        stands = f" for a file of {int(size[1]):,} bytes" if size else ""
        return Kind(
            "git-lfs-pointer",
            f"a Git LFS pointer{stands}, not the file itself",
            "git lfs install && git lfs pull",
        )
    if re.match(rb"(\.\./)*(\.git)?/annex/objects/", data):
        return Kind(
            "git-annex-pointer", "a git-annex pointer, not the file itself", "git annex get NAME"
        )
    if re.match(rb"outs:\s*\n- (md5|hash|path|size):", data):
        return Kind("dvc-pointer", "a DVC pointer, not the file itself", "dvc pull")
    return None


def _page(data: bytes) -> Kind | None:
    """What a server answers in place of a file."""
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return Kind(
            "html",
            "an HTML page, such as a download gives that asks to sign in or to confirm",
            f"sign in or accept the terms, then {AGAIN}",
        )
    if start.startswith((b"<?xml", b"<error")):
        return Kind("xml", "an XML document, such as a store gives that refuses a download", AGAIN)
    if start.startswith((b'{"', b"{\n", b"{\r\n", b"[{")):
        return Kind("json", "a JSON document", f"if it is an answer of a server, {AGAIN}")
    return None


_SIGNED: Sequence[tuple[bytes, int, str, str, str]] = (
    (b"BZh", 0, "bzip2", "compressed with bzip2", "bunzip2 -k NAME"),
    (b"\xfd7zXZ\x00", 0, "xz", "compressed with xz", "unxz -k NAME"),
    (b"\x28\xb5\x2f\xfd", 0, "zstd", "compressed with zstd", "unzstd NAME"),
    (b"7z\xbc\xaf\x27\x1c", 0, "7z", "a 7-Zip archive", "7z x NAME"),
    (b"Rar!", 0, "rar", "a RAR archive", "unrar x NAME"),
    (b"ustar", 257, "tar", "a tar archive", "tar xf NAME"),
    (
        b"\x89HDF\r\n\x1a\n",
        0,
        "hdf5",
        "an HDF5 file, as Keras writes with .h5",
        "write base: {network: ./NAME.h5}",
    ),
    (b"\x93NUMPY", 0, "npy", "a NumPy array", "give the model's own file"),
    (b"GGUF", 0, "gguf", "a GGUF language model", "this zoo takes .tflite and Keras files"),
    (b"LITERTLM", 0, "litertlm", "a LiteRT-LM bundle", "give one .tflite of it"),
    (b"ORTM", _AT, "ort", "an ONNX Runtime model", "convert it to .tflite first"),
    (b"\x89PNG\r\n", 0, "png", "a PNG image", "give the model's own file"),
    (b"\xff\xd8\xff", 0, "jpeg", "a JPEG image", "give the model's own file"),
    (b"%PDF", 0, "pdf", "a PDF document", "give the model's own file"),
    (b"\x7fELF", 0, "elf", "an ELF program or library", "give the model's own file"),
)
"""Signature, at which byte, name, words, hint."""


def _signed(data: bytes) -> Kind | None:
    for signature, at, name, words, hint in _SIGNED:
        if data[at : at + len(signature)] == signature:
            return Kind(name, words, hint)
    return None


def _gzip(data: bytes) -> Kind | None:
    if data[:2] != b"\x1f\x8b":
        return None
    inside = b""
    with suppress(zlib.error):
        inside = zlib.decompressobj(wbits=31).decompress(data, 512)
    if inside[257:262] == b"ustar":
        return Kind("tar-gz", "a tar archive compressed with gzip", "tar xzf NAME")
    words = "compressed with gzip"
    if inside[_AT : _AT + len(TFLITE)] == TFLITE:
        words = "a .tflite file compressed with gzip"
    return Kind("gzip", words, "gunzip -c NAME > unpacked.tflite")


def _zip(data: bytes) -> Kind | None:
    if data[:4] not in {b"PK\x03\x04", b"PK\x05\x06"}:
        return None
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return Kind("zip", "a zip archive that is cut off or damaged", AGAIN)
    return _archive(names)


def _archive(names: Sequence[str]) -> Kind:
    files = [name for name in names if name.endswith(".tflite")]
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        return Kind("keras", "a .keras archive", "write base: {network: ./NAME.keras}")
    if any(name.endswith("data.pkl") for name in names):
        return Kind("pytorch", "a PyTorch file", "convert it to .tflite first (litert-torch)")
    if names and all(name.endswith(".npy") for name in names):
        return Kind("npz", "an archive of NumPy arrays", "give the model's own file")
    if files:
        return Kind(
            "bundle",
            f"a zip archive that holds {_listed(files)}",
            f"unzip NAME {files[0]}, and name that file",
        )
    return Kind("zip", f"a zip archive that holds {_listed(names)}", "unzip NAME")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4]) or "nothing"
    return f"{shown} and {len(names) - 4} more" if len(names) > len(names[:4]) else shown


def _pickle(data: bytes) -> Kind | None:
    if data[:1] == b"\x80" and data[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return Kind(
            "pickle",
            "a Python pickle, which can run any code and is not opened",
            "save the model in its own format: model.save('NAME.keras')",
        )
    return None


def _safetensors(data: bytes) -> Kind | None:
    if data[8:10] == b'{"' and int.from_bytes(data[:8], "little") <= len(data):
        return Kind(
            "safetensors",
            "a safetensors file: weights without a network",
            "convert the model to .tflite first",
        )
    return None


_SAVED_MODEL = re.compile(rb"\x08\x01\x12")
_ONNX = re.compile(rb"\x08[\x02-\x14][\x12\x1a].[\x20-\x7e]{3}", re.DOTALL)
_FROZEN = re.compile(rb"\n.{1,3}\n.[\x20-\x7e]+\x12.[A-Z][A-Za-z]{2}", re.DOTALL)


def _protobuf(data: bytes) -> Kind | None:
    if _SAVED_MODEL.match(data):
        return Kind(
            "saved-model",
            "the saved_model.pb of a SavedModel",
            "write base: {network: ./FOLDER}, the folder that holds saved_model.pb",
        )
    if _ONNX.match(data):
        return Kind("onnx", "an ONNX model", "convert it to .tflite first (onnx2tf)")
    if _FROZEN.match(data[:256]):
        return Kind(
            "frozen-graph",
            "a frozen TensorFlow graph (.pb)",
            "tflite_convert --graph_def_file NAME --output_file NAME.tflite …",
        )
    return None


def _nothing(data: bytes) -> Kind | None:
    if not data.strip(b"\0"):
        return Kind("zeros", f"nothing but {len(data):,} zero bytes", AGAIN)
    if _TEXT.match(data[:4096]) and _is_utf8(data[:4096]):
        start = data[:_SHOWN].decode("utf-8", "ignore").strip()
        return Kind("text", f"a text that begins {start!r}", "give the model's own file")
    return None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(data) - _AT and error.reason == "unexpected end of data"
    return True


_LOOKS: Sequence[Callable[[bytes], Kind | None]] = (
    _pointer,
    _page,
    _gzip,
    _zip,
    _signed,
    _pickle,
    _safetensors,
    _protobuf,
    _nothing,
)
