"""What bytes are that somebody calls a model, and what is said of them."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from plugins.edited_files import committed
from zoo_builders.file_kinds import recognize
from zoo_builders.networks.keras_config import graph_of_file
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.tflite_file import BadFile
from zoo_registry.model.errors import Unsupported

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 13956\n"


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.tflite"))
    return out.getvalue()


def saved_array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


KINDS: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "empty", "git lfs pull"),
    "git-lfs-pointer": (LFS, "Git LFS pointer for a file of 13,956 bytes", "git lfs pull"),
    "git-annex-pointer": (b"/annex/objects/SHA256E-s1--0.tflite\n", "git-annex", "git annex get"),
    "dvc-pointer": (b"outs:\n- md5: 22\n  path: m.tflite\n", "DVC pointer", "dvc pull"),
    "html": (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "HTML page", "sign in"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied", "XML", "download it again"),
    "json": (b'{"error": "Repository not found"}', "JSON", "download it again"),
    "gzip": (gzip.compress(committed()), "a .tflite file compressed with gzip", "gunzip -c"),
    "tar-gz": (gzip.compress(tarred()), "tar archive compressed with gzip", "tar xzf"),
    "tar": (tarred(), "tar archive", "tar xf"),
    "keras": (zipped("metadata.json", "config.json", "model.weights.h5"), ".keras", "network:"),
    "pytorch": (zipped("net/data.pkl", "net/data/0"), "PyTorch", "convert"),
    "npz": (zipped("arr_0.npy"), "NumPy arrays", "model's own file"),
    "bundle": (zipped("a.tflite", "b.tflite"), "holds a.tflite, b.tflite", "unzip NAME a.tflite"),
    "zip": (zipped("a", "b", "c", "d", "e"), "a, b, c, d and 1 more", "unzip"),
    "pickle": (pickle.dumps({"w": 1}), "pickle", "model.save"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "HDF5", "network"),
    "npy": (saved_array(), "NumPy array", "model's own file"),
    "saved-model": (b"\x08\x01\x12\xff\x01\x0a", "SavedModel", "network"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x032.1:", "ONNX", "convert"),
    "frozen-graph": (b"\n\x1f\n\x05input\x12\x0bPlaceholder*\x0b", "frozen", "tflite_convert"),
    "safetensors": (
        (17).to_bytes(8, "little") + b'{"__metadata__":1}' + b"\0" * 9,
        "safetensors",
        "",
    ),
    "gguf": (b"GGUF\x03\0\0\0", "GGUF", ""),
    "zeros": (bytes(4096), "zero bytes", "download it again"),
    "text": ("trained on Tuesday, très bien\n".encode(), "a text that begins 'trained on", ""),
    "png": (b"\x89PNG\r\n\x1a\n\0\0", "PNG image", ""),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_named_with_what_to_do(name: str) -> None:
    data, words, hint = KINDS[name]
    kind = recognize(data)
    assert kind is not None
    assert kind.name == name
    assert words in kind.words
    assert hint in kind.hint
    with pytest.raises(BadFile) as caught:
        read(data)
    assert kind.words in caught.value.message
    assert caught.value.hint == kind.hint


@pytest.mark.parametrize("data", [committed(), bytes(range(128, 160)) * 9])
def test_a_tflite_file_and_unknown_bytes_are_no_kind(data: bytes) -> None:
    assert recognize(data) is None


def test_a_damaged_zip_is_told_apart_from_a_whole_one() -> None:
    kind = recognize(zipped("a.tflite")[:-10])
    assert kind is not None
    assert "cut off or damaged" in kind.words


def test_json_of_any_layout_is_json() -> None:
    for indent in (None, 2):
        kind = recognize(json.dumps({"format": "layers-model"}, indent=indent).encode())
        assert kind is not None
        assert kind.name == "json"


@pytest.mark.parametrize("name", ["git-lfs-pointer", "html", "gzip", "empty", "pickle"])
def test_a_keras_file_that_is_none_is_named_too(name: str, tmp_path: Path) -> None:
    data, words, hint = KINDS[name]
    for suffix in (".h5", ".keras"):
        (tmp_path / f"net{suffix}").write_bytes(data)
        with pytest.raises(Unsupported, match=f"net{suffix}: neither .*, but .*{words}") as caught:
            graph_of_file(tmp_path / f"net{suffix}")
        assert hint in caught.value.hint
