"""`zoo serve` as a process: it says where it is, answers, and ends when asked to."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.process

COMMAND = "import typer; from zoo_registry.commands.serve import serve; typer.run(serve)"


def started(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error", "-c", COMMAND, *options, "--json"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_asked_to_stop(tmp_path: Path, how: signal.Signals) -> None:
    process = started(tmp_path, "--port", "0", "--db", "a/zoo.db", "--store", "b")
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        assert httpx.get(f"{said['url']}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{said['url']}/readyz").json() == {"status": "ok"}
        assert httpx.get(f"{said['url']}/v1/artifacts").json()["items"] == []
        assert "zoo_requests_total" in httpx.get(f"{said['url']}/metrics").text
        assert (tmp_path / "a" / "zoo.db").exists()
    finally:
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    assert (process.returncode in (0, -how), out, err) == (True, b"", b"")


def test_answers_on_a_kept_connection_wait_for_nobody(tmp_path: Path) -> None:
    """Without TCP_NODELAY each answer waits for a delayed acknowledgement, 40 ms on Linux."""
    process = started(tmp_path, "--port", "0", "--db", "zoo.db", "--store", "b")
    assert process.stdout is not None
    taken = []
    try:
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client() as kept, httpx.Client() as other:
            for _ in range(30):
                for client, new in ((kept, False), (other, True)):
                    started_at = time.perf_counter()
                    headers = {"Connection": "close"} if new else {}
                    client.get(f"{url}/healthz", headers=headers)
                    taken.append((new, time.perf_counter() - started_at))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    kept_s, new_s = (sorted(s for one, s in taken if one is new)[10] for new in (False, True))
    assert kept_s < 2 * new_s, "a kept connection is no slower than a new one"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = started(tmp_path, "--port", str(taken.getsockname()[1]))
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"cannot listen on 127.0.0.1" in err
    assert b"zoo serve --port 0" in err
