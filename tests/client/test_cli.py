"""The command line: instant help, one boundary for errors, exit codes that mean something.

JSON for machines.
"""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from zoo_client import inventory
from zoo_registry.model.digest import Digest

HEAVY = (
    "pydantic",
    "httpx",
    "rich",
    "fastapi",
    "sqlalchemy",
    "tensorflow",
    "numpy",
    "boto3",
    "huggingface_hub",
    "ai_edge_litert",
)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from zoo_client.cli import run; run(['--help']); print(*[m for m in"
        " sys.argv[1:] if m in sys.modules], sep=',')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("the other side failed."), done.stdout.splitlines()[-1]


def test_help_is_close_to_an_empty_python() -> None:
    def best(*command: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    # An empty Python plus typer: what is left is ours. Compared on the same machine at the same
    # time, not with a clock.
    floor = best(sys.executable, "-c", "import typer.core, typer.main")
    assert best(sys.executable, "-c", "from zoo_client.cli import run; run(['--help'])") < 3 * floor


def test_help_names_every_verb_and_fits_80_columns(zoo: Any) -> None:
    code, out, _ = zoo("--help")
    assert code == 0
    for verb in inventory.shipped():
        assert f"  {verb} " in out
    assert max(map(len, out.splitlines())) <= 80
    assert zoo() == zoo("--help")


def test_an_unknown_verb_suggests_the_nearest(zoo: Any) -> None:
    code, _, err = zoo("serch")
    assert code == 2
    assert "zoo search" in err


@pytest.mark.parametrize(
    "words",
    [
        ["pull", "--nonsense"],
        ["pull", "x", "--max-latency", "fast"],
        ["show"],
        ["cache"],
        ["pull"],
        ["pull", "UPPER"],
    ],
)
def test_wrong_use_is_exit_code_2_with_a_hint(zoo: Any, words: list[str]) -> None:
    code, out, err = zoo(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert "hint: " in err


def test_with_json_an_error_is_a_problem_document(zoo: Any) -> None:
    code, out, err = zoo("show", "nobody-has-this", "--json")
    problem = json.loads(out)
    assert code == 1
    assert (problem["status"], problem["exit_code"], problem["title"]) == (404, 1, "Not found")
    assert problem["hint"]
    assert err.startswith("error: ")


def test_the_other_side_failing_is_exit_code_3(
    zoo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    code, _, err = zoo("search", "--from", (tmp_path / "file" / "store").as_uri())
    assert code in (0, 1)
    monkeypatch.setenv("ZOO_REGISTRY", "gopher://old")
    code, _, err = zoo("search")
    assert code == 2
    assert "gopher" in err


def test_what_nobody_foresaw_is_filed_with_its_traceback(
    zoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_client import remotes

    monkeypatch.setattr(remotes, "EMBEDDED", None)
    monkeypatch.setattr("zoo_client.commands.search.open_remote", lambda *_: 1 / 0)
    code, out, err = zoo("search")
    assert (code, out) == (3, "")
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    [path] = [word for word in err.split() if word.endswith(".txt")]
    assert "Traceback" in Path(path).read_text()
    monkeypatch.setenv("ZOO_TRACEBACK", "1")
    assert "Traceback" in zoo("search")[2]


def test_a_missing_package_is_named_as_the_extra_that_brings_it(
    zoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("zoo_registry.stores.s3")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "boto3", None)
    code, _, err = zoo("search", "--from", "s3://bucket/x")
    assert code == 2
    assert "pip install 'edgezoo[s3]'" in err


def test_search_pull_and_verify_tell_machines_everything(
    zoo: Any, remote: Any, bundle: Any, tmp_path: Path
) -> None:
    given = bundle()
    remote.publish(given)
    code, out, _ = zoo("search", "--task", "image-classification", "--min-top1", "0.9", "--json")
    assert code == 0
    assert [item["name"] for item in json.loads(out)["items"]] == ["digits-cnn-int8"]
    code, out, _ = zoo("pull", "digits-cnn-int8", "--json", "--record")
    pulled = json.loads(out)
    assert code == 0
    assert (
        pulled["sha256"]
        == given.record.file.sha256
        == Digest.of((tmp_path / pulled["path"]).read_bytes())
    )
    assert (tmp_path / "digits-cnn-int8.tflite.record.json").read_bytes() == given.record_bytes
    assert pulled["record_sha256"] == given.record_sha256
    assert pulled["from"] == remote.url
    code, out, _ = zoo("verify", "digits-cnn-int8.tflite", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)


def test_pull_by_budget_says_why(zoo: Any, remote: Any, bundle: Any) -> None:
    remote.publish(bundle("fp32", top1=0.99, medians={"host-cpu": 4.0}))
    remote.publish(bundle("int8", top1=0.97, medians={"host-cpu": 2.0}))
    code, out, err = zoo("pull", "--device", "host-cpu", "--max-latency", "3", "--min-top1", "0.9")
    assert code == 0
    assert "digits-cnn-int8@1.0.0" in out
    assert "best top1" in err


@pytest.mark.parametrize(
    "limit",
    [
        ["--max-latency", "0.5"],
        ["--min-top1=0.999"],
        ["--max-size", "1kB"],
        ["--max-size-gzip", "10"],
    ],
)
def test_nothing_fits_is_exit_code_1_with_the_limit_and_how_far(
    zoo: Any, remote: Any, bundle: Any, limit: list[str]
) -> None:
    remote.publish(bundle())
    for verb in (["pull"], ["pull", "digits-cnn-int8"]):
        code, _, err = zoo(*verb, "--device", "host-cpu", *limit)
        assert code == 1
        assert limit[0].partition("=")[0] in err
        assert "%" in err
    code, out, _ = zoo("search", "--device", "host-cpu", *limit)
    assert code == 1
    assert "digits-cnn-int8" in out


def test_a_limit_that_is_no_number_is_wrong_use(zoo: Any) -> None:
    for words in (
        ["--min-top1", "high"],
        ["--max-size", "huge"],
        ["--max-latency", "-1"],
        ["--threads", "0"],
        ["--sort", "beauty"],
    ):
        code, _, err = zoo("search", *words)
        assert (code, "hint: " in err or "error: " in err) == (2, True), words


def test_a_damaged_pulled_file_is_found(zoo: Any, remote: Any, bundle: Any, tmp_path: Path) -> None:
    remote.publish(bundle())
    assert zoo("pull", "digits-cnn-int8", "--record", "--to", "m.tflite")[0] == 0
    path = tmp_path / "m.tflite"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    code, _, err = zoo("verify", "m.tflite")
    assert code == 1
    assert "expected sha256:" in err
    assert "zoo pull digits-cnn-int8@1.0.0 --to m.tflite" in err


def test_a_damaged_cache_entry_is_mentioned_and_replaced(
    zoo: Any, remote: Any, bundle: Any, settings: Any, tmp_path: Path
) -> None:
    given = bundle()
    remote.publish(given)
    zoo("pull", "digits-cnn-int8")
    [blob] = (settings.cache / "blobs").rglob(str(given.record.file.sha256))
    blob.chmod(0o644)
    blob.write_bytes(b"rotten")
    (tmp_path / "digits-cnn-int8.tflite").unlink()
    code, _, err = zoo("pull", "digits-cnn-int8")
    assert code == 0
    assert given.record.file.sha256 in err
    assert Digest.of(b"rotten") in err
    assert Digest.of((tmp_path / "digits-cnn-int8.tflite").read_bytes()) == given.record.file.sha256
    assert zoo("cache", "verify")[0] == 0


def test_promote_and_yank_through_the_command(zoo: Any, remote: Any, bundle: Any) -> None:
    for version in ("1.0.0", "1.1.0"):
        remote.publish(bundle(version=version))
    assert zoo("promote", "digits-cnn-int8@1.0.0", "--to", "stable")[0] == 0
    assert "1.0.0" in zoo("pull", "digits-cnn-int8@stable")[1]
    assert zoo("yank", "digits-cnn-int8", "--reason", "x")[0] == 2
    assert zoo("yank", "digits-cnn-int8@1.1.0", "--reason", "wrong labels")[0] == 0
    code, _, err = zoo("pull", "digits-cnn-int8@1.1.0")
    assert code == 1
    assert "wrong labels" in err
    assert zoo("pull", "digits-cnn-int8@1.1.0", "--allow-yanked")[0] == 0
    assert "1.0.0" in zoo("pull", "digits-cnn-int8")[1]


def test_show_has_every_number_with_its_conditions(zoo: Any, remote: Any, bundle: Any) -> None:
    given = bundle()
    remote.publish(given)
    code, out, _ = zoo("show", "digits-cnn-int8")
    assert code == 0
    for wanted in (
        given.record.file.sha256,
        given.record_sha256,
        "0.9500 to 0.9900",
        "host-cpu",
        "interleaved/v1",
        "5 rounds of 50 runs",
    ):
        assert wanted in out
    assert json.loads(zoo("show", "digits-cnn-int8", "--json")[1])["record"] == json.loads(
        given.record_bytes
    )


def test_text_of_others_cannot_write_on_the_terminal(zoo: Any, remote: Any, bundle: Any) -> None:
    remote.publish(
        bundle(
            description="nice \x1b[31m\x1b]0;owned\x07 [/bold] [link=x]net[/link] \u202eevil",
            license="a[/]\x9b2J",
        )
    )
    for words in (
        ["search"],
        ["show", "digits-cnn-int8"],
        ["yank", "digits-cnn-int8@1.0.0", "--reason", "\x1b[2J[/red]"],
        ["search", "--yanked"],
    ):
        code, out, err = zoo(*words)
        assert code == 0
        assert all(character == "\n" or character.isprintable() for character in out + err)
    assert "[/red]" in zoo("pull", "digits-cnn-int8@1.0.0")[2]
    assert "[link=x]net[/link]" in zoo("show", "digits-cnn-int8@1.0.0")[1]


@pytest.mark.parametrize(
    "kind", ["stores", "remotes", "networks", "techniques", "data", "tasks", "devices"]
)
def test_list_says_what_each_plugin_is(zoo: Any, kind: str) -> None:
    code, out, _ = zoo("list", kind, "--json")
    rows = json.loads(out)
    assert code == 0
    assert rows
    assert all(row["name"] and row["about"] for row in rows), rows


def test_doctor_finds_a_registry_that_is_away_and_says_what_to_type(
    zoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", "/nowhere/at/all")
    code, out, _ = zoo("doctor", "--json")
    found = {row["what"]: row for row in json.loads(out)}
    assert code == 1
    assert found["ZOO_DATA"]["state"] == "broken"
    assert found["registry"]["state"] == "ok"
    assert all(row["fix"] for row in found.values() if row["state"] != "ok")


def test_colour_only_on_a_terminal(zoo: Any, remote: Any, bundle: Any) -> None:
    remote.publish(bundle())
    assert "\x1b[" not in zoo("search")[1]
    command = [
        sys.executable,
        "-c",
        "from zoo_client.cli import main; main()",
        "search",
        "--from",
        remote.url,
    ]
    for environment, coloured in (
        (os.environ | {"TERM": "xterm-256color"}, True),
        (os.environ | {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
    ):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*command],
            stdout=theirs,
            stderr=theirs,
            env={k: v for k, v in environment.items() if k != "COLUMNS"},
        )
        os.close(theirs)
        said = b""
        while piece := _read(ours):
            said += piece
        assert process.wait() == 0
        assert (b"\x1b[32m" in said) is coloured, said


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 4096)
    except OSError:
        return b""


def test_with_nothing_configured_the_registry_is_in_the_projects_folder(
    zoo: Any, bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_client.remotes import open_remote
    from zoo_client.settings import Settings

    monkeypatch.delenv("ZOO_REGISTRY")
    (tmp_path / ".zoo").mkdir()
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")
    open_remote(None, Settings.read()).publish(bundle())
    code, out, _ = zoo("pull", "digits-cnn-int8", "--json")
    assert code == 0
    assert json.loads(out)["from"] == f"embedded:{tmp_path / '.zoo' / 'registry'}"
    assert (
        tmp_path / ".zoo" / "registry" / "releases" / "digits-cnn-int8" / "1.0.0.json"
    ).is_file()
