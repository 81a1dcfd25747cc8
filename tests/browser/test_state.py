"""Files that keep state, in a real browser: the outputs of `host-cpu`, or a refusal that helps."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from zoo_builders.devices import Setting, Subject
from zoo_builders.devices.web_wasm import WebBrowser, WebWasm
from zoo_builders.tflite import golden
from zoo_registry.model.errors import MeasureFailed

pytestmark = [pytest.mark.browser, pytest.mark.litertjs]
STATEFUL = Path(__file__).resolve().parents[1] / "golden" / "stateful"


@pytest.fixture(scope="module")
def place() -> Iterator[WebBrowser]:
    with WebWasm().connect(Setting("web-wasm", threads=1, timeout_s=60)) as connected:
        yield connected


def subject(file: Path, shape: tuple[int, ...], folder: Path) -> Subject:
    """Golden vectors of six examples, each of which would see the state of those before it."""
    inputs = np.random.default_rng(0).uniform(0, 1, (6, *shape)).astype(np.float32)
    vectors = golden.make(file.read_bytes(), inputs)
    (folder / "golden.npz").write_bytes(vectors.to_bytes())
    return Subject(file, folder / "golden.npz", 1e-4)


def test_resources_are_as_at_first_for_each_example(place: WebBrowser, tmp_path: Path) -> None:
    with place.prepare(subject(STATEFUL / "counter.tflite", (4,), tmp_path)) as counter:
        assert counter.ready.delegate == "XNNPACK"
        assert len(counter.run(3)) == 3


def test_variable_tensors_are_refused_with_a_way_out(place: WebBrowser, tmp_path: Path) -> None:
    lstm = subject(STATEFUL / "lstm.tflite", (8, 8, 1), tmp_path)
    with (
        pytest.raises(MeasureFailed, match="Variable tensors not yet supported") as caught,
        place.prepare(lstm) as tab,
    ):
        _ = tab.ready
    assert "unroll=True" in caught.value.hint


@pytest.mark.train
@pytest.mark.parametrize("dtype", [None, "int8"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_networks_give_in_the_browser_what_their_keras_twins_give(
    place: WebBrowser, tmp_path: Path, kind: str, dtype: str | None
) -> None:
    from zoo_builders import tf
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.techniques.quantize.params import Params
    from zoo_builders.tflite.litert import Session

    tf.deterministic(1)
    rows = tf.keras.Input((8, 4))
    last = getattr(tf.keras.layers, kind)(8, unroll=True)(rows)
    model = tf.keras.Model(rows, tf.keras.layers.Dense(4)(last))
    inputs = np.random.default_rng(0).uniform(0, 1, (60, 8, 4)).astype(np.float32)
    settings = Params.model_validate({"dtype": dtype}) if dtype else None
    file = tmp_path / "model.tflite"
    file.write_bytes(to_tflite(model, settings, inputs))
    wanted, found = model.predict(inputs, verbose=0), Session(file).infer(inputs)
    assert np.mean(wanted.argmax(axis=1) == found.argmax(axis=1)) > (0.9 if dtype else 0.999)
    with place.prepare(subject(file, (8, 4), tmp_path)) as tab:
        assert tab.ready.delegate == "XNNPACK"
