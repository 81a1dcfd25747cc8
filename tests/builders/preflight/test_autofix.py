"""`zoo preflight --fix` on keras.applications' stock MobileNetV2 (model-optimization#735, #837)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_client.cli import run

MANIFEST = """\
schema: edgezoo/v1
model: stock
version: 1.0.0
license: apache-2.0
base: {{network: ./{file}}}
data:
  source: npz-images
  args: {{path: "${{ZOO_DATA}}/photos.npz", sha256: {sha256}}}
variants:
  sparse75: [{{prune: {{policy: xnnpack, final: 0.75}}}}]
"""

pytestmark = pytest.mark.train


def _stock(folder: Path, size: int) -> Path:
    from zoo_builders import tf

    tf.deterministic(3)
    model = tf.keras.applications.MobileNetV2(
        input_shape=(size, size, 3), alpha=0.35, weights=None, classes=4
    )
    random = np.random.default_rng(3)
    model.set_weights(
        [
            weight + random.uniform(0, 0.3, weight.shape) if weight.ndim == 1 else weight
            for weight in model.get_weights()
        ]
    )
    model.save(folder / "stock.keras")
    (folder / "stock.yaml").write_text(MANIFEST.format(file="stock.keras", sha256="0" * 64))
    return folder / "stock.yaml"


@pytest.fixture(scope="module", params=[64, 33], ids=["even", "odd"])
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def fixed(size: int, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder, and what the command said."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("stock")
    manifest = _stock(folder, size)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        run(["preflight", str(manifest), "--fix", "--json"])
    return folder, json.loads(said.getvalue())["manifests"][0]


def test_the_stem_and_every_strided_depthwise_layer_are_named_where_the_size_is_even(
    fixed: tuple[Path, dict[str, Any]], size: int
) -> None:
    layers = {
        row["layer"]: row["verdicts"]["XNNPACK-sparse"] for row in fixed[1]["techniques"]["layers"]
    }
    strided = {"block_1_depthwise", "block_3_depthwise", "block_6_depthwise", "block_13_depthwise"}
    named = {name for name, verdict in layers.items() if "ZeroPadding2D" in verdict["fix"]}
    assert named == ({"Conv1", *strided} if size == 64 else {"Conv1"})
    left = {objection["layer"] for objection in fixed[1]["fix"]["left"]}
    assert left == ({"Conv1", *strided} if size == 64 else set())


def test_the_new_file_computes_the_same_and_the_old_one_is_as_it_was(
    fixed: tuple[Path, dict[str, Any]], size: int
) -> None:
    from zoo_builders.keras_models.files import load

    folder, said = fixed
    assert said["fix"]["file"] == str(folder / "stock-xnnpack.keras")
    assert said["fix"]["manifest_line"] == "base: {network: ./stock-xnnpack.keras}"
    inputs = np.random.default_rng(5).uniform(-1, 1, (4, size, size, 3)).astype(np.float32)
    old, new = (
        np.asarray(load(folder / name)(inputs, training=False))
        for name in ("stock.keras", "stock-xnnpack.keras")
    )
    assert np.abs(old - new).max() <= 1e-5 * np.abs(old).max()


def test_tfmots_own_policy_agrees_on_what_is_mended(
    fixed: tuple[Path, dict[str, Any]], size: int
) -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.files import load
    from zoo_builders.keras_models.render import graph_of_file
    from zoo_builders.networks import sparse_path

    path, policy = (
        fixed[0] / "stock-xnnpack.keras",
        tf.tfmot.sparsity.keras.PruneForLatencyOnXNNPack(),
    )
    if size == 33:
        assert sparse_path.objections(graph_of_file(path)) == []
        policy.ensure_model_supports_pruning(load(path))
        return
    assert sparse_path.objections(graph_of_file(path))
    with pytest.raises(ValueError, match="Could not find"):
        policy.ensure_model_supports_pruning(load(path))


def test_nothing_is_written_over(
    fixed: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    path = fixed[0] / "stock-xnnpack.keras"
    before = path.read_bytes()
    assert run(["preflight", str(fixed[0] / "stock.yaml"), "--fix", "--variant", "sparse75"]) == 2
    assert f"rm {path}" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_code_is_told_the_lines_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(
        "from zoo_builders.networks.net import Net\n\n\ndef net():\n    n = Net('net', (33, 33,"
        " 3))\n    n.conv(8, 3, 2, padding='same', name='stem')\n    n.conv(8, 1)\n   "
        " n.global_pool(keepdims=False, name='pool')\n    n.dense(4)\n    return n.graph()\n"
    )
    (tmp_path / "net.yaml").write_text(MANIFEST.format(file="net.py", sha256="0" * 64))
    run(["preflight", str(tmp_path / "net.yaml"), "--fix"])
    said = " ".join(capsys.readouterr().out.split())
    assert "to change in" in said
    assert "stem: ZeroPadding2D(1) before it and padding 'valid'" in said
    assert "pool: keepdims=True, and a Flatten behind it" in said
