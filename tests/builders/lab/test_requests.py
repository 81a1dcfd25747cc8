"""`zoo bench` and `zoo devices` as they are typed: real files, a real shelf, real sessions.

Nothing is asserted about speed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.lab import requests
from zoo_builders.lab.candidates import Order
from zoo_builders.tflite import golden
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import examine
from zoo_client.remotes import open_remote
from zoo_client.remotes.base import Bundle
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.ref import Ref

pytestmark = pytest.mark.process

FILES = Path(__file__).resolve().parents[2] / "golden" / "files"
QUICK = ("--runs", "5", "--rounds", "2", "--warmup", "2")


@dataclass(frozen=True)
class Place:
    """A shelf with a family of three published files, and the command to use beside it."""

    folder: Path
    settings: Settings
    url: str

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
            if name in os.environ
        }
        return kept | {
            "ZOO_REGISTRY": self.url,
            "ZOO_CACHE": str(self.settings.cache),
            "ZOO_HOME": str(self.settings.home),
        }

    def __call__(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["zoo", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == expect, (
            f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def json(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self(*words, "--json", expect=expect).stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Publish fp32, sparse and int8 of one small network, with golden vectors.

    On a shelf of this module.
    """
    from plugins.records import make, measured

    folder = tmp_path_factory.mktemp("bench")
    settings = Settings(home=folder / ".zoo", cache=folder / "cache", logs=folder / "logs")
    remote = open_remote((folder / "shelf").as_uri(), settings)
    contents = {path.stem: path.read_bytes() for path in FILES.glob("*.tflite")}
    for variant in ("fp32", "sparse", "int8", "sparse-fp16"):
        versus = Digest.of(
            contents["fp32"] if variant != "sparse-fp16" else b"a float file that nobody published"
        )
        data, seen = contents[variant], examine(read(contents[variant]))
        vectors = golden.seeded(data, examples=2)
        spelled = vectors.to_bytes()
        fidelity = {
            "versus_sha256": versus,
            "split": "calibration",
            "examples": 2,
            "top1_agreement": 1.0,
            "sqnr_db": 50.0,
        }
        record = make(
            model="tiny",
            variant=variant,
            data=data,
            technique=None,
            structure=seen.structure,
            signature=seen.signature,
            fidelity=fidelity,
            golden=spelled,
            measurements=[measured(Digest.of(data))],
        )
        record = record.model_copy(update={"golden": vectors.describe(spelled)})
        blobs = {
            record.file.sha256: folder / f"{variant}.tflite",
            vectors.describe(spelled).sha256: folder / f"{variant}.npz",
        }
        for path, content in zip(blobs.values(), (data, spelled), strict=True):
            path.write_bytes(content)
        remote.publish(Bundle.of(record.to_bytes(), blobs))
    return Place(folder, settings, remote.url)


def test_published_files_are_measured_beside_their_published_rows(place: Place) -> None:
    found = place.json("bench", "tiny-sparse", "tiny-int8", "tiny-fp32", "tiny-int8@1.0.0", *QUICK)[
        "results"
    ]
    assert [one["file"] for one in found] == [
        "tiny-sparse@1.0.0",
        "tiny-int8@1.0.0",
        "tiny-fp32@1.0.0",
    ]
    for one in found:
        assert (one["failure"], one["golden"], one["baseline"]) == (
            None,
            "record",
            "tiny-fp32@1.0.0",
        )
        assert one["measurement"]["file_sha256"] == one["sha256"]
        assert one["measurement"]["baseline"]["name"] == "tiny-fp32"
        assert one["published"]["ratio"]["value"] == 0.5
    assert found[2]["measurement"]["verdict"] == "baseline"


def test_the_table_says_what_it_rests_on(place: Place) -> None:
    done = place(
        "bench", "tiny-sparse", str(FILES / "int8.tflite"), "--against", "tiny-fp32", *QUICK
    )
    told = (
        "ratios to tiny-fp32@1.0.0",
        "sparse path none: XNNPACK",
        "interleaved/v2",
        "the baseline against itself",
        "published 0.50",
    )
    for words in (*told, "inputs drawn from a seed"):
        assert words in done.stdout, done.stdout
    assert "--submit" in done.stderr


def test_files_that_fail_are_told_and_the_others_are_measured(place: Place, tmp_path: Path) -> None:
    (tmp_path / "cut.tflite").write_bytes((FILES / "fp32.tflite").read_bytes()[:4000])
    found = place.json(
        "bench",
        str(tmp_path / "cut.tflite"),
        str(FILES / "fp32.tflite"),
        "--against",
        "tiny-fp32",
        *QUICK,
        expect=1,
    )["results"]
    assert [one["failure"] and one["failure"]["kind"] for one in found] == ["load", None]
    assert found[0]["measurement"] is None
    assert found[1]["measurement"]["verdict"] == "baseline"
    shown = place("bench", str(tmp_path / "cut.tflite"), *QUICK, expect=1)
    assert "no number: load" in shown.stdout


def test_submitting_adds_once_and_only_what_can_stand_there(place: Place) -> None:
    (one,) = place.json("bench", "tiny-int8", "--submit", *QUICK)["results"]
    assert one["submitted"]
    remote = open_remote(place.url, place.settings)
    release = remote.release(Ref("tiny-int8"))
    assert [m.protocol for m in release.added] == ["interleaved/v2"]
    remote.add_measurement("tiny-int8", "1.0.0", release.added[0])
    assert remote.release(Ref("tiny-int8")).added == release.added
    assert (
        "leave --submit out"
        in place("bench", "tiny-int8", "--submit", "--kernels", "reference", expect=2).stderr
    )
    place("bench", "tiny-int8", "--submit", "--against", "tiny-sparse", expect=2)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "wants a published artifact or a file"),
        (("nothing.tflite",), 2, "there is no file nothing.tflite"),
        (("tiny-int9",), 1, "no artifact is called"),
        (
            ("tiny-sparse-fp16",),
            1,
            "the float baseline of tiny-sparse-fp16@1.0.0 is tiny-fp32@1.0.0",
        ),
        (("tiny-int8", "--device", "toaster"), 2, "toaster"),
        (("tiny-int8", "--kernels", "magic"), 2, "--kernels xnnpack|builtin|reference"),
        (("tiny-int8", "--rounds", "0"), 2, "rounds"),
        (("tiny-int8", "--threads", "100000"), 1, "100000 threads"),
    ],
)
def test_what_cannot_be_measured_says_why(
    place: Place, words: tuple[str, ...], code: int, told: str
) -> None:
    done = place("bench", *words, expect=code)
    assert told in done.stdout + done.stderr


def test_many_files_become_sessions_each_with_its_baseline() -> None:
    files = [requests.Asked(f"file{index}", None) for index in range(19)]
    floats = [requests.Asked("float-a", None), requests.Asked("float-b", None)]
    baselines = [floats[index % 2] for index in range(19)]
    orders = [Order(threads=1), Order(threads=2)]
    planned = list(requests.sessions(files, baselines, orders))
    assert [(one.order.threads, one.baseline.name, len(one.files)) for one in planned] == [
        (threads, name, count)
        for threads in (1, 2)
        for name, counts in (("float-a", (8, 2)), ("float-b", (8, 1)))
        for count in counts
    ]
    assert [asked.name for one in planned[:2] for asked in one.files] == [
        asked.name for asked in files[::2]
    ]


def processes_of(group: int) -> list[int]:
    """Processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def hears_ctrl_c() -> None:
    """What a shell starts in the background is born deaf to it, and so would be its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_nothing_behind_and_tells_what_was_finished(
    place: Place, tmp_path: Path
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core only")
    environment = place.environment | {"TMPDIR": str(tmp_path)}
    running = subprocess.Popen(
        ["zoo", "bench", "tiny-int8", "-t", "1", "-t", "2", "--runs", "99999", "--rounds", "100"],
        cwd=place.folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,  # noqa: PLW1509  no thread of ours holds a lock here
    )
    deadline = time.monotonic() + 60
    while len(processes_of(running.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(tmp_path.iterdir())
    os.killpg(running.pid, signal.SIGINT)
    try:
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "what was finished is shown" in said
    assert not processes_of(running.pid)
    assert not list(tmp_path.iterdir())


def test_devices_say_what_is_there_and_what_is_missing(place: Place) -> None:
    found = {line["device"]: line for line in place.json("devices")["devices"]}
    assert found["host-cpu"]["ready"]
    assert all(line["ready"] or (line["missing"] and line["hint"]) for line in found.values())
    assert "host-cpu" in place("devices").stdout
    assert "host-cpu has nothing" in place("devices", "install", "host-cpu", expect=1).stderr


def test_benching_imports_no_tensorflow_and_no_server(place: Place) -> None:
    code = (
        "import sys; from zoo_client.cli import run; run(sys.argv[1:]);print([m for m in"
        " ('tensorflow', 'tf_keras', 'fastapi', 'sqlalchemy', 'sklearn', 'PIL', 'yaml') if m in"
        " sys.modules])"
    )
    words = [sys.executable, "-c", code, "bench", "tiny-int8", *QUICK]
    done = subprocess.run(
        words, cwd=place.folder, env=place.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_agent_answers_orders_on_stdin(place: Place) -> None:
    orders = json.dumps({"do": "host"}) + "\n" + "this is no order\n"
    done = subprocess.run(
        ["zoo", "bench", "--agent"],
        input=orders,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0]["awake"]
    assert answers[1]["host"]["arch"]
    assert answers[2]["kind"] == "load"
    assert done.returncode == 1


def test_what_stands_behind_the_colon_stays_here_unless_it_is_meant_for_others(
    make_measurement: Any,
) -> None:
    digest = Digest.of(b"a file")
    own = Order(device="ssh:me@somewhere.example")
    assert requests._for_others(make_measurement(digest, device=own.device), own).device == "ssh"
    phone = Order(device="android:R5CT123")
    assert (
        requests._for_others(make_measurement(digest, device="android:pixel-8"), phone).device
        == "android:pixel-8"
    )
