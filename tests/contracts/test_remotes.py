"""What every remote promises, held against each of them with a real other side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from zoo_client.cache import Cache
from zoo_client.pull import find, pull
from zoo_client.remotes import REMOTES, Remote, open_remote
from zoo_client.remotes.base import Bundle
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    DigestMismatch,
    InvalidRecord,
    NotFound,
    ReleaseExists,
    WrongUse,
    Yanked,
)
from zoo_registry.model.query import Query
from zoo_registry.model.record import Record
from zoo_registry.model.ref import Ref

pytestmark = pytest.mark.process  # two of the five remotes are servers

GOLDEN = b"PK golden vectors " * 20


@dataclass
class Place:
    """One remote under test.

    How to open it anew, and how somebody with access to its storage changes a blob.
    """

    open: Callable[[], Remote]
    tamper: Callable[[Record, bytes], None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / ".zoo", cache=tmp_path / "cache", logs=tmp_path / "logs")


def _tamper_folder(root: Path) -> Callable[[Record, bytes], None]:
    def tamper(record: Record, data: bytes) -> None:
        digest = record.file.sha256
        [path] = root.rglob(str(digest))
        path.chmod(0o644)
        path.write_bytes(data)

    return tamper


def _file(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Place:
    return Place(
        lambda: open_remote((tmp_path / "store").as_uri(), settings),
        _tamper_folder(tmp_path / "store"),
    )


def _s3(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Place:
    import boto3

    bucket = request.getfixturevalue("s3_bucket")()

    def tamper(record: Record, data: bytes) -> None:
        digest = record.file.sha256
        boto3.client("s3", region_name="us-east-1").put_object(
            Bucket=bucket, Key=f"zoo/blobs/sha256/{digest[:2]}/{digest}", Body=data
        )

    return Place(lambda: open_remote(f"s3://{bucket}/zoo", settings), tamper)


def _hub(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Place:
    from plugins.hub import TOKEN

    hub = request.getfixturevalue("hub")
    settings = replace(settings, hub_endpoint=hub.url, hub_token=TOKEN)

    def tamper(record: Record, data: bytes) -> None:
        hub.tamper("zoo/digits-cnn", f"{record.variant}/model.tflite", data)

    return Place(lambda: open_remote("hub://zoo/digits-cnn", settings), tamper)


def _http(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Place:
    server = request.getfixturevalue("registry_server")
    return Place(lambda: open_remote(server.url, settings), _tamper_folder(server.folder))


def _embedded(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Place:
    return Place(lambda: open_remote(None, settings), _tamper_folder(settings.home / "registry"))


PLACES = {"file": _file, "s3": _s3, "hub": _hub, "http": _http, "embedded": _embedded}


def test_every_remote_has_a_place_here() -> None:
    assert set(PLACES) == set(REMOTES.names()) - {"https"}, "a new remote needs a place here"


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.s3) if name == "s3" else name for name in PLACES]
)
def place(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Place:
    return PLACES[request.param](request, settings, tmp_path)


@pytest.fixture
def bundle(tmp_path: Path, make_record: Any, blob_bytes: Any) -> Callable[..., Bundle]:
    """Make a bundle whose file is `data`, by default decided by name and version."""

    def build(
        variant: str = "int8", version: str = "1.0.0", data: bytes | None = None, **changes: Any
    ) -> Bundle:
        content = blob_bytes(f"{variant}@{version}", 3000) if data is None else data
        record = make_record(
            variant=variant, version=version, data=content, golden=GOLDEN, **changes
        )
        files = {}
        for part in (content, GOLDEN):
            files[Digest.of(part)] = tmp_path / Digest.of(part)
            files[Digest.of(part)].write_bytes(part)
        return Bundle.of(record.to_bytes(), files)

    return build


def test_what_is_published_is_pulled_byte_for_byte(
    place: Place, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = bundle()
    moved: list[int] = []
    assert place.open().publish(given, moved.append).created
    assert sum(moved) == given.record.file.size + len(GOLDEN)

    remote = place.open()
    release = remote.release(Ref.parse("digits-cnn-int8"))
    assert release.record_bytes == given.record_bytes
    assert release.record_sha256 == given.record_sha256
    pulled = pull(remote, Cache(settings.cache), release, tmp_path / "here.tflite")
    assert Digest.of(pulled.path.read_bytes()) == given.record.file.sha256
    assert given.record.golden is not None
    assert b"".join(remote.fetch(given.record.golden.sha256)) == GOLDEN


def test_publishing_twice_changes_nothing(place: Place, bundle: Any) -> None:
    given = bundle()
    assert place.open().publish(given).created
    published = place.open().release(Ref.parse("digits-cnn-int8@1.0.0")).published
    assert not place.open().publish(given).created
    assert place.open().release(Ref.parse("digits-cnn-int8@1.0.0")).published == published


def test_other_bytes_under_the_same_version_are_refused(place: Place, bundle: Any) -> None:
    place.open().publish(bundle())
    with pytest.raises(ReleaseExists) as refused:
        place.open().publish(bundle(data=b"TFL3 other bytes" * 9))
    assert "bump" in refused.value.hint
    assert place.open().release(Ref.parse("digits-cnn-int8")).record_bytes == bundle().record_bytes


def test_of_two_racing_publishers_one_wins(place: Place, bundle: Any) -> None:
    rivals = [bundle(data=f"TFL3 rival {number} ".encode() * 50) for number in range(2)]

    def attempt(given: Bundle) -> str:
        try:
            return "created" if place.open().publish(given).created else "unchanged"
        except ReleaseExists:
            return "refused"

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(attempt, rivals))
    assert sorted(outcomes) == ["created", "refused"]
    winner = rivals[outcomes.index("created")]
    assert (
        place.open().release(Ref.parse("digits-cnn-int8@1.0.0")).record_bytes == winner.record_bytes
    )


def test_versions_live_side_by_side(
    place: Place, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = [bundle(version=version) for version in ("1.0.0", "1.1.0", "2.0.0")]
    for each in given:
        place.open().publish(each)
    remote = place.open()
    for ref, wanted in (
        ("@1", given[1]),
        ("@1.0.0", given[0]),
        ("", given[2]),
        ("@~1.0", given[0]),
    ):
        release = remote.release(Ref.parse(f"digits-cnn-int8{ref}"))
        assert release.record_bytes == wanted.record_bytes
        assert (
            pull(remote, Cache(settings.cache), release, tmp_path / "x").path.read_bytes()
            == wanted.blobs[wanted.record.file.sha256].read_bytes()
        )
    assert [item.version for item in remote.search(Query()).items] == ["2.0.0"]
    assert len(remote.search(Query(all_versions=True)).items) == 3


def test_search_and_resolve_answer_a_budget(place: Place, bundle: Any) -> None:
    remote = place.open()
    remote.publish(bundle("fp32", technique=None, top1=0.99, medians={"host-cpu": 4.0}))
    remote.publish(bundle("int8", top1=0.97, medians={"host-cpu": 2.0}))
    remote.publish(bundle("tiny", top1=0.90, medians={"host-cpu": 1.0}))
    fitting = remote.search(Query(device="host-cpu", max_latency_ms=2.5, sort="-top1"))
    assert [item.variant for item in fitting.items] == ["int8", "tiny"]
    chosen = remote.resolve(Query(device="host-cpu", max_latency_ms=2.5)).chosen
    assert chosen is not None
    assert chosen.variant == "int8"
    assert [item.variant for item in remote.search(Query(technique="none")).items] == ["fp32"]
    nothing = remote.search(Query(device="host-cpu", max_latency_ms=0.5, min_metrics={"top1": 0.8}))
    assert nothing.items == ()
    assert nothing.near_misses[0].item.variant == "tiny"
    assert remote.resolve(Query(device="host-cpu", max_latency_ms=0.5)).chosen is None


def test_search_comes_in_pages(place: Place, bundle: Any) -> None:
    for variant in ("a", "b", "c"):
        place.open().publish(bundle(variant))
    first = place.open().search(Query(), limit=2)
    assert [item.variant for item in first.items] == ["a", "b"]
    rest = place.open().search(Query(), limit=2, cursor=first.next_cursor)
    assert [item.variant for item in rest.items] == ["c"]
    assert rest.next_cursor is None


def test_a_tampered_blob_is_refused_and_the_old_copy_stays(
    place: Place, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = bundle()
    place.open().publish(given)
    place.tamper(given.record, b"X" * given.record.file.size)
    old = tmp_path / "model.tflite"
    old.write_bytes(b"the old copy")
    remote = place.open()
    with pytest.raises(DigestMismatch) as refused:
        pull(remote, Cache(settings.cache), remote.release(Ref.parse("digits-cnn-int8")), old)
    assert given.record.file.sha256 in refused.value.message
    assert Digest.of(b"X" * given.record.file.size) in refused.value.message
    assert old.read_bytes() == b"the old copy"
    assert list((settings.cache / "blobs").rglob("*.*")) == []


def test_a_pin_that_does_not_match_is_refused(place: Place, bundle: Any) -> None:
    given = bundle()
    place.open().publish(given)
    pin = f"digits-cnn-int8@1.0.0#sha256:{given.record.file.sha256}"
    assert place.open().release(Ref.parse(pin)).record == given.record
    with pytest.raises(DigestMismatch):
        place.open().release(Ref.parse(f"digits-cnn-int8@1.0.0#sha256:{'0' * 64}"))


def test_what_is_not_there_is_not_found_with_a_hint(place: Place, bundle: Any) -> None:
    place.open().publish(bundle())
    for ref in (
        "digits-cnn-int9",
        "digits-cnn-int8@3",
        "digits-cnn-int8@9.9.9",
        "digits-cnn-int8@stable",
    ):
        with pytest.raises(NotFound) as missing:
            place.open().release(Ref.parse(ref))
        assert missing.value.hint
    with pytest.raises(NotFound):
        list(place.open().fetch(Digest.of(b"nobody has this")))


def test_a_yanked_version_is_passed_over_but_can_be_asked_for(place: Place, bundle: Any) -> None:
    remote = place.open()
    for version in ("1.0.0", "1.1.0"):
        remote.publish(bundle(version=version))
    remote.yank("digits-cnn-int8", "1.1.0", "wrong labels")
    remote.yank("digits-cnn-int8", "1.1.0", "again")
    assert remote.release(Ref.parse("digits-cnn-int8")).record.version == "1.0.0"
    assert [item.version for item in remote.search(Query()).items] == ["1.0.0"]
    exact = remote.release(Ref.parse("digits-cnn-int8@1.1.0"))
    assert (exact.yanked, exact.yank_reason) == (True, "wrong labels")
    with pytest.raises(Yanked, match="wrong labels"):
        find(remote, Ref.parse("digits-cnn-int8@1.1.0"))
    remote.yank("digits-cnn-int8", "1.0.0", "all of it")
    with pytest.raises(Yanked):
        remote.release(Ref.parse("digits-cnn-int8"))


def test_an_alias_moves_and_points_where_it_was_put(place: Place, bundle: Any) -> None:
    remote = place.open()
    for version in ("1.0.0", "1.1.0"):
        remote.publish(bundle(version=version))
        remote.promote("digits-cnn-int8", "stable", version)
    remote.promote("digits-cnn-int8", "stable", "1.0.0")
    release = remote.release(Ref.parse("digits-cnn-int8@stable"))
    assert (release.record.version, release.aliases) == ("1.0.0", ("stable",))
    shown = remote.search(Query(all_versions=True)).items
    assert {item.version: item.aliases for item in shown} == {"1.0.0": ("stable",), "1.1.0": ()}
    with pytest.raises(NotFound):
        remote.promote("digits-cnn-int8", "stable", "7.0.0")
    with pytest.raises(WrongUse):
        remote.promote("digits-cnn-int8", "latest", "1.0.0")


def test_a_measurement_is_added_to_the_very_file(
    place: Place, bundle: Any, make_measurement: Any
) -> None:
    remote = place.open()
    given = bundle()
    remote.publish(given)
    phone = make_measurement(given.record.file.sha256, device="phone", median=9.0)
    remote.add_measurement("digits-cnn-int8", "1.0.0", phone)
    remote.add_measurement("digits-cnn-int8", "1.0.0", phone)
    release = remote.release(Ref.parse("digits-cnn-int8"))
    assert release.added == (phone,)
    assert release.record_bytes == given.record_bytes
    [found] = remote.search(Query(device="phone", max_latency_ms=10)).items
    assert found.timing("phone", 1) is not None
    with pytest.raises(InvalidRecord):
        remote.add_measurement(
            "digits-cnn-int8", "1.0.0", make_measurement(Digest.of(b"another file"))
        )


def test_fetch_goes_on_from_any_byte(place: Place, bundle: Any) -> None:
    given = bundle()
    place.open().publish(given)
    whole = given.blobs[given.record.file.sha256].read_bytes()
    for start in (0, 1, 1700, len(whole) - 1):
        assert b"".join(place.open().fetch(given.record.file.sha256, start=start)) == whole[start:]
