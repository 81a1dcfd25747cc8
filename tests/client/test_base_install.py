"""What an app developer gets.

The package without extras has no TensorFlow and no server, and pulls all the same.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo_client.remotes import open_remote
from zoo_client.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def base_install(tmp_path: Path) -> Path:
    """Install the project without extras into a fresh environment; give its folder of commands."""
    where = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
    subprocess.run([where / "bin" / "python", "-m", "pip", "install", "-q", str(ROOT)], check=True)
    return where / "bin"


@pytest.mark.slow
def test_the_base_install_pulls_without_tensorflow_or_a_server(
    base_install: Path, registry_server: Any, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = bundle()
    open_remote(registry_server.url, settings).publish(given)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "PYTHON"))}
    environment |= {"ZOO_REGISTRY": registry_server.url, "ZOO_CACHE": str(tmp_path / "cache2")}

    def zoo(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [base_install / "zoo", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    probe = (
        "import importlib.util as u; print([m for m in ('tensorflow', 'fastapi', 'numpy', 'boto3',"
        " 'sqlalchemy') if u.find_spec(m)])"
    )
    assert (
        subprocess.run(
            [base_install / "python", "-c", probe], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
    pulled = zoo("pull", "digits-cnn-int8", "--json")
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["sha256"] == given.record.file.sha256
    assert zoo("verify", "digits-cnn-int8.tflite").returncode == 0
    assert zoo("--version").stdout.startswith("zoo ")
    wanting = {
        "registry": (["serve"], ["search", "--from", "embedded:"]),
        "build": (["build", "x.yaml"],),
    }
    wanting["bench"] = (["bench", "digits-cnn-int8"], ["bench", "digits-cnn-int8.tflite"])
    for words, extra in ((words, extra) for extra, verbs in wanting.items() for words in verbs):
        refused = zoo(*words)
        assert (refused.returncode, f"pip install 'edgezoo[{extra}]'" in refused.stderr) == (
            2,
            True,
        ), refused.stderr
    assert "edgezoo[bench]" in zoo("devices").stdout
    assert zoo("search", "--from", "s3://bucket/x").stderr.endswith("pip install 'edgezoo[s3]'\n")
    assert zoo("search", "--from", "hub://org/repo").stderr.endswith("pip install 'edgezoo[hub]'\n")
