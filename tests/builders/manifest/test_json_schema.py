from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from zoo_builders.manifest.json_schema import schema, spelled

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))


@pytest.mark.golden
def test_the_committed_schema_is_current(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "manifests/schema.json", spelled())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_shipped_manifests_follow_it(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("final: 0.75", "final: 1.5"),
        ("quantize", "quantise"),
        ("source: digits", "source: digit"),
        ("seed: 7", "sead: 7"),
    ],
)
def test_it_refuses_what_the_verbs_refuse(old: str, new: str) -> None:
    text = (ROOT / "manifests/digits-cnn.yaml").read_text().replace(old, new)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema())


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        ({}, True),
        ({"source": "train"}, True),
        ({"source": "train", "path": "x.h5"}, False),
        ({"source": "file", "path": "x.h5", "fine_tune": 3}, True),
        ({"source": "file"}, False),
        ({"source": "hub", "repo": "timm/x", "sha256": "0" * 64}, True),
        ({"source": "hub", "repo": "timm/x"}, False),
        ({"source": "hup", "repo": "timm/x", "sha256": "0" * 64}, False),
    ],
)
def test_each_source_of_weights_has_keys_of_its_own(weights: dict[str, object], fits: bool) -> None:
    manifest = yaml.safe_load((ROOT / "manifests/digits-cnn.yaml").read_text())
    manifest["base"]["weights"] = weights
    assert jsonschema.Draft202012Validator(schema()).is_valid(manifest) == fits
