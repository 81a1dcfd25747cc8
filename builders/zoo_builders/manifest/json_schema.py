"""The JSON schema of manifests, for editors.

`python -m zoo_builders.manifest.json_schema` writes manifests/schema.json.

The types of `specs` say almost everything; techniques, sources of data and weights, and
preprocessing steps are filled in from their plugins, so that an editor completes `prune: {final:
…}` too.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from zoo_builders.data.preprocess import STEPS
from zoo_builders.data.sources import SOURCES
from zoo_builders.manifest.schema import Manifest, Weights
from zoo_builders.pretrained.sources import WEIGHTS
from zoo_builders.techniques import TECHNIQUES
from zoo_registry.model.files import write_bytes

_OWN = r"^python:|\.py(:|$)"
"""Keys of a recipe that name an algorithm of the user (`algorithm_files`).

Only its code knows what parameters it takes.
"""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Make the schema: what `zoo validate` accepts, as far as a schema can say it."""
    made = Manifest.model_json_schema(by_alias=True)
    defs: dict[str, Any] = made.pop("$defs")
    techniques = {
        name: _part(TECHNIQUES.get(name).params, defs, nullable=True) for name in TECHNIQUES.names()
    }
    variants = made["properties"]["variants"]
    for recipe in variants["patternProperties"].values():
        recipe["items"] = _one_of_keys(techniques) | {
            "patternProperties": {_OWN: {"type": ["object", "null"]}}
        }
    variants["additionalProperties"] = False
    data = defs["Data"]
    data["properties"]["preprocess"]["items"] = _one_of_keys(
        {name: _part(model, defs) for name, model in STEPS.items()}
    )
    data["properties"]["source"]["enum"] = list(SOURCES.names())
    data["allOf"] = [_args_of(name, defs) for name in SOURCES.names()]
    defs["Weights"]["properties"]["source"]["enum"] = list(WEIGHTS.names())
    defs["Weights"]["allOf"] = [_weights_of(name, defs) for name in WEIGHTS.names()]
    return {
        "$schema": _DIALECT,
        "title": "edgezoo manifest",
        **{k: v for k, v in made.items() if k != "title"},
        "$defs": dict(sorted(defs.items())),
    }


def _part(model: Any, defs: dict[str, Any], *, nullable: bool = False) -> dict[str, Any]:
    """Schema of one plugin's parameters, its own definitions moved to the top."""
    made = TypeAdapter(model).json_schema(by_alias=True)
    defs.update(made.pop("$defs", {}))
    made.pop("title", None)
    return {"anyOf": [made, {"type": "null"}]} if nullable else made


def _one_of_keys(parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": parts,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _args_of(source: str, defs: dict[str, Any]) -> dict[str, Any]:
    params = _part(SOURCES.get(source).params, defs)
    return {
        "if": {"properties": {"source": {"const": source}}},
        "then": {"properties": {"args": params}},
    }


def _weights_of(source: str, defs: dict[str, Any]) -> dict[str, Any]:
    """What may stand beside `source: NAME` below `weights`.

    A manifest that names no source trains.
    """
    params = _part(WEIGHTS.get(source).params, defs)
    common = dict.fromkeys(Weights.model_fields, True)
    named = {} if source == Weights().source else {"required": ["source"]}
    return {
        "if": {"properties": {"source": {"const": source}}} | named,
        "then": {**params, "properties": common | params.get("properties", {})},
    }


def spelled() -> str:
    """Write the schema the way it is committed."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main(path: Path = Path("manifests/schema.json")) -> None:
    """Write the schema to `path`."""
    write_bytes(path, spelled().encode())
    sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
