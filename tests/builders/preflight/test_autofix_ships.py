"""`zoo preflight --fix` on networks that ship with the zoo.

Which line to write into the manifest, never what to edit in the package.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo_client.cli import run

MANIFEST = """\
schema: edgezoo/v1
model: ready
version: 1.0.0
license: apache-2.0
base: {base}
data:
  source: npz-images
  args: {{path: "photos.npz", sha256: {sha256}}}
variants:
  fp32: []
"""


def _said(folder: Path, base: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    path = folder / "ready.yaml"
    path.write_text(MANIFEST.format(base=base, sha256="0" * 64))
    assert run(["preflight", str(path), "--fix", *more]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "network", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "efficientnet_lite"]
)
def test_a_stock_network_is_answered_with_its_other_variant(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _said(
        tmp_path, f"{{network: {network}, args: {{variant: stock, classes: 10}}}}", capsys, "--json"
    )
    fix: dict[str, Any] = json.loads(said)["manifests"][0]["fix"]
    assert fix["ships"] is True
    assert yaml.safe_load(fix["manifest_line"]) == {
        "base": {"network": network, "args": {"variant": "xnnpack", "classes": 10}}
    }


def test_the_words_name_the_line_and_what_it_costs_and_no_file_of_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = " ".join(
        _said(tmp_path, "{network: mobilenet_v2, args: {variant: stock}}", capsys).split()
    )
    assert "base: {network: mobilenet_v2, args: {variant: xnnpack}}" in said
    assert "need fine-tuning" in said
    assert "zoo_builders/networks" not in said


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("{network: mobilenet_v2}", "nothing keeps the sparse path shut, nothing to change"),
        ("{network: resnet8}", "take another network"),
        ("{network: mobilenet_v3, args: {minimalistic: false}}", "take another network"),
    ],
)
def test_where_no_other_variant_helps_that_is_said(
    base: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in " ".join(_said(tmp_path, base, capsys).split())
