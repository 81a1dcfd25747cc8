"""Reading the arrays of a PyTorch checkpoint (`torch.save` of a state dict) without PyTorch.

Nothing that it holds is run.

A checkpoint is a pickle, and a pickle is a program. Here only the calls a state dict consists of
are known (ordered dictionaries and views of storages); anything else is refused. Formats, from
torch/serialization.py: since 1.6 a zip archive with `…/data.pkl` and one file a storage in
`…/data/`; before that a sequence of pickles (magic number, protocol, system, the object, storage
keys), followed by the storages, each as an int64 count and its little-endian values.
"""

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from zoo_registry.model.errors import WrongUse

if TYPE_CHECKING:
    import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_STORAGE_LIMIT = 1 << 30
_RANK_LIMIT = 8


class BadCheckpoint(WrongUse):
    """A file is no PyTorch state dict, is damaged, or asks for something no state dict needs."""

    slug = "bad-checkpoint"


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor: a strided window on a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def load(path: Path) -> dict[str, "np.ndarray[Any, Any]"]:
    """Read {name: array} of a state dict, in its order; every array is a copy.

    Raises:
        BadCheckpoint: the file is damaged, is no state dict, or its pickle calls something.
    """
    try:
        with path.open("rb") as file:
            return _zipped(path) if zipfile.is_zipfile(file) else _legacy(path)
    except _BROKEN as error:
        raise BadCheckpoint(
            f"{path.name}: not a readable PyTorch checkpoint: {type(error).__name__}:"
            f" {str(error)[:200]}",
            hint="save it with torch.save(model.state_dict(), PATH), or as .safetensors",
        ) from error


_BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    ImportError,
)
"""What unpickling somebody else's damaged file can raise."""


def _legacy(path: Path) -> dict[str, "np.ndarray[Any, Any]"]:
    with path.open("rb") as file:
        if _plain(file) != _MAGIC or _plain(file) != _PROTOCOL:
            raise ValueError("no magic number of a checkpoint")
        if not dict(_plain(file)).get("little_endian", True):
            raise ValueError("written on a big-endian machine")
        state = _Reader(file).load()
        keys = _plain(file)
        views = _views(state)
        wanted = {view.storage.key: view.storage for view in views.values()}
        raw = {str(key): _storage(file, wanted.get(str(key))) for key in keys}
    return {name: _array(view, raw[view.storage.key]) for name, view in views.items()}


def _storage(file: IO[bytes], storage: _Storage | None) -> bytes:
    (count,) = struct.unpack("<q", file.read(8))
    if storage is None or count != storage.count:
        raise ValueError(f"a storage of {count} values that no tensor announces")
    return _exactly(file, count * _size(storage))


def _zipped(path: Path) -> dict[str, "np.ndarray[Any, Any]"]:
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if name is None:
            raise ValueError("a zip archive without data.pkl")
        folder = name.removesuffix("data.pkl")
        with archive.open(name) as file:
            views = _views(_Reader(file).load())
        raw = dict[str, bytes]()
        for storage in {view.storage for view in views.values()}:
            with archive.open(f"{folder}data/{storage.key}") as file:
                raw[storage.key] = _exactly(file, storage.count * _size(storage))
    return {name: _array(view, raw[view.storage.key]) for name, view in views.items()}


def _exactly(file: IO[bytes], size: int) -> bytes:
    if not 0 <= size <= _STORAGE_LIMIT:
        raise ValueError(f"a storage of {size} bytes")
    data = file.read(size)
    if len(data) != size:
        raise EOFError(f"{len(data)} of {size} bytes of a storage")
    return data


def _size(storage: _Storage) -> int:
    import numpy as np

    return np.dtype(storage.dtype).itemsize


def _views(state: Any) -> dict[str, _View]:
    """Take the tensors out of a state dict.

    It may also be a checkpoint that holds a state dict as `state_dict`.
    """
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise TypeError(f"holds a {type(state).__name__}, not a state dict")
    return {str(name): view for name, view in state.items() if isinstance(view, _View)}


def _array(view: _View, raw: bytes) -> "np.ndarray[Any, Any]":
    """Cut a tensor out of its storage; no window reaches outside."""
    import numpy as np

    flat = np.frombuffer(raw, view.storage.dtype)
    numbers = (view.offset, *view.shape, *view.strides)
    if len(view.shape) != len(view.strides) or len(view.shape) > _RANK_LIMIT or min(numbers) < 0:
        raise ValueError(f"a tensor of shape {view.shape} and strides {view.strides}")
    if math.prod(view.shape) == 0:
        return np.empty(view.shape, flat.dtype)
    last = view.offset + sum(
        (size - 1) * step for size, step in zip(view.shape, view.strides, strict=True)
    )
    if last >= len(flat) or math.prod(view.shape) > len(flat):
        raise ValueError(f"a tensor that reaches to value {last} of a storage of {len(flat)}")
    steps = tuple(step * flat.itemsize for step in view.strides)
    return np.lib.stride_tricks.as_strided(
        flat[view.offset :], view.shape, steps, writeable=False
    ).copy()


class _Reader(pickle.Unpickler):
    """An unpickler that knows the calls of a state dict and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Give what a pickle may call.

        Raises:
            UnpicklingError: it is none of them.
        """
        if module in {"torch", "torch.storage"} and name in _DTYPES:
            return _DTYPES[name]
        found = _CALLS.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which no state dict needs")
        return found

    def persistent_load(self, pid: Any) -> _Storage:
        """Understand a reference to a storage: ('storage', type, key, device, count[, view])."""
        kind, dtype, key, _, count, *_ = pid
        if (
            kind != "storage"
            or dtype not in _DTYPES.values()
            or not isinstance(count, int)
            or count < 0
        ):
            raise pickle.UnpicklingError(f"a reference to {str(pid)[:80]}")
        return _Storage(str(key), dtype, count)


class _Plain(pickle.Unpickler):
    """An unpickler of numbers, texts, lists and dictionaries."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every call."""
        raise pickle.UnpicklingError(f"it calls {module}.{name} where only numbers belong")


def _plain(file: IO[bytes]) -> Any:
    return _Plain(file).load()


def _tensor(
    storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any
) -> _View:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(data: Any, *_: Any) -> Any:
    return data


_CALLS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
