"""Broken manifests through the real command.

Refused before TensorFlow, with file, line, key and a hint.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_registry.model.errors import InvalidManifest

BOMB = """\
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
schema: [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
"""

# what is replaced, by what, the line that is named, words of the message, words of the hint
BROKEN = {
    "unknown key": (
        "  splits:\n",
        "  spilts:\n",
        12,
        "data.spilts: unknown key",
        "did you mean 'splits'",
    ),
    "wrong type": (
        "epochs: 1, batch_size",
        "epochs: many, batch_size",
        9,
        'base.train.epochs: expected a valid integer, found "many" (text)',
        "default",
    ),
    "missing file": (
        "network: digits_cnn",
        "network: ./nets/none.py",
        7,
        "base.network: no such file",
        "relative to the manifest",
    ),
    "bad split": (
        "train: train[:200]",
        "train: train[:200",
        13,
        "expected ']' at position 10",
        "train[:90%]",
    ),
    "sparsity 1.5": (
        "prune: {final: 0.5, epochs: 1}",
        "prune: {final: 1.5, epochs: 1}",
        24,
        "variants.sparse[0].prune.final: expected less than 1",
        "share of zeros",
    ),
    "not prunable": (
        "prune: {final: 0.5,",
        "prune: {policy: xnnpack, final: 0.75,",
        24,
        "prune cannot be applied: layer",
        "",
    ),
    "duplicate variant": ("  fp16:\n", "  fp32:\n", 21, "'fp32' stands twice", "line 20"),
    "absolute path": (
        "network: digits_cnn",
        "network: /nets/tiny.py",
        7,
        "absolute path",
        "${ZOO_DATA}",
    ),
    "unknown technique": (
        "    - prune: {final: 0.5, epochs: 1}\n  sparse-fp16",
        "    - prun: {}\n  sparse-fp16",
        24,
        "no technique is called 'prun'",
        "did you mean 'prune'",
    ),
    "impossible order": (
        "    - prune: {final: 0.5, epochs: 1}\n    - quantize: {dtype: float16}\n",
        "    - quantize: {dtype: float16}\n    - prune: {final: 0.5, epochs: 1}\n",
        27,
        "ends in a TFLite file",
        "move 'prune' before 'quantize'",
    ),
    "unknown argument": (
        "args: {width: 8}",
        "args: {widht: 8}",
        8,
        "unexpected keyword argument 'widht'",
        "width: int",
    ),
    "argument that is no number": (
        "args: {width: 8}",
        "args: {width: ''}",
        8,
        "every size must be a whole number",
        "width: int",
    ),
    "argument that is a fraction": (
        "args: {width: 8}",
        "args: {width: 1.5}",
        8,
        "every size must be a whole number",
        "width: int",
    ),
    "unset variable": (
        "network: digits_cnn",
        "network: ${ZOO_DATA}/x.keras",
        7,
        "${ZOO_DATA} is not set",
        "export ZOO_DATA=",
    ),
    "version": (
        "version: 1.0.0",
        "version: 1.0",
        3,
        "expected a valid string, found 1.0 (number)",
        "",
    ),
    "unknown split": (
        "    - quantize: {dtype: float16}\nbenchmark",
        "    - quantize: {dtype: int8, calibration: tests}\nbenchmark",
        27,
        "data.splits has no split 'tests'",
        "did you mean 'test'",
    ),
    "features of pictures": (
        "    - rescale: [-1, 1]",
        "    - mfcc: {}",
        18,
        "mfcc is of recordings, and digits gives images",
        "drop mfcc, or use a source of recordings",
    ),
    "another shape": (
        "    - rescale: [-1, 1]",
        "    - resize: 9",
        7,
        "digits_cnn takes inputs of shape [8, 8, 1], data and preprocessing give [9, 9, 1]",
        "resolution: 9",
    ),
    "unknown variant in a goal": (
        "benchmark:",
        "goals:\n  top1: {max_drop: 0.1, versus: fp64}\nbenchmark:",
        29,
        "no variant is called 'fp64'",
        "did you mean 'fp",
    ),
    "unknown device": (
        "runs: 10",
        "devices: [host-gpu], runs: 10",
        28,
        "no device is called 'host-gpu'",
        "host-cpu",
    ),
    "unknown source": (
        "source: digits",
        "source: digit",
        11,
        "no data source is called 'digit'",
        "did you mean 'digits'",
    ),
    "tab": ("  network", "\tnetwork", 7, "not YAML", "spaces, not tabs"),
    "python tag": (
        "model: tiny",
        "model: !!python/object/apply:os.getcwd []",
        2,
        "tags such as",
        "without a tag",
    ),
}


def refused(zoo: Any, text: str) -> Any:
    path = zoo.write("manifests/tiny.yaml", text)
    done = zoo("validate", str(path.relative_to(zoo.folder)), timeout=60)
    assert done.returncode == 2, done.stderr
    return done


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_manifest_is_refused_with_place_and_hint(zoo: Any, name: str) -> None:
    old, new, line, words, hint = BROKEN[name]
    text = (zoo.folder / "manifests/tiny.yaml").read_text()
    assert old in text
    done = refused(zoo, text.replace(old, new))
    assert f"manifests/tiny.yaml:{line}:" in done.stderr
    assert words in done.stderr
    assert "hint: " in done.stderr
    assert hint in done.stderr


def test_an_alias_bomb_is_refused(zoo: Any) -> None:
    done = refused(zoo, BOMB)
    assert re.search(r"tiny\.yaml:5: .*aliases expand to more than", done.stderr)


def test_a_dataset_with_the_wrong_digest_is_refused(zoo: Any) -> None:
    arrays = {
        f"{kind}_{split}": np.zeros((8, 4, 4) if kind == "x" else 8, np.uint8)
        for kind in "xy"
        for split in ("train", "test")
    }
    np.savez(zoo.folder / "set.npz", **arrays)
    found = hashlib.sha256((zoo.folder / "set.npz").read_bytes()).hexdigest()
    text = (zoo.folder / "manifests/tiny.yaml").read_text()
    done = refused(
        zoo,
        text.replace(
            "source: digits",
            f"source: npz-images\n  args:\n    path: ../set.npz\n    sha256: {'0' * 64}",
        ),
    )
    assert (
        "manifests/tiny.yaml:14: data.args.sha256: set.npz: expected sha256 " + "0" * 64
        in done.stderr
    )
    assert f"write sha256: {found}" in done.stderr


def test_all_mistakes_are_reported_at_once_in_order(zoo: Any) -> None:
    text = (zoo.folder / "manifests/tiny.yaml").read_text()
    text = (
        text.replace("license:", "licence:")
        .replace("final: 0.5", "final: 1.5")
        .replace("train[:200]", "train[:9")
        .replace("1.0.0", "one")
    )
    path = zoo.write("manifests/tiny.yaml", text)
    done = zoo("validate", str(path), "--json")
    mistakes = json.loads(done.stdout)["manifests"][0]["mistakes"]
    keys = [mistake["key"] for mistake in mistakes]
    assert {
        "licence",
        "license",
        "variants.sparse[0].prune.final",
        "variants.sparse-fp16[0].prune.final",
    } <= set(keys)
    assert [mistake["line"] for mistake in mistakes] == sorted(
        mistake["line"] for mistake in mistakes
    )
    assert done.returncode == 2


def test_a_typo_does_not_hide_what_else_is_wrong(zoo: Any) -> None:
    text = (zoo.folder / "manifests/tiny.yaml").read_text()
    text = (
        text.replace("benchmark:", "benchmrk:")
        .replace("train[:200]", "train[:9")
        .replace("digits_cnn", "digit_cnn")
    )
    found = json.loads(zoo("validate", str(zoo.write("m.yaml", text)), "--json").stdout)[
        "manifests"
    ][0]["mistakes"]
    assert {mistake["key"] for mistake in found} == {
        "benchmrk",
        "data.splits.train",
        "base.network",
    }


@pytest.mark.parametrize("verb", ["validate", "plan", "build"])
def test_neither_planning_nor_refusing_imports_tensorflow(zoo: Any, verb: str) -> None:
    text = (zoo.folder / "manifests/tiny.yaml").read_text().replace("sparse:", "Sparse:")
    zoo.write(
        "manifests/tiny.yaml", text if verb == "build" else text.replace("Sparse:", "sparse:")
    )
    code = (
        "import sys; from zoo_client.cli import run; code = run(sys.argv[1:]);heavy ="
        " {'tensorflow', 'tf_keras', 'keras', 'ai_edge_litert'} & set(sys.modules); print(code,"
        " sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, verb, "manifests/tiny.yaml"],
        cwd=zoo.folder,
        env=dict(zoo.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip().splitlines()[-1] == ("2 []" if verb == "build" else "0 []")


def test_the_shipped_manifests_are_valid(zoo: Any) -> None:
    for path in sorted(Path(__file__).parents[3].joinpath("manifests").glob("*.yaml")):
        if "ZOO_DATA" not in path.read_text():
            done = zoo("validate", str(path))
            assert done.returncode == 0, done.stderr


def test_a_fresh_manifest_validates(zoo: Any) -> None:
    assert zoo("init", "hello").returncode == 0
    assert zoo("validate", "manifests/hello.yaml").returncode == 0
    again = zoo("init", "hello")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def readable(text: str, folder: Path) -> bool:
    """Whether a manifest is read.

    Anything but InvalidManifest passes through and fails the test.
    """
    path = folder / "m.yaml"
    path.write_text(text)
    line = 1
    try:
        Reader(WorkTree(Digests(folder / "d.json")), {}).read(path)
    except InvalidManifest as error:
        line = error.line
    else:
        return True
    assert line >= 1
    return False


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(value: object, key: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [key, *(place for name, inner in items for place in places(inner, (*key, name)))]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_manifest_with_anything_anywhere_is_read_or_refused(
    zoo: Any, data: st.DataObject
) -> None:
    manifest = yaml.safe_load((zoo.folder / "manifests/tiny.yaml").read_text())
    *above, last = data.draw(st.sampled_from(places(manifest)[1:]))
    target = manifest
    for part in above:
        target = target[part]
    target[last] = data.draw(junk)
    readable(yaml.safe_dump(manifest), zoo.folder)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_manifest_with_any_line_changed_is_read_or_refused(zoo: Any, data: st.DataObject) -> None:
    lines = (zoo.folder / "manifests/tiny.yaml").read_text().splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    lines[index] = data.draw(
        st.sampled_from(
            [lines[index][1:], lines[index] + ":", "  " + lines[index], "", lines[index][::-1]]
        )
        | st.text(max_size=40)
    )
    readable("\n".join(lines), zoo.folder)


def test_the_untouched_manifest_is_read(zoo: Any) -> None:
    assert readable((zoo.folder / "manifests/tiny.yaml").read_text(), zoo.folder)


def test_a_wrong_path_is_told_beside_a_missing_digest(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "schema: edgezoo/v1\nmodel: t\nversion: 1.0.0\nlicense: mit\nbase: {network: digits_cnn}\n"
        "data:\n  source: npz-images\n  args:\n    path: /nowhere.npz\nvariants: {fp32: []}\n"
    )
    with pytest.raises(InvalidManifest) as caught:
        Reader(WorkTree(Digests(tmp_path / "digests.json")), {}).read(manifest, "m.yaml")
    assert "m.yaml:8: data.args.sha256" in str(caught.value)
    assert "m.yaml:9: data.args.path: absolute path '/nowhere.npz'" in str(caught.value)
