"""Downloads go on where they stopped, and never past what was promised."""

import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_client import download as module
from zoo_client.download import download
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, Unreachable

DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)


def test_a_cut_download_goes_on_at_the_byte_where_it_stopped(tmp_path: Path) -> None:
    starts: list[int] = []

    def flaky(start: int) -> Iterator[bytes]:
        starts.append(start)
        yield DATA[start : start + 3000]
        raise Unreachable("cable pulled")

    assert download(flaky, tmp_path / "x.part", len(DATA)) == Digest.of(DATA)
    assert (tmp_path / "x.part").read_bytes() == DATA
    assert starts == [0, 3000, 6000, 9000]


def test_a_file_system_without_locks_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with module.alone(tmp_path / "locks/x.lock"):
        assert download(lambda start: [DATA[start:]], tmp_path / "x.part", len(DATA))


def test_what_came_is_kept_when_the_other_side_stays_away(tmp_path: Path) -> None:
    def once(start: int) -> Iterator[bytes]:
        if start:
            raise Unreachable("gone")
        yield DATA[:500]

    with pytest.raises(Unreachable):
        download(once, tmp_path / "x.part", len(DATA))
    assert (tmp_path / "x.part").read_bytes() == DATA[:500]

    moved: list[int] = []
    download(lambda start: [DATA[start:]], tmp_path / "x.part", len(DATA), moved.append)
    assert (tmp_path / "x.part").read_bytes() == DATA
    assert sum(moved) == len(DATA)


def test_an_answer_that_ends_early_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=f"0 of {len(DATA)} bytes"):
        download(lambda _: [], tmp_path / "x.part", len(DATA))


def test_more_than_the_record_promises_is_refused_and_dropped(tmp_path: Path) -> None:
    def endless(start: int) -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(Unreachable, match="more than the 2500 bytes"):
        download(endless, tmp_path / "x.part", 2500)
    assert not (tmp_path / "x.part").exists()


def test_a_part_that_is_too_long_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"y" * 999)
    download(lambda start: [DATA[start:100]], tmp_path / "x.part", 100)
    assert (tmp_path / "x.part").read_bytes() == DATA[:100]


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    download(lambda _: [], tmp_path / "x.part", 0)
    assert (tmp_path / "x.part").read_bytes() == b""


def test_a_no_is_not_asked_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def no(start: int) -> Iterator[bytes]:
        asked.append(start)
        raise NotFound("no such blob")

    with pytest.raises(NotFound):
        download(no, tmp_path / "x.part", 10)
    assert asked == [0]
