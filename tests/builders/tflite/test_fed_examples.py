"""Whether examples are what a file's input takes: shapes, and the range of quantized inputs."""

import numpy as np
import pytest

from zoo_builders.tflite.fed_examples import demand, fits, shaped, way_out
from zoo_builders.tflite.litert import Port
from zoo_registry.model.errors import BuildFailed


@pytest.mark.parametrize(
    ("wanted", "example", "made"),
    [
        ((-1, 8, 8, 1), (8, 8, 1), (1, 8, 8, 1)),
        ((1, 8, 8), (8, 8, 1), (1, 8, 8)),
        ((1, 64), (8, 8, 1), (1, 64)),
        ((-1, -1), (16000, 1, 1), (1, 16000)),
        ((-1, -1, -1, 3), (20, 30, 3), (1, 20, 30, 3)),
        ((1, 1, 49, 10), (49, 10, 1), (1, 1, 49, 10)),
    ],
)
def test_open_sizes_are_filled_in_and_sizes_of_one_do_not_count(
    wanted: tuple[int, ...], example: tuple[int, ...], made: tuple[int, ...]
) -> None:
    assert shaped(wanted, example) == made


@pytest.mark.parametrize(
    ("wanted", "example", "hint"),
    [
        ((1, 3, 8, 8), (8, 8, 3), "channels first"),
        ((1, 8, 8, 1), (8, 8, 3), "grayscale"),
        ((1, 96, 96, 3), (32, 32, 3), r"resize: [96, 96]"),
        ((1, 63), (8, 8, 1), "data.args"),
        ((1, 4, 16), (8, 8, 1), "data.args"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_write(
    wanted: tuple[int, ...], example: tuple[int, ...], hint: str
) -> None:
    assert not fits(wanted, example)
    assert hint in way_out(wanted, example)


def port(dtype: str, scale: float, zero_point: int) -> Port:
    return Port(0, "x", (1, 4), np.dtype(dtype), scale, zero_point)


def test_old_files_of_uint8_take_what_their_scale_and_zero_point_say() -> None:
    mobilenet = port("uint8", 1 / 128, 128)
    demand(mobilenet, np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4))
    for raw in (np.linspace(0, 255, 40), np.linspace(0, 1e-3, 40)):
        with pytest.raises(BuildFailed, match=r"uint8\) stands for -1 to 0.9922") as caught:
            demand(mobilenet, raw.astype(np.float32).reshape(10, 4))
        assert "rescale: [-1, 0.9922]" in caught.value.hint
    np.testing.assert_array_equal(
        mobilenet.store(np.array([[-1, 0, 0.5, 1]])), np.array([[0, 128, 192, 255]], np.uint8)
    )


def test_whole_numbers_without_a_scale_are_taken_as_they_are() -> None:
    demand(port("uint8", 0, 0), np.array([[0, 7, 128, 255]], np.float32))
    for wrong in ([0, 0.5, 1, 1], [-1, 0, 1, 2], [0, 1, 2, 256]):
        with pytest.raises(BuildFailed, match="takes whole numbers as they are"):
            demand(port("uint8", 0, 0), np.array([wrong], np.float32))
    demand(port("float32", 0, 0), np.array([[-1e9, 0.5, 1, 1]], np.float32))
