import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_registry.model.canonical import canonical, digest_of, parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, InvalidRecord, WrongUse
from zoo_registry.model.files import appearing, clone, digest_file, keep_verified, write_bytes

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_canonical_bytes_say_the_same_and_are_a_fixed_point(value: object) -> None:
    spelled = canonical(value)
    assert parse(spelled) == value
    assert canonical(parse(spelled)) == spelled


@given(st.dictionaries(st.text(), st.integers(0, 9)))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**60, {1, 2}, b"x", {"a": object()}]
)
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidRecord):
        canonical(value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a":1,"a":2}', b"NaN", b"\xff", b"[" * 100_000, b'{"a": Infinity}']
)
def test_broken_json_is_a_clear_error(data: bytes) -> None:
    with pytest.raises(InvalidRecord):
        parse(data)


def test_many_keys_are_read_once_through() -> None:
    """Twice the keys take about twice the time: a stranger's document stops nobody."""

    def seconds(count: int) -> float:
        text = b"{" + b",".join(b'"%d":0' % number for number in range(count)) + b',"0":1}'
        began = time.perf_counter()
        with pytest.raises(InvalidRecord, match="'0' stands twice"):
            parse(text)
        return time.perf_counter() - began

    few, many = (min(seconds(count) for _ in range(3)) for count in (5_000, 80_000))
    assert many < 16 * few * 4


def test_json_is_bounded() -> None:
    with pytest.raises(InvalidRecord, match="at most 10"):
        parse(b'"' + b"a" * 10 + b'"', limit=10)


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "A" * 64, "sha256:", "0" * 63, "0" * 65])
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="64 lower-case hex"):
        Digest(text)


def test_the_prefix_of_a_digest_is_optional() -> None:
    assert Digest("sha256:" + "0" * 64) == "0" * 64


def test_a_file_keeps_its_old_content_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "f"
    write_bytes(target, b"old")

    def half() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"), appearing(target) as stream:
        stream.writelines(half())
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]  # noqa: PTH208  also hidden names


def _silently_nothing(*_: object) -> int:
    return 0


def _some_then_an_error(source: int, out: int, _: int) -> int:
    if os.lseek(source, 0, os.SEEK_CUR):
        raise OSError(errno.EXDEV, "not between these")
    return os.write(out, os.read(source, 1000))


@pytest.mark.parametrize("kernel", [os.copy_file_range, _silently_nothing, _some_then_an_error])
def test_a_copy_is_whole_whatever_the_kernel_says(
    kernel: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "from").write_bytes(data)
    monkeypatch.setattr(os, "copy_file_range", kernel)
    with (tmp_path / "from").open("rb") as source, (tmp_path / "to").open("wb") as out:
        clone(source, out)
    assert (tmp_path / "to").read_bytes() == data


def test_verified_bytes_appear_read_only(tmp_path: Path) -> None:
    target = tmp_path / "blob"
    assert keep_verified(iter([b"ab", b"c"]), target, Digest.of(b"abc"), limit=3) == 3
    assert digest_file(target) == Digest.of(b"abc")
    assert stat.S_IMODE(target.stat().st_mode) == 0o444


def test_other_bytes_never_appear(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch) as caught:
        keep_verified([b"evil"], tmp_path / "blob", Digest.of(b"good"), limit=99)
    assert Digest.of(b"good") in str(caught.value)
    assert Digest.of(b"evil") in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_more_bytes_than_allowed_stop_at_the_limit(tmp_path: Path) -> None:
    seen = 0

    def endless() -> Iterator[bytes]:
        nonlocal seen
        while True:
            seen += 1
            yield b"x" * 10

    with pytest.raises(WrongUse, match="more than 25 bytes"):
        keep_verified(endless(), tmp_path / "blob", Digest.of(b""), limit=25)
    assert seen == 3
    assert not list(tmp_path.iterdir())
