from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from zoo_builders.schema import schema, spelled

ROOT = Path(__file__).parents[2]
MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))


@pytest.mark.golden
def test_the_committed_schema_is_current(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "manifests/schema.json", spelled())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_shipped_manifests_follow_it(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())


@pytest.mark.parametrize(
    ("old", "new"), [("final: 0.75", "final: 1.5"), ("quantize", "quantise"), ("source: digits", "source: digit"), ("seed: 7", "sead: 7")]
)
def test_it_refuses_what_the_verbs_refuse(old: str, new: str) -> None:
    text = (ROOT / "manifests/digits-cnn.yaml").read_text().replace(old, new)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema())
