"""PyTorch checkpoints are read without PyTorch, and nothing in them is run."""

import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.pretrained.torch_pickle import BadCheckpoint, load

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {
    "protocol_version": PROTOCOL,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}


class Tensor:
    """A tensor as PyTorch pickles it.

    A call of torch._utils._rebuild_tensor_v2 on a storage known by its key.
    """

    def __init__(
        self,
        key: str,
        values: np.ndarray[Any, Any],
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int = 0,
    ) -> None:
        self.key, self.values, self.shape, self.strides, self.offset = (
            key,
            values,
            shape,
            strides,
            offset,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (
            Storage(self.key, self.values),
            self.offset,
            self.shape,
            self.strides,
            False,
            OrderedDict(),
        )


class Storage:
    def __init__(self, key: str, values: np.ndarray[Any, Any]) -> None:
        self.key, self.values = key, values


class Writer(pickle.Pickler):
    legacy = False

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        kind = {
            "f4": "FloatStorage",
            "f8": "DoubleStorage",
            "f2": "HalfStorage",
            "i8": "LongStorage",
        }[obj.values.dtype.str[1:]]
        told = ("storage", getattr(sys.modules["torch"], kind), obj.key, "cpu", obj.values.size)
        return (*told, None) if self.legacy else told


@pytest.fixture(autouse=True)
def torch_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names a checkpoint speaks of, so that it can be written; reading must not need them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_: Any) -> None:
        raise AssertionError("reading called PyTorch")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    for name in ("FloatStorage", "DoubleStorage", "HalfStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def pickled(state: Any, *, legacy: bool = False) -> bytes:
    buffer = BytesIO()
    writer = Writer(buffer, protocol=2)
    writer.legacy = legacy
    writer.dump(state)
    return buffer.getvalue()


def storages(state: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {tensor.key: tensor.values for tensor in state.values() if isinstance(tensor, Tensor)}


def write_legacy(path: Path, state: Mapping[str, Any]) -> Path:
    parts = [pickle.dumps(part, protocol=2) for part in (MAGIC, PROTOCOL, SYSTEM)] + [
        pickled(state, legacy=True)
    ]
    held = storages(state)
    parts.append(pickle.dumps(sorted(held), protocol=2))
    parts += [struct.pack("<q", held[key].size) + held[key].tobytes() for key in sorted(held)]
    path.write_bytes(b"".join(parts))
    return path


def write_zip(path: Path, state: Mapping[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickled(state))
        for key, values in storages(state).items():
            archive.writestr(f"model/data/{key}", values.tobytes())
    return path


WRITERS = pytest.mark.parametrize("write", [write_legacy, write_zip])
VALUES = np.arange(24, dtype="<f4")


def state() -> "OrderedDict[str, Any]":
    """Plain, transposed (as converted kernels are), shared and scalar tensors.

    And things that are no tensors.
    """
    return OrderedDict(
        plain=Tensor("1", VALUES, (2, 3, 4), (12, 4, 1)),
        transposed=Tensor("1", VALUES, (4, 3, 2), (1, 4, 12)),
        tail=Tensor("1", VALUES, (5,), (2,), 15),
        count=Tensor("2", np.array([7], "<i8"), (), ()),
        half=Tensor("3", np.array([1.5, 2], "<f2"), (2,), (1,)),
        epoch=12,
    )


@WRITERS
def test_tensors_come_back_as_they_were(write: Any, tmp_path: Path) -> None:
    found = load(write(tmp_path / "x.pth", state()))
    assert list(found) == ["plain", "transposed", "tail", "count", "half"]
    np.testing.assert_array_equal(found["plain"], VALUES.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["transposed"], VALUES.reshape(2, 3, 4).transpose(2, 1, 0))
    np.testing.assert_array_equal(found["tail"], VALUES[15::2])
    assert found["count"].shape == ()
    assert found["count"] == 7
    assert found["half"].dtype == np.float16
    found["plain"][:] = 0  # a copy: writable, and no other tensor sees it
    assert found["tail"][0] == 15


@WRITERS
def test_a_checkpoint_that_holds_a_state_dict_is_one(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    inner = state()
    write(path, inner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            globals(),
            "storages",
            lambda _: {t.key: t.values for t in inner.values() if isinstance(t, Tensor)},
        )
        write(path, {"state_dict": inner, "epoch": 3})
    assert set(load(path)) == {"plain", "transposed", "tail", "count", "half"}


class Call:
    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.args


def hostile(mark: Path) -> Iterator[tuple[str, Any]]:
    yield "os.system", Call(os.system, f"touch {mark}")
    yield "eval", Call(eval, f"open({str(mark)!r}, 'w')")
    yield "exec", Call(exec, f"open({str(mark)!r}, 'w')")
    yield "Path.write_text", Call(Path.touch, mark)
    yield "getattr", Call(getattr, str(mark), "upper")
    yield "numpy", Call(np.save, str(mark), [1])


@WRITERS
@pytest.mark.parametrize("place", ["value", "whole", "key"])
def test_a_checkpoint_that_calls_something_is_refused_and_nothing_is_called(
    write: Any, place: str, tmp_path: Path
) -> None:
    mark = tmp_path / "called"
    for name, payload in hostile(mark):
        whole = {
            "value": {**state(), "bad": payload},
            "whole": {"state_dict": payload},
            "key": {"ok": [{"deep": (payload,)}]},
        }[place]
        path = write(tmp_path / "x.pth", whole)
        with pytest.raises(BadCheckpoint, match="which no state dict needs"):
            load(path)
        assert not mark.exists(), name


@pytest.mark.parametrize("part", [0, 1, 2, 4])
def test_the_small_pickles_around_a_legacy_checkpoint_call_nothing_either(
    part: int, tmp_path: Path
) -> None:
    mark = tmp_path / "called"
    parts = [pickle.dumps(one, protocol=2) for one in (MAGIC, PROTOCOL, SYSTEM)] + [
        pickled(state(), legacy=True),
        pickle.dumps(["1"]),
    ]
    parts[part] = pickle.dumps(Call(os.system, f"touch {mark}"))
    (tmp_path / "x.pth").write_bytes(b"".join(parts))
    with pytest.raises(BadCheckpoint):
        load(tmp_path / "x.pth")
    assert not mark.exists()


@WRITERS
@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("1", VALUES, (25,), (1,)),
        Tensor("1", VALUES, (5,), (1,), 20),
        Tensor("1", VALUES, (2,), (1 << 40,)),
        Tensor("1", VALUES, (2,), (-1,), 4),
        Tensor("1", VALUES, (4,), (1,), -4),
        Tensor("1", VALUES, (1 << 40,), (0,)),
        Tensor("1", VALUES, (2, 2), (1,)),
        Tensor("1", VALUES, (1,) * 40, (1,) * 40),
    ],
    ids=["long", "offset", "stride", "backwards", "before", "repeated", "ragged", "deep"],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    write: Any, tensor: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(BadCheckpoint):
        load(write(tmp_path / "x.pth", {"bad": tensor}))


def test_a_storage_that_claims_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    whole = write_legacy(tmp_path / "x.pth", {"a": Tensor("1", VALUES, (24,), (1,))}).read_bytes()
    (tmp_path / "y.pth").write_bytes(
        whole.replace(struct.pack("<q", 24), struct.pack("<q", 1 << 60))
    )
    with pytest.raises(BadCheckpoint, match="no tensor announces"):
        load(tmp_path / "y.pth")


@WRITERS
def test_a_checkpoint_cut_anywhere_is_refused(write: Any, tmp_path: Path) -> None:
    whole = write(tmp_path / "x.pth", state()).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "y.pth").write_bytes(whole[:length])
        with pytest.raises(BadCheckpoint):
            load(tmp_path / "y.pth")


@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_checkpoint_are_refused_in_our_own_words(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.pth"
    path.write_bytes(
        b"".join(pickle.dumps(one, protocol=2) for one in (MAGIC, PROTOCOL, SYSTEM)) + data
    )
    with pytest.raises(BadCheckpoint):
        load(path)


def test_a_big_endian_checkpoint_is_refused(tmp_path: Path) -> None:
    whole = write_legacy(tmp_path / "x.pth", state()).read_bytes()
    system = pickle.dumps(SYSTEM, protocol=2)
    (tmp_path / "y.pth").write_bytes(
        whole.replace(system, pickle.dumps({**SYSTEM, "little_endian": False}, protocol=2))
    )
    with pytest.raises(BadCheckpoint, match="big-endian"):
        load(tmp_path / "y.pth")
