"""Training batches: a pure function of seed, epoch and step.

And what `augment` may do to an image.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.digits import a_job
from zoo_builders.training import batches, job_context
from zoo_builders.training.settings import Crop, Train
from zoo_registry.model.errors import BuildFailed

COUNT, HEIGHT, WIDTH = 23, 5, 7


@given(st.integers(0, 2**31 - 1), st.integers(0, 10_000), st.integers(1, 500))
def test_an_epoch_has_every_example_once(seed: int, epoch: int, count: int) -> None:
    assert sorted(batches.order(seed, epoch, count)) == list(range(count))


def test_orders_of_epochs_and_seeds_differ_and_stay_what_they_are() -> None:
    orders = {
        (seed, epoch): tuple(batches.order(seed, epoch, 50)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    assert batches.order(7, 3, 6).tolist() == [4, 0, 3, 2, 5, 1], (
        "a training taken up by a later version meets the same batches"
    )


@given(st.integers(1, 9), st.booleans())
def test_changes_stay_within_what_was_asked(crop: int, flip: bool) -> None:
    augment = [Crop(crop=crop), *(["flip"] if flip else [])]
    drawn = batches.changes(1, 2, 400, augment)
    assert np.abs(drawn[:, 1:]).max() == crop, "both edges are reached"
    assert set(drawn[:, 0]) == ({0, 1} if flip else {0})
    assert (drawn == batches.changes(1, 2, 400, augment)).all()
    assert (drawn != batches.changes(1, 3, 400, augment)).any()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data stage's result with images whose every pixel is another one."""
    folder = tmp_path_factory.mktemp("data")
    images = (
        np.arange(COUNT * HEIGHT * WIDTH, dtype=np.int64).reshape(COUNT, HEIGHT, WIDTH, 1) % 251
    )
    np.save(folder / "train_x.npy", images.astype(np.uint8))
    np.save(folder / "train_y.npy", np.arange(COUNT, dtype=np.int64))
    (folder / "dataset.json").write_text(
        json.dumps({"value_map": {"scale": 1 / 3, "offset": -0.7}, "splits": {}})
    )
    return folder


def a_context(data: Path, tmp_path: Path) -> job_context.JobContext:
    return job_context.JobContext(
        a_job("base", tmp_path, {}, inputs={"data": data}), Train(), seed=5
    )


def taken(dataset: Any) -> list[tuple[Any, Any]]:
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def same(one: Sequence[tuple[Any, Any]], other: Sequence[tuple[Any, Any]]) -> bool:
    pairs = zip(one, other, strict=True)
    return all((a == c).all() and (b == d).all() and a.dtype == c.dtype for (a, b), (c, d) in pairs)


@pytest.mark.train
@pytest.mark.parametrize("augment", [[], ["flip", Crop(crop=2)]])
def test_from_any_step_on_the_batches_are_those_of_the_whole(
    augment: list[Any], data: Path, tmp_path: Path
) -> None:
    here, train = a_context(data, tmp_path), Train(epochs=3, batch_size=5, augment=augment)
    whole = taken(here.passes(train, epoch=0, step=0))
    steps = batches.steps_of(COUNT, train)
    assert [len(y) for _, y in whole] == [5, 5, 5, 5, 3] * 3
    for epoch, step in [(0, 3), (1, 0), (2, 4)]:
        assert same(
            taken(here.passes(train, epoch=epoch, step=step)), whole[epoch * steps + step :]
        )


@pytest.mark.train
def test_images_are_flipped_and_shifted_as_drawn_and_nothing_else(
    data: Path, tmp_path: Path
) -> None:
    here, train = (
        a_context(data, tmp_path),
        Train(epochs=2, batch_size=4, augment=["flip", Crop(crop=2)]),
    )
    inputs, _ = here.arrays("train")
    found = taken(here.passes(train, epoch=1, step=0))
    drawn = batches.changes(5, 1, COUNT, train.augment)
    for images, labels in found:
        for image, label in zip(images, labels, strict=True):
            flip, down, right = drawn[label]
            turned = inputs[label][:, ::-1] if flip else inputs[label]
            padded = np.pad(turned, ((2, 2), (2, 2), (0, 0)), mode="reflect")
            np.testing.assert_array_equal(
                image, padded[2 + down : 2 + down + HEIGHT, 2 + right : 2 + right + WIDTH]
            )
    assert 0 < drawn[:, 0].sum() < COUNT


@pytest.mark.train
@pytest.mark.parametrize("augment", [[], ["flip", Crop(crop=1)]])
def test_a_split_too_large_for_floats_gives_the_same_batches(
    augment: list[Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Train(epochs=1, batch_size=8, augment=augment)
    as_floats = taken(a_context(data, tmp_path).passes(train, epoch=0, step=0))
    monkeypatch.setattr(job_context, "FLOAT_BUDGET", COUNT * HEIGHT * WIDTH * 4 - 1)
    assert same(taken(a_context(data, tmp_path).passes(train, epoch=0, step=0)), as_floats)


@pytest.mark.train
@pytest.mark.parametrize(
    ("shape", "augment", "words"),
    [
        ((40,), ["flip"], r"needs images.*these inputs are \[40\]"),
        ((8, 6, 3), [Crop(crop=6)], "a crop of 6 pixels of images 8x6"),
    ],
)
def test_inputs_that_are_no_images_are_not_augmented(
    shape: tuple[int, ...], augment: list[Any], words: str
) -> None:
    examples = batches.Examples(lambda index: (index, index), 10, shape)
    with pytest.raises(BuildFailed, match=words):
        batches.passes(examples, Train(augment=augment), 0, epoch=0, step=0)


@pytest.mark.train
def test_a_cosine_falls_to_nothing_over_all_steps() -> None:
    from zoo_builders import tf
    from zoo_builders.training.fit import compile_classifier

    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(2)])
    compile_classifier(model, Train(learning_rate=0.1, schedule="cosine"), steps=40)
    rate = (
        model.optimizer.learning_rate
        if callable(model.optimizer.learning_rate)
        else model.optimizer._learning_rate
    )
    assert [float(rate(step)) for step in (0, 20, 40, 50)] == pytest.approx(
        [0.1, 0.05, 0, 0], abs=1e-8
    )
