"""The one door: lazy, first to set the environment, and the only one."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zoo_builders
from zoo_builders import tf

HEAVY = {"tensorflow", "tf_keras", "keras", "tensorflow_model_optimization"}


def test_nothing_else_in_the_package_imports_tensorflow() -> None:
    for path in Path(zoo_builders.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not HEAVY & {name.partition(".")[0] for name in names}, (
                f"{path} imports {names}; use zoo_builders.tf"
            )


def test_the_door_itself_is_light() -> None:
    program = (
        "import sys; from zoo_builders import tf; from zoo_builders.training import fit,"
        " job_context\nfrom zoo_builders.stages import base, convert, technique; from"
        " zoo_builders.keras_models import render\nprint('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_what_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no_such_library"):
        _ = tf.no_such_library


@pytest.mark.train
def test_keras_is_the_legacy_one_whatever_was_set_before() -> None:
    program = (
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '0'\n"
        "from zoo_builders import tf\n"
        "threads = tf.tensorflow.config.threading.get_intra_op_parallelism_threads()\n"
        "print(tf.keras.__name__, tf.tensorflow.keras.Model is tf.keras.Model, threads)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["tf_keras", "True", str(tf.THREADS)]


@pytest.mark.train
def test_keras_3_is_not_loaded_with_tfmot_and_can_be_afterwards() -> None:
    program = (
        "import sys; from zoo_builders import tf; tf.tfmot.sparsity.keras.prune_low_magnitude\n"
        "tf.clustering, tf.pruning, tf.quantize_registry, tf.quantize_configs\n"
        "print({'keras', 'sklearn'} & set(sys.modules))\n"
        "import keras; print(keras.__version__[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["set()", "3"]
