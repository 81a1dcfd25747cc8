"""`here`: a limit on times means machines like this one; the answer says when nobody has one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.records import blob, measured
from zoo_client import machine
from zoo_client.commands.options import placed
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.measurement import Host
from zoo_registry.model.platform import Platform
from zoo_registry.model.query import Query
from zoo_registry.model.record import Record
from zoo_registry.stores import layout, open_store

VNNI = ("avx2", "avx512f", "avx512_vnni")


def host(cpu: str, *features: str) -> Host:
    known = {"cpu": cpu, "arch": "x86_64", "cores": 2, "features": features}
    return Host.model_validate({**known, "fingerprint": Digest.of(b"host")})


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Platform]:
    """Make this machine another one."""

    def be(cpu: str, *features: str) -> Platform:
        monkeypatch.setattr(machine, "describe", lambda: host(cpu, *features))
        return machine.here()

    return be


def test_a_limit_means_here_unless_a_place_is_named(here: Callable[..., Platform]) -> None:
    mine = here("AMD EPYC", "avx2").key
    assert placed(Query(max_latency_ms=8)).platform == mine
    assert placed(Query(max_ratio=0.5)).platform == mine
    assert placed(Query(device="here")) == Query(platform=mine)
    assert placed(Query(platform="here")) == Query(platform=mine)
    for named in ({"device": "host-cpu"}, {"platform": "android"}):
        assert placed(Query(max_latency_ms=8, **named)) == Query(max_latency_ms=8, **named)
    assert placed(Query(device="any", max_latency_ms=8)) == Query(max_latency_ms=8)
    assert placed(Query(max_size=8)) == Query(max_size=8), "size is the same everywhere"


def test_a_machine_that_does_not_tell_its_class(here: Callable[..., Platform]) -> None:
    here("something")
    assert placed(Query(max_latency_ms=8)) == Query(max_latency_ms=8)
    with pytest.raises(InvalidQuery, match="something"):
        placed(Query(device="here"))


@pytest.fixture
def url(tmp_path: Path, make_record: Callable[..., Record]) -> str:
    """Give a store with one file that two machines measured."""
    store = open_store(f"file://{tmp_path / 'store'}")
    data = blob("file")
    digest = Digest.of(data)
    times: list[Any] = [
        measured(digest, median=1.0, host=host("AMD EPYC 9654", *VNNI)),
        measured(digest, median=6.0, host=host("AMD EPYC", "avx2"), verdict="slower"),
    ]
    store.put([data], digest)
    layout.release(store, make_record(data=data, measurements=times).to_bytes(), layout.now())
    return str(store.url)


@pytest.mark.parametrize(
    ("cpu", "features", "fits"), [("AMD EPYC 9654", VNNI, True), ("AMD EPYC", ("avx2",), False)]
)
def test_the_same_budget_on_two_machines(
    here: Callable[..., Platform], url: str, cpu: str, features: tuple[str, ...], fits: bool
) -> None:
    here(cpu, *features)
    remote = open_remote(url, Settings.read())
    found = remote.resolve(placed(Query(max_latency_ms=2)))
    assert (found.chosen is not None) == fits
    assert found.unmeasured is None
    page = remote.search(placed(Query(max_latency_ms=2)))
    assert bool(page.items) == fits
    assert json.loads(page.model_dump_json())["unmeasured"] is None


def test_nobody_measured_on_a_machine_like_this(here: Callable[..., Platform], url: str) -> None:
    here("Apple M1")
    mine = here("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", "avx2", "avx512f")
    found = open_remote(url, Settings.read()).resolve(placed(Query(max_latency_ms=2)))
    assert found.unmeasured is not None
    assert found.unmeasured.platform == mine.key
    assert len(found.unmeasured.nearest) == 2
    assert found.unmeasured.bench == "zoo bench digits-cnn-int8@1.0.0 --submit"
    assert "nobody measured on intel-xeon-gold-6130 (x86-64 avx512)" in found.why
