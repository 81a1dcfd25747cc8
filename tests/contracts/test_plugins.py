"""A plugin is one file, of the zoo or of another distribution: one of each kind is added and used.

The distribution is a folder on the path with its entry points, as pip leaves it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_client.inventory import kinds
from zoo_registry.model import plugins
from zoo_registry.stores.local import LocalStore

SOURCE = Path(__file__).parents[1] / "plugins" / "foreign.py"
ENTRIES = {
    "networks": "stripes_net = example_plugins:stripes_net",
    "data": "stripes = example_plugins:STRIPES",
    "techniques": "nudge = example_plugins:NUDGE",
    "algorithms": "sign = example_plugins:SIGN",
    "metrics": "best_recall = example_plugins:BEST",
    "tasks": "stripe-reading = example_plugins:READING",
    "devices": "stopwatch = example_plugins:WATCH",
    "weights": "ones = example_plugins:ONES",
    "stores": "crate = example_plugins:Crate",
    "remotes": "crate = example_plugins:crate_remote",
    "commands": "greet = example_plugins:greet",
}
MANIFEST = """\
schema: edgezoo/v1
model: stripes
version: 1.0.0
task: stripe-reading
license: apache-2.0
description: Two patterns of stripes.
base:
  network: stripes_net
  train: {epochs: 1, batch_size: 50, seed: 1}
  weights: {source: ones, fine_tune: 1}
data:
  source: stripes
  splits: {train: train, validation: test, test: test, calibration: 'train[:50]'}
  max_overlap: 1
  preprocess:
    - rescale: [-1, 1]
variants:
  fp32: []
  nudged:
    - nudge: {by: 0.1}
  signed:
    - sign: {epochs: 0}
goals:
  best_recall: {min: 0.01}
benchmark: {devices: [stopwatch], runs: 10, rounds: 5, warmup: 5}
"""
pytestmark = pytest.mark.process
Zoo = Callable[..., subprocess.CompletedProcess[str]]


def install(root: Path, name: str, source: str, entries: dict[str, str]) -> None:
    """Leave a distribution under `root` as pip does: a module, its metadata, its entry points."""
    (root / f"{name}.py").write_text(source)
    info = root / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\nSummary: Made up.\n"
    )
    groups = (f"[edgezoo.{group}]\n{entry}\n" for group, entry in entries.items())
    (info / "entry_points.txt").write_text("\n".join(groups))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The distribution with one plugin of each kind."""
    return installed(tmp_path)


def installed(root: Path) -> Path:
    folder = root / "site"
    folder.mkdir()
    install(folder, "example_plugins", SOURCE.read_text() + "\nSIGN = Sign()\n", ENTRIES)
    return folder


@pytest.fixture
def zoo(tmp_path: Path, site: Path) -> Zoo:
    return command(tmp_path, site)


def command(home: Path, site: Path) -> Zoo:
    """Run the real command beside that folder, in a project of its own."""
    (home / ".zoo").mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith("ZOO_")}
    env |= {"PYTHONPATH": str(site), "ZOO_CACHE": str(home / "cache"), "NO_COLOR": "1"}
    env |= {"XDG_STATE_HOME": str(home / "state")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        code = "from zoo_client.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            check=False,
            env=env,
            cwd=home,
        )

    return run


def rows(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kind_is_tried_here() -> None:
    assert set(ENTRIES) == {*kinds(), "commands"}


@pytest.mark.parametrize("kind", [kind for kind in ENTRIES if kind != "commands"])
def test_a_plugin_of_each_kind_is_listed(zoo: Zoo, kind: str) -> None:
    done = zoo("list", kind, "--json")
    listed = {row["name"]: row["about"] for row in rows(done)}
    assert listed[ENTRIES[kind].partition(" ")[0]]
    assert done.stderr == ""
    assert kind != "techniques" or {"nudge", "sign", "svd", "prune"} <= set(listed)


def test_a_verb_is_listed_and_runs(zoo: Zoo) -> None:
    said = zoo("--help").stdout
    assert "greet      Made up. (example_plugins 1.5)" in said
    assert zoo("greet", "--name", "stranger").stdout == "hello stranger\n"
    assert "--name" in zoo("greet", "--help").stdout
    assert "zoo greet" in zoo("greeet").stderr


def test_a_device_is_found(zoo: Zoo) -> None:
    assert "stopwatch" in zoo("devices").stdout


def test_a_manifest_plans_with_all_of_them(zoo: Zoo, tmp_path: Path, site: Path) -> None:
    (tmp_path / "stripes.yaml").write_text(MANIFEST)
    assert zoo("validate", "stripes.yaml").returncode == 0
    before = fingerprints(rows(zoo("plan", "stripes.yaml", "--json")))
    assert fingerprints(rows(zoo("plan", "stripes.yaml", "--json"))) == before
    module = site / "example_plugins.py"
    module.write_text(module.read_text() + "\nCHANGED = 1\n")
    after = fingerprints(rows(zoo("plan", "stripes.yaml", "--json")))
    changed = {name for name in before if before[name] != after[name]}
    assert {"data", "base", "nudge", "evaluate"} <= {name.split()[0] for name in changed}
    (site / "example_plugins-1.5.dist-info").rename(site / "example_plugins-1.6.dist-info")
    newer = site / "example_plugins-1.6.dist-info" / "METADATA"
    newer.write_text(newer.read_text().replace("1.5", "1.6"))
    assert fingerprints(rows(zoo("plan", "stripes.yaml", "--json")))["data"] != after["data"]


def fingerprints(plans: Any) -> dict[str, str]:
    return {
        stage["name"]: stage["fingerprint"] for plan in plans["plans"] for stage in plan["stages"]
    }


def test_a_store_and_a_remote_are_written_and_read(
    zoo: Zoo, tmp_path: Path, make_record: Any, blob_bytes: Any
) -> None:
    from zoo_client.remotes.base import Bundle
    from zoo_client.remotes.store import StoreRemote
    from zoo_client.settings import Settings

    data = blob_bytes("x", 3000)
    (tmp_path / "x.tflite").write_bytes(data)
    record = make_record(data=data)
    place = tmp_path / "crate"
    bundle = Bundle.of(record.to_bytes(), {record.file.sha256: tmp_path / "x.tflite"})
    StoreRemote(place.as_uri(), Settings.read()).publish(bundle)
    url = f"crate://{place}"
    assert rows(zoo("promote", record.name, "--to", "stable", "--from", url, "--json"))
    assert LocalStore(place.as_uri()).load(f"aliases/{record.name}/stable.json")
    pulled = rows(zoo("pull", f"{record.name}@stable", "--from", url, "--to", "y", "--json"))
    assert pulled["sha256"] == record.file.sha256
    assert (tmp_path / "y").read_bytes() == data


@pytest.mark.train
@pytest.mark.slow
def test_all_of_them_make_published_files(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "stripes.yaml").write_text(MANIFEST)
    place = f"crate://{tmp_path / 'crate'}"
    built = zoo("build", "stripes.yaml", "--publish", "--to", place)
    assert built.returncode == 0, built.stdout + built.stderr
    found = {
        item["variant"]: item for item in rows(zoo("search", "--from", place, "--json"))["items"]
    }
    assert set(found) == {"fp32", "nudged", "signed"}
    assert "best_recall" in json.dumps(found["nudged"])
    assert "stopwatch" in json.dumps(found["nudged"])


BROKEN = {
    "cannot_import": ("import nothing_of_this_name\n", "tasks", "x", "ModuleNotFoundError"),
    "wrong_type": ("X = 3\n", "techniques", "x", "expected a Technique, found 3"),
    "wrong_members": ("X = object()\n", "tasks", "x", "it has no decide, metrics, name, score"),
    "a_class": ("class X: name = 'x'\n", "devices", "x", "expected a Device, found <class"),
    "nothing_callable": ("X = 3\n", "networks", "x", "expected a function or class"),
    "taken_by_the_zoo": ("X = print\n", "stores", "file", "another store has that name"),
    "its_module_takes": (
        "from zoo_builders.tasks import TASKS\nTASKS.add('fidelity', 1)\nX = 3\n",
        "metrics",
        "x",
        "it is no Metric",
    ),
    "ends_the_process": ("raise SystemExit(7)\n", "data", "x", "SystemExit"),
    "taken_as_algorithm": (
        SOURCE.read_text() + "\nX = Sign()\n",
        "algorithms",
        "prune",
        "has that",
    ),
}


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """The command beside all that is broken."""
    root = tmp_path_factory.mktemp("sick")
    site = installed(root)
    for case, (source, group, name, _) in BROKEN.items():
        install(site, case, source, {group: f"{name} = {case}:X"})
    return command(root, site)


@pytest.fixture(scope="module")
def checked(sick: Zoo) -> str:
    """What the doctor says of it."""
    found = sick("doctor", "--json")
    assert found.returncode == 1
    return found.stdout


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_named_and_breaks_nothing(sick: Zoo, checked: str, case: str) -> None:
    _, group, name, why = BROKEN[case]
    kind = "techniques" if group == "algorithms" else group
    done = sick("list", kind, "--json")
    listed = {row["name"] for row in rows(done)}
    assert ENTRIES[kind].partition(" ")[0] in listed
    assert (name in listed) == case.startswith("taken_")
    [said] = [line for line in done.stderr.splitlines() if f"{name!r} of {case} cannot" in line]
    assert why in said
    assert f"pip install --upgrade {case}" in done.stderr
    assert said in [row["found"] for row in json.loads(checked)]


def test_a_kind_without_broken_plugins_says_nothing_of_others(sick: Zoo) -> None:
    done = sick("list", "remotes")
    assert (done.returncode, done.stderr) == (0, "")


def test_two_distributions_with_one_name_are_told_apart(zoo: Zoo, site: Path) -> None:
    install(site, "second", "X = print\n", {"networks": "stripes_net = second:X"})
    assert "'stripes_net' of second cannot be used" in zoo("list", "networks").stderr


def test_a_manifest_that_asks_for_a_broken_plugin_is_told_whose_it_is(
    zoo: Zoo, site: Path, tmp_path: Path
) -> None:
    install(site, "sick", "1 / 0\n", {"techniques": "sick = sick:X"})
    (tmp_path / "stripes.yaml").write_text(MANIFEST.replace("nudge: {by: 0.1}", "sick: {}"))
    done = zoo("validate", "stripes.yaml")
    assert done.returncode == 2
    assert "'sick' of sick cannot be used: ZeroDivisionError" in done.stdout + done.stderr


def test_a_broken_verb_is_told_when_it_is_typed(zoo: Zoo, site: Path) -> None:
    install(site, "ill", "1 / 0\n", {"commands": "ill = ill:X"})
    assert "  ill " in zoo("--help").stdout
    done = zoo("ill")
    assert (done.returncode, "verb 'ill' of ill cannot be used" in done.stderr) == (2, True)


ODD = {
    "with_an_extra": ("[edgezoo.networks]\nodd = odd:X [gpu]\n", "X = print\n"),
    "windows_lines": ("[x]\r\ny = z:Z\r\n\r\n[edgezoo.networks]\r\nodd = odd:X\r\n", "X = print\n"),
    "an_attribute": ("[edgezoo.networks]\nodd = odd:X.y\n", "class X:\n    y = print\n"),
    "prints": ("[edgezoo.networks]\nodd = odd:X\n", "print('hello')\nX = print\n"),
    "warns": (
        "[edgezoo.networks]\nodd = odd:X\n",
        "import warnings as w\nw.warn('old')\nX = print\n",
    ),
    "lists_its_kind": (
        "[edgezoo.networks]\nodd = odd:X\n",
        "from zoo_builders.networks.shipped import NETWORKS as N\nN.names()\nX = print\n",
    ),
}


@pytest.mark.parametrize("info", ["dist-info", "egg-info"])
@pytest.mark.parametrize("case", ODD)
def test_an_odd_distribution_is_read_all_the_same(case: str, info: str, tmp_path: Path) -> None:
    entries, source = ODD[case]
    site = installed(tmp_path)
    (site / "odd.py").write_text(source)
    folder = site / f"odd-1.0.{info}"
    folder.mkdir()
    meta = "METADATA" if info == "dist-info" else "PKG-INFO"
    (folder / meta).write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_bytes(entries.encode())
    assert "odd" in {
        row["name"] for row in rows(command(tmp_path, site)("list", "networks", "--json"))
    }


def test_entry_points_that_cannot_be_read_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd-1.0.dist-info/entry_points.txt").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    plugins._entries.cache_clear()
    try:
        assert plugins.foreign("task", "tasks") == ()
    finally:
        plugins._entries.cache_clear()
