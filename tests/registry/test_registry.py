"""Keeping house: rebuild, verify, collect; and crashes between store and catalogue."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from typer.testing import CliRunner

from plugins.registry_server import stock
from zoo_registry.app import open_registry
from zoo_registry.catalogue import Catalogue, migrations
from zoo_registry.catalogue.engine import reading, writing
from zoo_registry.commands.registry import app as command
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import AnswerIsNo, Unreachable, Unsupported, WrongUse
from zoo_registry.model.query import Query
from zoo_registry.model.record import Record
from zoo_registry.registry import Registry
from zoo_registry.settings import Settings
from zoo_registry.stores import layout

Fill = Callable[..., Record]


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    opened = open_registry(settings)
    yield opened
    opened.close()


@pytest.fixture
def fill(registry: Registry, make_record: Fill, blob_bytes: Callable[..., bytes]) -> Fill:
    """Publish a record with the given changes."""

    def doing(**changes: object) -> Record:
        record = make_record(**changes)
        return stock(registry, record, blob_bytes(f"{record.name}@{record.version}"))

    return doing


def damage(folder: Path, digest: Digest) -> None:
    path = folder / "blobs" / "sha256" / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(b"#" + path.read_bytes()[1:])


def test_the_catalogue_is_rebuilt_from_the_store(registry: Registry, fill: Fill) -> None:
    for variant, version in (("int8", "1.0.0"), ("int8", "1.1.0"), ("fp16", "1.0.0")):
        fill(variant=variant, version=version)
    registry.set_alias("digits-cnn-int8", "stable", "1.0.0")
    registry.yank("digits-cnn-fp16", "1.0.0", "wrong")
    everything = Query(all_versions=True, yanked=True)
    before = registry.search(everything)
    registry.catalogue.rebuild(list)
    assert registry.search(everything).items == ()
    assert registry.reindex().releases == 3
    assert registry.search(everything) == before
    assert sorted(layout.index(registry.store), key=str) == sorted(before.items, key=str)


def test_a_write_reads_and_writes_only_what_it_touches(
    registry: Registry, fill: Fill, make_measurement: Callable[..., object], folder: Path
) -> None:
    first, second, third = (fill(version=version) for version in ("1.0.0", "1.1.0", "1.2.0"))
    registry.set_alias(first.name, "stable", "1.0.0")
    damage(folder, Digest.of(third.to_bytes()))
    added = make_measurement(second.file.sha256, device="web-wasm").model_dump_json().encode()  # type: ignore[attr-defined]
    registry.add_measurement(second.name, "1.1.0", added)
    registry.set_alias(second.name, "stable", "1.1.0")
    assert registry.yank(second.name, "1.1.0", "wrong") == "wrong"
    assert registry.yank(second.name, "1.1.0", "again") == "wrong"
    found = {item.version: item for item in registry.versions(first.name)}
    assert {version: (item.aliases, item.yanked) for version, item in found.items()} == {
        "1.2.0": ((), False),
        "1.1.0": (("stable",), True),
        "1.0.0": ((), False),
    }, "the row of a version that no longer reads stays until the catalogue is rebuilt"
    assert "web-wasm" in {timing.device for timing in found["1.1.0"].timings}
    assert [item.version for item in registry.search(Query()).items] == ["1.2.0"]
    assert registry.reindex().releases == 2
    assert [item.version for item in registry.search(Query()).items] == ["1.0.0"]
    assert [item.version for item in registry.search(Query(yanked=True)).items] == ["1.1.0"]


def test_a_listing_tells_machines_apart(registry: Registry, fill: Fill) -> None:
    record = fill()
    (timing,), (said,) = registry.versions(record.name)[0].timings, record.measurements
    assert (timing.runtime, timing.runtime_version) == (said.runtime, said.runtime_version)
    assert (timing.host_cpu, timing.host_fingerprint) == (said.host.cpu, said.host.fingerprint)


def test_publishing_again_heals_a_crash_before_the_catalogue(
    registry: Registry, fill: Fill
) -> None:
    record = fill()
    registry.catalogue.rebuild(list)
    assert not registry.publish(record.to_bytes()).created
    assert [item.name for item in registry.search(Query()).items] == [record.name]


def test_a_failing_rebuild_changes_nothing(registry: Registry, fill: Fill) -> None:
    fill()

    def broken() -> list[object]:
        raise Unreachable("the store went away")

    with pytest.raises(Unreachable):
        registry.catalogue.rebuild(broken)  # type: ignore[arg-type]
    assert len(registry.search(Query()).items) == 1


def test_damage_is_found(registry: Registry, fill: Fill, folder: Path) -> None:
    good, bad, gone = fill(), fill(variant="bad"), fill(variant="gone")
    assert registry.verify().whole
    damage(folder, bad.file.sha256)
    registry.store.delete(gone.file.sha256)
    found = registry.verify()
    assert (found.damaged, found.missing, found.broken) == (
        (bad.file.sha256,),
        {gone.file.sha256: "digits-cnn-gone@1.0.0"},
        {},
    )
    damage(folder, Digest.of(good.to_bytes()))
    assert list(registry.verify().broken) == ["digits-cnn-int8@1.0.0"]
    assert list(registry.reindex().broken) == ["digits-cnn-int8@1.0.0"]
    with pytest.raises(AnswerIsNo, match="int8"):
        registry.collect(grace_s=0)


def test_garbage_is_what_nothing_needs(
    registry: Registry, fill: Fill, make_measurement: Callable[..., object], folder: Path
) -> None:
    record = fill()
    added = make_measurement(record.file.sha256, device="web-wasm").model_dump_json().encode()  # type: ignore[attr-defined]
    registry.add_measurement(record.name, record.version, added)
    kept = {info.digest for info in registry.store.digests()}
    assert len(kept) == 3
    garbage = Digest.of(b"garbage")
    registry.store.put([b"garbage"], garbage)
    assert registry.collect().blobs == (), "younger than the grace"
    path = folder / "blobs" / "sha256" / garbage[:2] / garbage
    os.utime(path, (1, 1))
    assert registry.collect(dry_run=True).blobs == (garbage,)
    assert path.exists()
    assert registry.collect().blobs == (garbage,)
    assert {info.digest for info in registry.store.digests()} == kept
    assert registry.verify().whole


def test_uploads_that_stand_still_are_swept(registry: Registry, folder: Path) -> None:
    begun = registry.uploads.begin(Digest.of(b"1234"), 4)
    with registry.uploads.receiving(begun.id, 0) as part:
        part.write(b"12")
    assert registry.collect().uploads == 0
    assert registry.collect(grace_s=0).uploads == 1
    assert list((folder / "uploads").iterdir()) == []


def test_two_senders_of_one_upload(registry: Registry) -> None:
    begun = registry.uploads.begin(Digest.of(b"1234"), 4)
    with (
        registry.uploads.receiving(begun.id, 0),
        pytest.raises(AnswerIsNo, match="another"),
        registry.uploads.receiving(begun.id, 0),
    ):
        pass


def test_a_database_of_a_newer_program_is_refused(folder: Path) -> None:
    with Catalogue(str(folder / "zoo.db")) as catalogue, writing(catalogue.engine) as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    with pytest.raises(Unsupported, match="99"):
        Catalogue(str(folder / "zoo.db"))


def test_an_older_database_is_brought_forward(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue(str(folder / "zoo.db")).close()

    def step(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE tokens ADD COLUMN used TEXT"))

    now = migrations.VERSION
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, step))
    monkeypatch.setattr(migrations, "VERSION", now + 1)
    for expected in ((now, now + 1), (now + 1, now + 1)):
        with (
            Catalogue(str(folder / "zoo.db")) as catalogue,
            reading(catalogue.engine) as connection,
        ):
            assert catalogue.migrated == expected
            assert connection.execute(text("SELECT used FROM tokens")).all() == []


VERSION_1 = (
    "CREATE TABLE releases (id INTEGER PRIMARY KEY, name TEXT, version TEXT, summary TEXT)",
    "CREATE TABLE techniques (release_id INTEGER REFERENCES releases (id), technique TEXT)",
    "CREATE TABLE metrics (release_id INTEGER REFERENCES releases (id), metric TEXT, value REAL)",
    "CREATE TABLE timings (release_id INTEGER REFERENCES releases (id), device TEXT)",
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    "INSERT INTO schema_version (version) VALUES (1)",
)
LATER = {"scores", "labels"}


def older(folder: Path, registry: Registry) -> None:
    """Make the catalogue one that the first version of the program wrote."""
    items = registry.search(Query(all_versions=True, yanked=True)).items
    registry.close()
    for path in folder.glob("zoo.db*"):
        path.unlink()
    with create_engine(f"sqlite:///{folder / 'zoo.db'}").begin() as connection:
        for statement in VERSION_1:
            connection.execute(text(statement))
        for item in items:
            kept = item.model_dump_json(exclude=LATER)
            row = {"n": item.name, "v": item.version, "s": kept}
            connection.execute(
                text("INSERT INTO releases (name, version, summary) VALUES (:n, :v, :s)"), row
            )


def test_a_catalogue_of_the_first_version_answers_as_before_and_learns_what_came_since(
    registry: Registry, fill: Fill, folder: Path, settings: Settings
) -> None:
    for version in ("1.0.0", "1.1.0"):
        fill(version=version)
    before = registry.search(Query())
    older(folder, registry)
    with Catalogue(settings.db) as catalogue:
        assert catalogue.migrated == (1, migrations.VERSION)
        assert catalogue.behind
        asked = Query(device="host-cpu", min_metrics={"top1": 0.9})
        assert [item.version for item in catalogue.page(asked, limit=5)[0]] == ["1.1.0"]
    opened = open_registry(settings)
    assert not opened.catalogue.behind
    assert opened.search(Query()) == before
    opened.close()


def test_a_failing_step_leaves_the_old_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue(str(folder / "zoo.db")).close()

    def step(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE tokens ADD COLUMN used TEXT"))
        raise Unreachable("the power went out")

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, step))
    monkeypatch.setattr(migrations, "VERSION", migrations.VERSION + 1)
    with pytest.raises(Unreachable, match="power"):
        Catalogue(str(folder / "zoo.db"))
    monkeypatch.undo()
    with Catalogue(str(folder / "zoo.db")) as catalogue, reading(catalogue.engine) as connection:
        assert "used" not in {
            column["name"] for column in inspect(connection).get_columns("tokens")
        }


def test_a_file_that_is_no_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "zoo.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Unreachable):
        Catalogue(str(folder / "zoo.db"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "x"),
        ("PUBLIC_READS", "maybe"),
        ("MAX_BLOB", "0"),
        ("PRESIGN", "-1"),
    ],
)
def test_settings_name_the_variable(name: str, value: str) -> None:
    with pytest.raises(WrongUse, match=f"ZOO_{name}"):
        Settings.read({f"ZOO_{name}": value})


def test_settings_are_read() -> None:
    read = Settings.read(
        {"ZOO_MAX_BLOB": "4MiB", "ZOO_PUBLIC_READS": "false", "ZOO_PORT": "1", "OTHER": "x"},
        port=2,
        host=None,
    )
    assert (read.max_blob, read.public_reads, read.port, read.host) == (
        4 << 20,
        False,
        2,
        "127.0.0.1",
    )


def test_the_commands(registry: Registry, fill: Fill, folder: Path) -> None:
    record = fill()
    runner, where = CliRunner(), ["--db", str(folder / "zoo.db"), "--store", str(folder), "--json"]
    for verb, expected in (
        ("reindex", '"releases": 1'),
        ("verify", '"damaged": []'),
        ("gc", '"blobs": []'),
    ):
        result = runner.invoke(command, [verb, *where])
        assert (result.exit_code, expected in result.output) == (0, True), result.output
    assert (
        runner.invoke(command, ["migrate", *where[:2]]).output
        == f"schema version {migrations.VERSION}\n"
    )
    made = runner.invoke(command, ["token", "create", "--scope", "publish", "--db", where[1]])
    assert made.output.startswith("zoo_")
    assert "publish" in runner.invoke(command, ["token", "list", "--db", where[1]]).output
    damage(folder, record.file.sha256)
    result = runner.invoke(command, ["verify", *where])
    assert (result.exit_code, record.file.sha256 in result.output) == (1, True)
