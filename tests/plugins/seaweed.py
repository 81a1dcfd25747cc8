"""A real S3 server for tests.

SeaweedFS, one per test session, started when the first test asks for it.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_PATIENCE_S = 60.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and the one identity that it lets in."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point botocore at this server.

        And away from whatever the machine is configured for.
        """
        nowhere = os.devnull
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def _free_ports(count: int) -> list[int]:
    """Reserve ports whose neighbours 10000 above are free too: SeaweedFS listens there for gRPC."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as low, socket.socket() as high, contextlib.suppress(OSError):
            low.bind((_LOOPBACK, 20000 + secrets.randbelow(20000)))
            port = low.getsockname()[1]
            high.bind((_LOOPBACK, port + 10000))
            if port not in found:
                found.append(port)
    return found


def _command(folder: Path, ports: list[int]) -> list[str]:
    weed = shutil.which("weed") or "weed"
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    return [
        weed,
        "server",
        f"-dir={folder}",
        f"-ip={_LOOPBACK}",
        f"-ip.bind={_LOOPBACK}",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=100",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.iam=false",
        f"-s3.config={folder / 's3.json'}",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]


def _client(server: S3Server) -> object:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1}),
    )


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server takes a bucket, an object and gives it back.

    Listening is not yet serving.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    client = _client(server)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket="ready")  # type: ignore[attr-defined]
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")  # type: ignore[attr-defined]
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"SeaweedFS did not come up:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run a SeaweedFS for the session.

    Killed at its end, since it takes half a minute to leave by itself.
    """
    folder = tmp_path_factory.mktemp("seaweed")
    access_key, secret_key = f"zoo{secrets.token_hex(4)}", secrets.token_hex(16)
    identity = {"name": "zoo", "credentials": [{"accessKey": access_key, "secretKey": secret_key}]}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    (folder / "s3.json").write_text(json.dumps({"identities": [{**identity, "actions": actions}]}))
    (folder / "master.toml").write_text(
        "[master.volume_growth]\ncopy_1 = 1\n"
    )  # not seven volumes for each bucket
    ports = _free_ports(4)
    server = S3Server(f"http://{_LOOPBACK}:{ports[-1]}", access_key, secret_key)
    log = folder / "weed.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            _command(folder, ports), stdout=out, stderr=out, cwd=folder, start_new_session=True
        )
    try:
        _wait(server, process, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Point botocore at the session's server for one test."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def s3_prefix(s3_environment: S3Server) -> Callable[[], str]:
    """Give a maker of fresh, empty stores: `s3_prefix()` is an `s3://bucket/prefix`.

    A bucket of its own costs more: `s3_bucket`.
    """
    return lambda: f"s3://ready/{secrets.token_hex(6)}/zoo"


@pytest.fixture
def s3_bucket(s3_environment: S3Server) -> Iterator[Callable[[], str]]:
    """Give a maker of fresh, empty buckets: `s3_bucket()` is a bucket's name."""

    def make() -> str:
        name = f"zoo-{secrets.token_hex(6)}"
        client.create_bucket(Bucket=name)  # type: ignore[attr-defined]
        return name

    client = _client(s3_environment)
    yield make
    client.close()  # type: ignore[attr-defined]
