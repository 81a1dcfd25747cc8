"""The registry of a project's folder, in process and from several processes."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from zoo_registry.embedded import application
from zoo_registry.model.record import Record

pytestmark = pytest.mark.process

PUBLISHER = """
import sys, httpx
from pathlib import Path
from zoo_registry.embedded import application
from zoo_registry.model.digest import Digest
folder, data, record = map(Path, sys.argv[1:])
data, record = data.read_bytes(), record.read_bytes()
with application(folder) as app, httpx.Client(
    transport=httpx.WSGITransport(app), base_url="http://zoo"
) as client:
    begun = client.post("/v1/uploads", json={"sha256": Digest.of(data), "size": len(data)}).json()
    begun["done"] or client.put(f"/v1/uploads/{begun['id']}", content=data).raise_for_status()
    print(client.post("/v1/releases", content=record).status_code)
"""


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    with (
        application(folder) as app,
        httpx.Client(transport=httpx.WSGITransport(app), base_url="http://zoo") as opened,
    ):
        yield opened


def test_publish_search_and_read(
    client: httpx.Client, make_record: Callable[..., Record], blob_bytes: Callable[..., bytes]
) -> None:
    record, data = make_record(), blob_bytes("digits-cnn-int8@1.0.0")
    begun = client.post(
        "/v1/uploads", json={"sha256": record.file.sha256, "size": len(data)}
    ).json()
    pieces = (data[at : at + 50] for at in range(0, len(data), 50))
    assert client.put(f"/v1/uploads/{begun['id']}", content=pieces).json()["done"]
    assert client.post("/v1/releases", content=record.to_bytes()).status_code == 201
    assert client.get("/v1/resolve?min_top1=0.5").json()["chosen"]["name"] == record.name
    with client.stream(
        "GET", f"/v1/blobs/{record.file.sha256}", headers={"Range": "bytes=4-"}
    ) as answer:
        assert (answer.status_code, b"".join(answer.iter_bytes())) == (206, data[4:])


def test_nothing_is_left_running(folder: Path) -> None:
    before = set(threading.enumerate())
    app = application(folder)
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://zoo") as client:
        client.get("/v1/artifacts").raise_for_status()
        answer = client.send(client.build_request("GET", "/v1/facets"), stream=True)
        answer.close()
    app.close()
    app.close()
    begun = [thread for thread in threading.enumerate() if thread not in before]
    for thread in begun:
        thread.join(timeout=10)  # a worker that was told to end needs a moment
    assert not [thread.name for thread in begun if thread.is_alive()]


def test_several_processes_publish_at_once(
    folder: Path, tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    running = []
    for number in range(3):
        data = b"TFL3" + bytes([number]) * 2000
        record = make_record(variant=f"v{number // 2}", version=f"1.0.{number % 2}", data=data)
        (tmp_path / f"{number}.tflite").write_bytes(data)
        (tmp_path / f"{number}.json").write_bytes(record.to_bytes())
        command = [
            sys.executable,
            "-W",
            "error",
            "-c",
            PUBLISHER,
            folder,
            tmp_path / f"{number}.tflite",
            tmp_path / f"{number}.json",
        ]
        running.append(
            subprocess.Popen(
                [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
    for process in running:
        out, err = process.communicate(timeout=120)
        assert (out.strip(), err) == (b"201", b"")
    with (
        application(folder) as app,
        httpx.Client(transport=httpx.WSGITransport(app), base_url="http://zoo") as client,
    ):
        found = [
            f"{item['name']}@{item['version']}"
            for item in client.get("/v1/artifacts?all_versions=1").json()["items"]
        ]
    assert found == ["digits-cnn-v0@1.0.1", "digits-cnn-v0@1.0.0", "digits-cnn-v1@1.0.0"]


def test_no_tensorflow_no_client() -> None:
    code = (
        "import sys, json, zoo_registry.embedded; print(json.dumps(sorted({name.partition('.')[0]"
        " for name in sys.modules})))"
    )
    loaded = set(
        json.loads(
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        )
    )
    assert not loaded & {
        "tensorflow",
        "tf_keras",
        "ai_edge_litert",
        "boto3",
        "botocore",
        "zoo_client",
        "zoo_builders",
        "numpy",
    }
