"""`zoo build` as people use it, on a tiny model.

Build, build again, change one thing, interrupt, go on.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.running.stage_cache import StageCache
from zoo_registry.model.record import Record

pytestmark = [pytest.mark.train, pytest.mark.slow]
MANIFEST = "manifests/tiny.yaml"
PATIENCE_S = 240
SPARSE = "  sparse:\n    - prune: {final: 0.5, epochs: 1}"


def built(zoo: Any, *arguments: str) -> dict[str, Any]:
    done = zoo("build", MANIFEST, "--json", *arguments, timeout=PATIENCE_S * 2)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def results(zoo: Any) -> dict[str, float]:
    """Fingerprint → when its result was made."""
    return {
        note.parent.name: note.stat().st_mtime
        for note in (zoo.folder / ".zoo/cache/stages").glob("??/*/stage.json")
    }


def edit(zoo: Any, old: str, new: str) -> None:
    path = zoo.folder / MANIFEST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_family_is_built_kept_published_and_only_changed_where_it_changed(zoo: Any) -> None:
    found = built(zoo, "--no-benchmark", "--to", f"file://{zoo.folder}/shelf")
    assert {item["variant"]: item["ok"] for item in found["built"]} == {
        "fp32": True,
        "fp16": True,
        "sparse": True,
        "sparse-fp16": True,
    }
    assert [item["created"] for item in found["published"]] == [True] * 4
    for item in found["built"]:
        record = Record.read((Path(item["folder"]) / "record.json").read_bytes())
        assert {path.name for path in Path(item["folder"]).iterdir()} == {
            f"{record.name}.tflite",
            "record.json",
            "golden.npz",
            "bundle.json",
        }
    first = results(zoo)
    _again_without_tensorflow(zoo, first)
    _one_variant(zoo, first)
    _cosmetics(zoo)


def _again_without_tensorflow(zoo: Any, first: dict[str, float]) -> None:
    code = (
        "import sys; from zoo_client.cli import run; code = run(sys.argv[1:]);print(code,"
        " sorted({'tensorflow', 'tf_keras', 'ai_edge_litert', 'sklearn'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "build", MANIFEST, "--no-benchmark"]
    done = subprocess.run(
        command, cwd=zoo.folder, env=dict(zoo.env), capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "0 []"
    assert results(zoo) == first
    told = zoo("build", MANIFEST, "--no-benchmark", "--tensorboard", "curves").stderr
    assert "nothing is trained and nothing written to curves" in told


def _one_variant(zoo: Any, first: dict[str, float]) -> None:
    edit(zoo, SPARSE, SPARSE.replace("epochs: 1", "epochs: 2"))
    built(zoo, "--no-benchmark")
    notes = StageCache(zoo.folder / ".zoo/cache/stages")
    fresh = [notes.note(fingerprint).stage for fingerprint in set(results(zoo)) - set(first)]
    assert sorted(stage["name"] for stage in fresh) == [
        "convert sparse",
        "evaluate",
        "inspect sparse",
        "prune",
    ]
    assert notes.verify() == ()


def _cosmetics(zoo: Any) -> None:
    """A comment leaves the record as it is, so publishing again is no change.

    A raised version is a new release.
    """
    shelf = f"file://{zoo.folder}/shelf"
    edit(zoo, "schema:", "# a comment\nschema:")
    again = built(zoo, "--no-benchmark", "--variant", "fp16", "--to", shelf)
    assert [item["created"] for item in again["published"]] == [False]
    edit(zoo, "1.0.0", "1.0.1")
    raised = built(zoo, "--no-benchmark", "--variant", "fp16", "--to", shelf)
    assert [(item["version"], item["created"]) for item in raised["published"]] == [("1.0.1", True)]


def test_goals_fail_their_variant_and_let_the_others_go_on(zoo: Any) -> None:
    edit(
        zoo,
        "benchmark:",
        "goals:\n  size: {max: 1 kB, for: fp16}\n  top1: {max_drop: 1.0, versus: fp32}\nbenchmark:",
    )
    done = zoo(
        "build",
        MANIFEST,
        "--no-benchmark",
        "--variant",
        "fp16",
        "--variant",
        "fp32",
        "--json",
        timeout=PATIENCE_S,
    )
    found = {item["variant"]: item for item in json.loads(done.stdout)["built"]}
    assert done.returncode == 1
    assert (found["fp32"]["ok"], found["fp16"]["ok"]) == (True, False)
    assert "size max 1 kB" in found["fp16"]["error"]
    allowed = zoo(
        "build",
        MANIFEST,
        "--no-benchmark",
        "--variant",
        "fp16",
        "--allow-missed",
        "--json",
        timeout=PATIENCE_S,
    )
    assert allowed.returncode == 0
    goals = json.loads(allowed.stdout)["built"][0]["record"]["goals"]
    assert {goal["goal"].split()[0]: goal["met"] for goal in goals} == {"size": False, "top1": True}


def start(zoo: Any) -> "subprocess.Popen[str]":
    """Start a build in a process group of its own and wait until it trains."""
    command = [
        sys.executable,
        "-c",
        "from zoo_client.cli import main; main()",
        "build",
        MANIFEST,
        "--no-benchmark",
        "--variant",
        "fp32",
    ]
    listens = {
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    }  # background jobs of a shell are started deaf to Ctrl-C
    process = subprocess.Popen(
        command,
        cwd=zoo.folder,
        env=dict(zoo.env),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **listens,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "base" in line:
            break
    time.sleep(1)
    return process


def alone(group: int) -> bool:
    """Whether nobody of a process group is left."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def goes_on(zoo: Any, before: dict[str, float]) -> None:
    """The same command finishes from the last stage, and the cache is whole."""
    built(zoo, "--no-benchmark", "--variant", "fp32")
    after = results(zoo)
    assert before
    assert {fingerprint: after[fingerprint] for fingerprint in before} == before
    assert StageCache(zoo.folder / ".zoo/cache/stages").verify() == ()
    assert list((zoo.folder / ".zoo/cache/stages").glob("??/.*.tmp")) == []


def test_kill_in_the_middle_of_training_then_go_on(zoo: Any) -> None:
    edit(zoo, "epochs: 1, batch_size", "epochs: 60, batch_size")
    process = start(zoo)
    process.kill()
    process.communicate()
    assert alone(process.pid)
    goes_on(zoo, results(zoo))


def test_ctrl_c_leaves_the_cache_whole_and_says_how_to_go_on(zoo: Any) -> None:
    edit(zoo, "epochs: 1, batch_size", "epochs: 60, batch_size")
    process = start(zoo)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert f"zoo build {MANIFEST} --no-benchmark --variant fp32" in words
    assert list((zoo.folder / ".zoo/cache/stages").glob("??/.*.tmp")) == []
    goes_on(zoo, results(zoo))
