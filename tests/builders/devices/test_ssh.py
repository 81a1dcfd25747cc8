"""`ssh:<host>` against a real OpenSSH server.

What it measures, what it leaves behind, and every way in which a connection fails.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from plugins.sshd import AGENT, Sshd, Wire
from zoo_builders.devices import DEVICES, Place, Setting, Subject, host
from zoo_builders.devices.agent import child
from zoo_builders.devices.ssh import Remote
from zoo_builders.devices.ssh_target import Target
from zoo_builders.lab import session
from zoo_builders.lab.candidates import Candidate, Order
from zoo_builders.tflite import golden, litert
from zoo_client import machine
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import MeasureFailed, Unsupported

FILES = Path(__file__).resolve().parents[2] / "golden" / "files"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files on the other machine."""
    folder = tmp_path / "there"
    folder.mkdir()
    monkeypatch.setenv("ZOO_SSH_AGENT", f"TMPDIR={folder} {AGENT}")
    return folder


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder, data = tmp_path_factory.mktemp("subject"), (FILES / "fp32.tflite").read_bytes()
    vectors = golden.make(
        data, np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    )
    (folder / "model.tflite").write_bytes(data)
    (folder / "golden.npz").write_bytes(vectors.to_bytes())
    return Subject(folder / "model.tflite", folder / "golden.npz", vectors.atol, vectors.rule)


def connect(device: str, **rest: float) -> Remote:
    place = DEVICES.get("ssh").connect(
        Setting(device, threads=1, timeout_s=rest.get("timeout_s", 60))
    )
    assert isinstance(place, Remote)
    return place


@pytest.fixture
def place(ssh_here: Sshd, there: Path) -> Iterator[Place]:
    with connect(ssh_here.device) as one:
        yield one


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)
    return true()


def test_the_other_machine_describes_itself_runs_the_file_and_keeps_nothing(
    ssh_here: Sshd, there: Path, subject: Subject
) -> None:
    with connect(ssh_here.device) as place:
        assert place.host == machine.describe()
        assert place.version == litert.version()
        for _ in range(2):
            with place.prepare(subject) as runner:
                assert runner.ready.pinned
                assert len(runner.run(4)) == 4
        assert {path.name for path in kept(there)} == {
            Digest.of(file.read_bytes()) for file in (subject.file, subject.golden)
        }
        assert place._spent_s > 0
        assert 0 <= place.busy().others <= place.host.cores * 1.1
    assert until(lambda: not kept(there))
    assert not list(Path(tempfile.gettempdir()).glob("zoo-ssh-*/c"))


def test_a_session_there_is_a_measurement_that_names_nobody(
    ssh_here: Sshd, there: Path, subject: Subject
) -> None:
    one = Candidate.of("fp32", subject)
    (found,) = session.measure(
        [one], one, Order(ssh_here.device, runs=5, rounds=1, warmup=2, timeout_s=60)
    )
    assert found.measurement is not None
    assert found.measurement.device == f"ssh:{host.slug(machine.describe().cpu)}"
    assert (found.measurement.verdict, found.measurement.pinned) == ("baseline", True)
    assert until(lambda: not kept(there))


def test_a_connection_that_breaks_is_a_typed_failure_and_the_files_there_go(
    ssh_here: Sshd, there: Path, subject: Subject
) -> None:
    wire = Wire(ssh_here.port)
    with connect(f"ssh:127.0.0.1:{wire.port}") as place, place.prepare(subject) as runner:
        _ = runner.ready
        assert kept(there)
        wire.cut()
        with pytest.raises(MeasureFailed) as caught:
            runner.run(3)
        assert caught.value.kind == "died"
        with pytest.raises(MeasureFailed):
            place.busy()
    assert until(lambda: not kept(there))


def test_a_file_that_arrives_in_part_is_not_run(
    ssh_here: Sshd, there: Path, subject: Subject, tmp_path: Path
) -> None:
    big = tmp_path / "big.tflite"
    big.write_bytes(os.urandom(1 << 20))
    wire = Wire(ssh_here.port, cut_after=300_000)
    with (
        connect(f"ssh:127.0.0.1:{wire.port}") as place,
        place.prepare(Subject(big, subject.golden, 0.1)) as runner,
    ):
        with pytest.raises(MeasureFailed) as caught:
            _ = runner.ready
        assert caught.value.kind == "died"
    assert until(lambda: not kept(there))


def test_an_agent_that_is_killed_there_says_so_and_others_go_on(
    place: Remote, subject: Subject
) -> None:
    with place.prepare(subject) as one, place.prepare(subject) as other:
        _ = one.ready, other.ready
        os.kill(int(one._talk.ask("spent")["pid"]), signal.SIGKILL)
        with pytest.raises(MeasureFailed) as caught:
            one.run(1)
        assert caught.value.kind == "died"
        assert len(other.run(2)) == 2


def test_an_agent_that_hangs_there_does_not_outlive_the_session(
    place: Remote, subject: Subject
) -> None:
    with place.prepare(subject) as one:
        pid = int(one._talk.ask("spent")["pid"]) if one.ready else 0
        one._talk.timeout_s = 0.2
        with pytest.raises(MeasureFailed, match=r"no answer within 0\.2 s") as caught:
            one.run(10_000_000)
        assert caught.value.kind == "hang"
    assert until(lambda: not Path(f"/proc/{pid}").exists())


def test_bytes_of_another_digest_are_refused_there(place: Remote, subject: Subject) -> None:
    with pytest.raises(MeasureFailed, match=f"expected sha256:{'0' * 64}"):
        place._keeper.hand_over(subject.file, "0" * 64)


@pytest.mark.parametrize("sha256", ["../../etc/passwd", "A" * 64, "0" * 63])
def test_no_name_of_a_file_reaches_the_file_system_there(
    place: Remote, subject: Subject, sha256: str, there: Path
) -> None:
    with pytest.raises(MeasureFailed, match="not a sha256"):
        place._keeper.hand_over(subject.file, sha256)
    assert not kept(there)


def test_an_unknown_host_key_is_not_accepted_silently(ssh_here: Sshd) -> None:
    known = ssh_here.folder / "known_hosts"
    before = known.read_text()
    known.write_text("")
    try:
        with pytest.raises(MeasureFailed, match="Host key verification failed") as caught:
            connect(ssh_here.device)
    finally:
        known.write_text(before)
    assert caught.value.kind == "device"
    assert f"ssh -p {ssh_here.port} 127.0.0.1 true" in caught.value.hint


def test_a_key_that_is_not_accepted_names_the_command_that_installs_one(ssh_here: Sshd) -> None:
    allowed = ssh_here.folder / "authorized_keys"
    before = allowed.read_text()
    allowed.write_text((ssh_here.folder / "other.pub").read_text())
    try:
        with pytest.raises(MeasureFailed, match="Permission denied") as caught:
            connect(ssh_here.device)
    finally:
        allowed.write_text(before)
    assert "ssh-copy-id" in caught.value.hint


def test_nobody_listens(ssh_here: Sshd) -> None:
    with pytest.raises(MeasureFailed, match="Connection refused") as caught:
        connect("ssh:127.0.0.1:1")
    assert caught.value.hint == "ssh -v -p 1 127.0.0.1 true"


def test_a_machine_without_the_agent_says_which_command_was_tried_and_how_to_install(
    ssh_here: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_SSH_AGENT", "no-such-zoo bench --agent")
    with pytest.raises(
        Unsupported, match=r"`no-such-zoo bench --agent` cannot be run on 127\.0\.0\.1"
    ) as caught:
        connect(ssh_here.device)
    assert "pip install 'edgezoo[bench]'" in caught.value.hint
    assert "ZOO_SSH_AGENT" in caught.value.hint


def test_a_shell_that_talks_first_is_not_taken_for_an_agent(
    ssh_here: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_SSH_AGENT", f"echo Welcome to the machine; {AGENT}")
    with pytest.raises(MeasureFailed, match="Welcome to the machine") as caught:
        connect(ssh_here.device)
    assert caught.value.kind == "device"


def test_the_command_of_zoo_serves_as_agent(
    ssh_here: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_SSH_AGENT", f"{Path(sys.executable).parent}/zoo bench --agent")
    with connect(ssh_here.device) as place:
        assert place.host == machine.describe()


def test_an_agent_of_another_version_is_named(
    ssh_here: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "ZOO_SSH_AGENT", 'echo \'{"awake": true, "agent": 1, "edgezoo": "0.0.9"}\'; cat'
    )
    with pytest.raises(
        Unsupported, match=rf"edgezoo 0\.0\.9 on 127\.0\.0\.1 speaks agent 1, .* here {child.AGENT}"
    ) as caught:
        connect(ssh_here.device)
    assert "--upgrade" in caught.value.hint


def test_more_threads_than_cores_there_are_refused(ssh_here: Sshd) -> None:
    with pytest.raises(Unsupported, match="4096 threads on"):
        DEVICES.get("ssh").connect(Setting(ssh_here.device, threads=4096))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("ssh:pi", Target("pi")),
        ("ssh:me@pi.local:2222", Target("pi.local", "me", 2222)),
        ("ssh:a.b-c@[fe80::1%eth0]:22", Target("fe80::1%eth0", "a.b-c", 22)),
        ("ssh:10.0.0.7", Target("10.0.0.7")),
    ],
)
def test_machines_are_named_as_ssh_does(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "ssh:",
        "ssh",
        "ssh:-oProxyCommand=id",
        "ssh:me@-oProxyCommand=id",
        "ssh:-l@host",
        "ssh:pi;id",
        "ssh:pi id",
        "ssh:$(id)",
        "ssh:x:0",
        "ssh:pi:65536",
        "ssh:pi:22:22",
        "ssh:pi\n-oProxyCommand=id",
        "ssh:@pi",
        "ssh:pi/..",
        "ssh:[-oProxyCommand=id]",
        "ssh:pi%h",
    ],
)
def test_what_could_become_an_option_or_a_command_is_refused(text: str) -> None:
    with pytest.raises(Unsupported, match=r"expected ssh:\[user@\]host\[:port\]"):
        Target.parse(text)


def test_the_host_stands_behind_the_end_of_options() -> None:
    command = Target.parse("ssh:me@pi:2222").command("ssh", "zoo bench --agent", None, master=True)
    assert command[-3:] == ("--", "pi", "zoo bench --agent")
    assert command[command.index("-l") + 1] == "me"
    assert command[command.index("-p") + 1] == "2222"


def test_without_openssh_the_device_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = DEVICES.get("ssh").found()
    assert line.missing
    assert line.hint == "apt install openssh-client"
    with pytest.raises(Unsupported, match="OpenSSH's client"):
        connect("ssh:pi")
