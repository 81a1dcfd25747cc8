"""Checkpoints: what goes in comes out.

What is damaged or belongs to another training is left alone, with a word why.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.training import checkpoints
from zoo_builders.training.checkpoints import Checkpoint, Position

pytestmark = pytest.mark.train

AT = Position(epoch=2, step=5, history=[{"loss": 0.1 + 0.2, "accuracy": 1 / 3}] * 2)


@pytest.fixture
def variables() -> list[Any]:
    from zoo_builders import tf

    make = tf.tensorflow.Variable
    return [
        make(np.arange(6, dtype=np.float32).reshape(2, 3), name="kernel"),
        make(np.int64(41), name="step"),
        make([True], name="on"),
    ]


def a_checkpoint(
    folder: Path, variables: list[Any], said: list[str], **settings: Any
) -> Checkpoint:
    return Checkpoint(folder, "prune", checkpoints.identity(settings, variables), said.append)


def values(variables: list[Any]) -> list[bytes]:
    return [variable.numpy().tobytes() for variable in variables]


def test_what_goes_in_comes_out(variables: list[Any], tmp_path: Path) -> None:
    said: list[str] = []
    kept = a_checkpoint(tmp_path, variables, said)
    variables[0].assign(variables[0] * np.float32(1 / 3))
    variables[1].assign(2**60 + 1)
    expected = values(variables)
    sums = [
        variables[0] + index for index in range(11)
    ]  # more than ten: their order is that of numbers, not of text
    kept.save(variables, sums, AT)
    variables[0].assign(np.zeros((2, 3)))
    variables[1].assign(0)
    position, metrics = kept.load(variables)
    assert (position, values(variables), said) == (AT, expected, [])
    assert [metric.tobytes() for metric in metrics] == values(sums)


def test_none_and_no_folder_begin_at_the_beginning(variables: list[Any], tmp_path: Path) -> None:
    said: list[str] = []
    assert a_checkpoint(tmp_path, variables, said).load(variables) == (Position(), [])
    nowhere = Checkpoint(None, "prune", "0" * 64, said.append)
    nowhere.save(variables, [], AT)
    assert nowhere.load(variables) == (Position(), [])
    assert not nowhere.due()
    assert said == []


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\0nothing" * 100)


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(np.float32(5).tobytes())] ^= 1  # inside the kernel: the archive's CRC tells
    path.write_bytes(data)


def changed(path: Path, **changes: Any) -> None:
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files} | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


def without_a_variable(path: Path) -> None:
    changed(path, **{"1": None})


def another_shape(path: Path) -> None:
    changed(path, **{"0": np.zeros((3, 2), np.float32)})


def another_type(path: Path) -> None:
    changed(path, **{"1": np.float64(0)})


def pickled(path: Path) -> None:
    changed(path, **{"0": np.array([{}], dtype=object)})


def no_json(path: Path) -> None:
    changed(path, about=np.frombuffer(b"{", np.uint8))


def of_another_training(path: Path) -> None:
    with np.load(path) as held:
        about = json.loads(held["about"].tobytes()) | {"identity": "f" * 64}
    changed(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8))


DAMAGES = [
    truncated,
    cut_short,
    empty,
    garbage,
    one_bit,
    without_a_variable,
    another_shape,
    another_type,
    pickled,
    no_json,
    of_another_training,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_checkpoint_is_left_alone(
    damage: Callable[[Path], None], variables: list[Any], tmp_path: Path
) -> None:
    said: list[str] = []
    kept = a_checkpoint(tmp_path, variables, said)
    kept.save(variables, [], AT)
    assert kept.path is not None
    damage(kept.path)
    variables[1].assign(77)
    before = values(variables)
    assert kept.load(variables) == (Position(), [])
    assert values(variables) == before, "no variable took a value"
    [word] = said
    assert word.startswith(f"prune: the checkpoint {kept.path.name} is not used: ")


def test_a_folder_in_its_place_costs_the_checkpoint_not_the_training(
    variables: list[Any], tmp_path: Path
) -> None:
    said: list[str] = []
    kept = a_checkpoint(tmp_path, variables, said)
    assert kept.path is not None
    kept.path.mkdir()
    kept.save(variables, [], AT)
    assert "no checkpoint could be written" in said[0]
    assert kept.load(variables) == (Position(), [])


@pytest.mark.parametrize("what", ["value", "name", "shape", "settings"])
def test_only_the_same_training_from_the_same_bits_finds_it(
    what: str, variables: list[Any], tmp_path: Path
) -> None:
    from zoo_builders import tf

    said: list[str] = []
    a_checkpoint(tmp_path, variables, said, learning_rate=1).save(variables, [], AT)
    others = list(variables)
    if what == "value":
        others[0] = tf.tensorflow.Variable(variables[0] + 1e-6, name="kernel")
    elif what == "name":
        others[0] = tf.tensorflow.Variable(variables[0], name="bias")
    elif what == "shape":
        others[0] = tf.tensorflow.Variable(
            np.arange(6, dtype=np.float32).reshape(3, 2), name="kernel"
        )
    other = a_checkpoint(tmp_path, others, said, learning_rate=2 if what == "settings" else 1)
    assert other.load(others) == (Position(), [])
    assert a_checkpoint(tmp_path, variables, said, learning_rate=1).load(variables)[0] == AT


def test_checkpoints_become_rare_when_they_are_slow(
    variables: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    kept = a_checkpoint(tmp_path, variables, [])
    kept._saved = 0.0
    dues = []
    for second in (4, 6, 16, 30):
        now[0] = second
        dues.append((kept.due(epoch_ends=True), kept.due()))
    assert dues == [(False, False), (True, False), (True, True), (True, True)]
    times = iter([30.0, 31.0, 31.0])  # a save that takes a second
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(times, now[0]))
    kept.save(variables, [], AT)
    now[0] = 31 + 1 / checkpoints.SHARE - 1
    assert not kept.due(epoch_ends=True)
    now[0] += 2
    assert kept.due()


def test_every_variable_of_a_wrapped_model_with_dropout_is_listed_once() -> None:
    from zoo_builders import tf
    from zoo_builders.training.fit import compile_classifier
    from zoo_builders.training.settings import Train

    tf.deterministic(1)
    keras, layers = tf.keras, tf.keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), layers.Dropout(0.5), layers.Dense(2)]
    )
    model = keras.models.clone_model(model, clone_function=_pruned)
    compile_classifier(model, Train())
    model.optimizer.build(model.trainable_variables)
    found = checkpoints.variables_of(model)
    names = sorted(variable.name.removesuffix(":0") for variable in found)
    weights = [
        f"{layer}/{weight}" for layer in ("dense", "dense_1") for weight in ("kernel", "bias")
    ]
    wrapped = [
        f"prune_low_magnitude_{layer}/{what}"
        for layer in ("dense", "dense_1")
        for what in ("mask", "threshold", "pruning_step")
    ]
    slots = [f"{slot}/{weight}" for slot in "mv" for weight in weights]
    assert names == sorted(
        [*weights, *wrapped, *slots, "iteration", "learning_rate", "dropout/StateVar"]
    )


def _pruned(layer: Any) -> Any:
    from zoo_builders import tf

    return (
        tf.tfmot.sparsity.keras.prune_low_magnitude(layer)
        if layer.__class__.__name__ == "Dense"
        else layer
    )
