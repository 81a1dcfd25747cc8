"""Golden vectors in the browser.

What numpy wrote is read back to the bit, and bytes of strangers are refused within bounds.
"""

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from zoo_builders.devices.browser.server import BrowserFiles
from zoo_builders.tflite.golden import Vectors

pytestmark = pytest.mark.browser

READ = """
async (text) => {
  const { readGolden } = await import("/lab/golden.js");
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const plain = ({ dtype, shape, data }) => ({ dtype, shape, data: [...data] });
  try {
    const { inputs, outputs, examples } = await readGolden(bytes.buffer);
    return { inputs: inputs.map(plain), outputs: outputs.map(plain), examples };
  } catch (error) {
    return { kind: error.kind, message: error.message };
  }
}
"""
Read = Callable[[bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Give a page that can load the lab's modules, and nothing else: no LiteRT.js is needed."""
    with BrowserFiles(tmp_path_factory.mktemp("no-runtime")) as files:
        context = chromium.new_context()
        made = context.new_page()
        made.goto(f"{files.address}/")
        yield made
        context.close()


@pytest.fixture
def read(page: Page) -> Read:
    return lambda data: page.evaluate(READ, base64.b64encode(data).decode())


def npy(array: Any) -> bytes:
    spelled = io.BytesIO()
    np.save(spelled, array)
    return spelled.getvalue()


def packed(
    files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


ONE = np.ones((2, 3), np.float32)
GOOD = {"input_0.npy": npy(ONE), "output_0.npy": npy(ONE)}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.int8, np.int16])
def test_arrays_come_back_as_they_were(read: Read, dtype: Any, method: int) -> None:
    array = np.random.default_rng(1).integers(0, 100, (3, 4, 5)).astype(dtype)
    found = read(
        packed(
            {
                "input_0.npy": npy(array),
                "input_1.npy": npy(array[:, 0]),
                "output_0.npy": npy(array[:, 0, 0]),
            },
            method,
        )
    )
    assert found["examples"] == 3
    assert [port["shape"] for port in found["inputs"]] == [[3, 4, 5], [3, 5]]
    assert found["outputs"][0]["dtype"] == np.dtype(dtype).name
    assert np.array_equal(np.array(found["inputs"][0]["data"]).reshape(3, 4, 5), array)


def test_what_the_builders_write_is_read(read: Read) -> None:
    random = np.random.default_rng(2)
    inputs, outputs = (
        random.normal(size=(5, 8, 8, 1)).astype(np.float32),
        random.normal(size=(5, 10)).astype(np.float32),
    )
    found = read(Vectors((inputs,), (outputs,), 1e-3).to_bytes())
    assert found["outputs"][0]["data"] == outputs.reshape(-1).astype(float).tolist()


def bomb() -> bytes:
    """Claim 100 bytes in the directory, and hold 5 MB of zeros."""
    squeezed = zlib.compress(bytes(5 << 20), 9)[2:-4]
    return _with_size(_raw("input_0.npy", squeezed, 5 << 20), 5 << 20, 100)


def _raw(name: str, squeezed: bytes, size: int) -> bytes:
    """Spell a zip of one deflated entry by hand; only sizes matter."""
    spelled = name.encode()
    fields = (20, 0, 8, 0, 0, 0, len(squeezed), size, len(spelled), 0)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, *fields) + spelled
    central = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, *fields, 0, 0, 0, 0, 0) + spelled
    start = len(local) + len(squeezed)
    return (
        local
        + squeezed
        + central
        + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), start, 0)
    )


def _with_size(data: bytes, old: int, new: int) -> bytes:
    return data.replace(struct.pack("<I", old), struct.pack("<I", new))


def damaged(data: bytes) -> bytes:
    """Flip a bit in the first entry's content."""
    place = data.index(b"NUMPY") if b"NUMPY" in data else 60
    return data[: place + 130] + bytes([data[place + 130] ^ 1]) + data[place + 131 :]


HOSTILE = {
    "nothing": b"",
    "no zip": b"PK" + bytes(200),
    "cut off": packed(GOOD)[:-30],
    "without its end": packed(GOOD)[:60],
    "a bomb": bomb(),
    "claims a gigabyte": _raw("input_0.npy", b"", 1 << 30),
    "a directory that points beyond": packed(GOOD)[:-6] + struct.pack("<I", 1 << 31) + b"\0\0",
    "a flipped bit": damaged(packed(GOOD, zipfile.ZIP_STORED)),
    "not deflated": _raw("input_0.npy", b"\xff" * 50, 50),
    "a path": packed(GOOD | {"../../etc/passwd": b"x"}),
    "a number too high": packed(GOOD | {"input_100.npy": npy(ONE)}),
    "a missing port": packed(GOOD | {"input_2.npy": npy(ONE)}),
    "no outputs": packed({"input_0.npy": npy(ONE)}),
    "other examples": packed(GOOD | {"output_1.npy": npy(ONE[:1])}),
    "no examples": packed({"input_0.npy": npy(ONE[:0]), "output_0.npy": npy(ONE[:0])}),
    "big-endian": packed(GOOD | {"input_0.npy": npy(ONE.astype(">f4"))}),
    "float64": packed(GOOD | {"input_0.npy": npy(ONE.astype(np.float64))}),
    "column order": packed(GOOD | {"input_0.npy": npy(np.asfortranarray(ONE))}),
    "a scalar": packed({"input_0.npy": npy(np.float32(1)), "output_0.npy": npy(np.float32(1))}),
    "a shape of lies": packed(GOOD | {"input_0.npy": npy(ONE).replace(b"(2, 3)", b"(2, 9)")}),
    "a shape beyond counting": packed(
        GOOD | {"input_0.npy": npy(ONE).replace(b"(2, 3), }          ", b"(2, 900000000000), }")}
    ),
    "pickled": packed(GOOD | {"input_0.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O', "}),
    "encrypted": (
        packed(GOOD).replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    ),
    "a comment": packed(GOOD, comment=b"hello"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_bytes_of_strangers_are_refused_and_nothing_else_happens(read: Read, data: bytes) -> None:
    found = read(data)
    assert found.get("kind") == "load", found
    assert found["message"].startswith("golden vectors: ")
    assert "examples" in read(packed(GOOD)), "the reader is as before"


def test_what_is_not_offered_is_not_served(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with BrowserFiles(tmp_path) as files:
        path = files.offer(secret)
        assert files.find(path) == ("application/octet-stream", b"x")
        files.withdraw(path)
        for asked in (
            path,
            "/secret",
            "/files/secret",
            "/litertjs/secret",
            "/lab/../../../registry.py",
            "/litertjs/../secret",
            "//etc/passwd",
        ):
            assert files.find(asked) is None, asked
