"""Stock networks compute what those of keras.applications do, and take its files.

Fetched by Keras itself from a server of ours.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.pretrained.sources import WEIGHTS
from zoo_builders.pretrained.wanted import Wanted
from zoo_registry.model.errors import DigestMismatch, UnfitFile, Unreachable

pytestmark = pytest.mark.train

CLASSES = 7


@dataclass(frozen=True)
class Pair:
    """A network of ours and the constructor in keras.applications that it follows, both small."""

    network: str
    args: Mapping[str, Any]
    peer: str
    peer_args: Mapping[str, Any]


PAIRS = {
    "v1": Pair(
        "mobilenet_v1",
        {"variant": "stock", "alpha": 0.25, "resolution": 64},
        "MobileNet",
        {"alpha": 0.25},
    ),
    "v2": Pair(
        "mobilenet_v2",
        {"variant": "stock", "alpha": 0.35, "resolution": 33},
        "MobileNetV2",
        {"alpha": 0.35},
    ),
    "v3-small": Pair(
        "mobilenet_v3",
        {"variant": "stock", "resolution": 64, "minimalistic": False},
        "MobileNetV3Small",
        {"include_preprocessing": False},
    ),
    "v3-large": Pair(
        "mobilenet_v3",
        {"variant": "stock", "resolution": 64, "size": "large"},
        "MobileNetV3Large",
        {"include_preprocessing": False, "minimalistic": True},
    ),
    "resnet": Pair("resnet_v2", {"resolution": 32}, "ResNet50V2", {}),
    "inception": Pair("inception_v3", {"resolution": 75}, "InceptionV3", {}),
}


def ours(pair: Pair, **args: Any) -> Graph:
    return NETWORKS.get(pair.network)(**{**pair.args, "classes": CLASSES, **args})


def theirs(pair: Pair) -> Any:
    """A randomly initialised peer with moving statistics as a trained one has."""
    from zoo_builders import tf

    tf.deterministic(0)
    tf.keras.backend.clear_session()
    side = pair.args["resolution"]
    made = getattr(tf.keras.applications, pair.peer)(
        input_shape=(side, side, 3),
        weights=None,
        classes=CLASSES,
        classifier_activation=None,
        **pair.peer_args,
    )
    random = np.random.default_rng(1)
    for layer in made.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights(
                [weight + random.uniform(0, 0.2, weight.shape) for weight in layer.get_weights()]
            )
    return made


@pytest.mark.parametrize("name", PAIRS)
def test_a_stock_network_computes_what_its_peer_computes_with_its_peers_file(
    name: str, tmp_path: Path
) -> None:
    from zoo_builders.keras_models.render import render
    from zoo_builders.keras_models.weights import put

    pair, graph = PAIRS[name], ours(PAIRS[name])
    peer = theirs(pair)
    assert graph.parameters == peer.count_params()
    weighted = [layer for layer in peer.layers if layer.weights]
    assert [tuple(layer.output_shape[1:])[-1] for layer in weighted] == [
        node.shape[-1] for node in graph.nodes if node.weights
    ]
    assert [tuple(layer.output_shape[1:]) for layer in weighted][:-1] == [
        node.shape for node in graph.nodes if node.weights
    ][:-1]
    peer.save_weights(tmp_path / "weights.h5")
    source = WEIGHTS.get("file")
    wanted = Wanted(
        source.params.model_validate({"path": "weights.h5"}), pair.network, pair.args, graph, 0
    )
    found = source.read(wanted, tmp_path / "weights.h5") if source.read else None
    assert found is not None
    model = render(graph)
    put(model, graph, found.arrays)
    images = np.random.default_rng(2).uniform(-1, 1, (2, *graph.input_shape)).astype(np.float32)
    np.testing.assert_allclose(
        model(images, training=False), peer(images, training=False), atol=1e-6
    )


@pytest.fixture
def mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, bytes], str]]:
    """A web server that stands for Keras': put a file there, get its sha256.

    Downloads are kept in a folder of the test.
    """
    root = tmp_path / "mirror"
    root.mkdir()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(root))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ZOO_KERAS_WEIGHTS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / ".zoo"))

    def offer(name: str, data: bytes) -> str:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    yield offer
    server.shutdown()
    server.server_close()


FILE = "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What Keras publishes, with random weights: include_top, 1000 classes."""
    from zoo_builders import tf

    tf.deterministic(3)
    path = tmp_path_factory.mktemp("keras") / "weights.h5"
    tf.keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=0.35, weights=None
    ).save_weights(path)
    return path.read_bytes()


def wanted(sha256: str, *, fine_tune: int = 0, **args: Any) -> Wanted:
    given = {"alpha": 0.35, "resolution": 96, **args}
    params = WEIGHTS.get("keras-applications").params.model_validate({"sha256": sha256})
    return Wanted(params, "mobilenet_v2", given, NETWORKS.get("mobilenet_v2")(**given), fine_tune)


def bring(asked: Wanted) -> Path:
    source = WEIGHTS.get("keras-applications")
    assert source.bring
    return source.bring(asked, lambda *_: None)


def test_keras_fetches_the_file_that_the_network_names(mirror: Any, published: bytes) -> None:
    source = WEIGHTS.get("keras-applications")
    asked = wanted(mirror(FILE, published))
    assert source.check(asked) == []
    told, moved = source.remarks(asked)
    assert FILE in told
    assert (
        "5 strided layers (Conv1, block_1_depthwise, block_3_depthwise, …) see other pixels here"
        in moved
    )
    assert "fine_tune: 5" in moved
    assert source.read
    found = source.read(asked, bring(asked))
    assert found is not None
    assert found.fresh == ()
    assert found.arrays["predictions"]["kernel"].shape == (1, 1, 1280, 1000), (
        "a dense classifier becomes a 1x1 convolution"
    )
    (only,) = source.remarks(wanted(found.sha256, variant="stock"))
    assert "see other pixels" not in only


def test_other_classes_leave_the_classifier_to_fine_tuning(mirror: Any, published: bytes) -> None:
    source = WEIGHTS.get("keras-applications")
    sha256 = mirror(FILE, published)
    (complaint,) = source.check(wanted(sha256, classes=10))
    assert (complaint.key, complaint.hint) == ("fine_tune", "add fine_tune: 5")
    tuned = wanted(sha256, classes=10, fine_tune=2)
    assert source.check(tuned) == []
    path = bring(tuned)
    assert source.read
    found = source.read(tuned, path)
    assert found is not None
    assert found.fresh == ("predictions",)
    assert "predictions" not in found.arrays
    with pytest.raises(UnfitFile, match="other classes"):
        source.read(wanted(sha256, classes=10), path)


def test_another_file_than_demanded_is_refused_and_fetched_anew(
    mirror: Any, published: bytes
) -> None:
    mirror(FILE, published + b"x")
    asked = wanted(hashlib.sha256(published).hexdigest())
    for _ in range(2):
        with pytest.raises(DigestMismatch, match="mobilenet_v2_weights"):
            bring(asked)
    mirror(FILE, published)
    assert bring(asked).read_bytes() == published


def test_a_file_that_is_not_there_is_told_with_its_address(mirror: Any) -> None:
    del mirror
    with pytest.raises(Unreachable, match="404"):
        bring(wanted("0" * 64))
