"""What a saved Keras model is, read without TensorFlow.

Three forms: a `.keras` archive, an `.h5` file, a SavedModel folder. The last holds functions, and
beside them a model's configuration where tf_keras wrote it (`keras_metadata.pb`).
"""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoo_builders.file_kinds import recognize
from zoo_builders.networks import protobuf
from zoo_registry.model.errors import Unsupported

SAVE = "save it with model.save('NAME.keras')"

BROKEN = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    OSError,
    RecursionError,
    zipfile.BadZipFile,
)
"""What reading somebody else's damaged file can raise."""

_FLOAT = 1
"""DT_FLOAT of TensorFlow's types.proto."""

_ANY_RANK = b"\x18\x01"
"""A TensorShapeProto that says `unknown_rank: true`."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a SavedModel's function: its name, shape (-1 = open), and type."""

    name: str
    shape: tuple[int, ...] | None
    dtype: int


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved model.

    Attributes:
        keras: which Keras wrote it, and so which can load it; 0 of a folder of functions alone.
        class_name: of the model; empty where it has no configuration.
        config: the model's configuration.
        signatures: of a SavedModel, name → (inputs, outputs).
    """

    keras: Literal[0, 2, 3]
    class_name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    signatures: dict[str, tuple[tuple[Port, ...], tuple[Port, ...]]] = field(default_factory=dict)


def read_saved(path: Path) -> Saved:
    """Read what `path` holds, but for its weights.

    Raises:
        Unsupported: it is none of the three forms, damaged, or weights alone.
    """
    try:
        if path.is_dir():
            return _folder(path)
        return _archive(path) if zipfile.is_zipfile(path) else _hdf5(path)
    except BROKEN as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> Unsupported:
    """Word what reading a damaged file raised."""
    return Unsupported(
        f"{path.name}: no readable Keras model: {type(error).__name__}: {str(error)[:200]}",
        hint=SAVE,
    )


def _archive(path: Path) -> Saved:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names:
            raise Unsupported(
                f"{path.name}: a zip archive without config.json is not a Keras model", hint=SAVE
            )
        config = dict(_plain(archive.read("config.json")))
        about = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
    return _saved(config, about.get("keras_version"))


def _hdf5(path: Path) -> Saved:
    import h5py

    if not h5py.is_hdf5(path):
        kind = recognize(path.read_bytes())
        told = "" if kind is None else f", but {kind.words}"
        raise Unsupported(
            f"{path.name}: neither a .keras archive nor an .h5 file{told}",
            hint=SAVE if kind is None else kind.hint,
        )
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise Unsupported(f"{path.name}: holds weights without an architecture", hint=SAVE)
        return _saved(dict(_plain(file.attrs["model_config"])), file.attrs.get("keras_version"))


def _plain(text: str | bytes) -> Any:
    """Read a configuration; what Keras marks as a tuple becomes a list."""
    return json.loads(
        text,
        object_hook=lambda part: part["items"] if part.get("class_name") == "__tuple__" else part,
    )


def _saved(config: dict[str, Any], version: Any) -> Saved:
    text = version.decode() if isinstance(version, bytes) else str(version or "")
    newer = text.startswith("3") or (not text and '"batch_shape"' in json.dumps(config))
    return Saved(3 if newer else 2, str(config.get("class_name")), _config_of(config["config"]))


def _config_of(config: Any) -> dict[str, Any]:
    """Give a configuration; the oldest files hold a sequential model's layers alone."""
    return {"name": "sequential", "layers": config} if isinstance(config, list) else dict(config)


def _folder(path: Path) -> Saved:
    if not (path / "saved_model.pb").is_file():
        raise Unsupported(
            f"{path.name}: a folder without saved_model.pb is no SavedModel",
            hint=f"name the file or folder within: ls {path.name}",
        )
    meta = protobuf.fields(protobuf.fields((path / "saved_model.pb").read_bytes())[2][0])
    found = dict(_signature(entry) for entry in meta.get(5, []))
    kept = {name: ports for name, ports in found.items() if not name.startswith("__")}
    config = _metadata(path / "keras_metadata.pb")
    if config is None:
        return Saved(0, signatures=kept)
    return Saved(2, str(config["class_name"]), dict(config["config"]), kept)


def _signature(entry: bytes) -> tuple[str, tuple[tuple[Port, ...], tuple[Port, ...]]]:
    """Read one of a MetaGraphDef's `signature_def` (source: meta_graph.proto)."""
    pair = protobuf.fields(entry)
    both = protobuf.fields(pair.get(2, [b""])[0])
    inputs, outputs = (tuple(map(_port, both.get(number, []))) for number in (1, 2))
    return pair[1][0].decode(), (inputs, outputs)


def _port(entry: bytes) -> Port:
    pair = protobuf.fields(entry)
    info = protobuf.fields(pair[2][0])
    shape = protobuf.fields(info.get(3, [_ANY_RANK])[0])
    sizes = [protobuf.fields(one).get(1, [0])[0] for one in shape.get(2, [])]
    known = None if shape.get(3) == [1] else tuple(protobuf.signed(size) for size in sizes)
    return Port(pair[1][0].decode(), known, info.get(2, [0])[0])


def _metadata(path: Path) -> dict[str, Any] | None:
    """Read the configuration that tf_keras puts beside a SavedModel; None without one.

    Source: `saved_metadata.proto` of tf_keras; the object `root` is the model.
    """
    if not path.is_file():
        return None
    for node in protobuf.fields(path.read_bytes()).get(1, []):
        seen = protobuf.fields(node)
        if seen.get(3, [b""])[0] == b"root":
            told = _plain(seen[5][0])
            model = told.get("model_config") or {"class_name": told["class_name"], **told}
            return model if model["class_name"] and model.get("config") else None
    return None


def is_float(port: Port) -> bool:
    """Whether a port holds float32."""
    return port.dtype == _FLOAT
