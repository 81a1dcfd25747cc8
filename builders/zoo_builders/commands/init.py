"""`zoo init`: write a manifest to start from."""

import re
from pathlib import Path
from typing import Annotated

import typer

from zoo_builders.commands.options import Json
from zoo_builders.running.project import MANIFESTS
from zoo_client.output import console, emit_json
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.files import write_bytes

VERB = {"group": "Model engineer", "rank": 10, "help": "Start a manifest.", "extra": "build"}

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")

STARTER = """\
# One base model and its optimized variants. Check it with:  zoo validate manifests/{name}.yaml
# See what it would build:                                   zoo plan manifests/{name}.yaml
# Build it:                                                  zoo build manifests/{name}.yaml
schema: edgezoo/v1
model: {name}
version: 1.0.0 # raise it when content changes:  zoo bump manifests/{name}.yaml
task: image-classification
license: apache-2.0
description: What it is for, in one sentence.

base:
  network: digits_cnn # one of `zoo list networks`, models/NAME.py beside this file, or ./x.keras
  args: {{}}
  train: {{epochs: 10, batch_size: 128, optimizer: adam, learning_rate: 1.0e-3, seed: 7}}

data:
  source: digits # one of `zoo list data`; your own images: npz-images or image-folder
  splits: # slices of the source's own splits
    train: train[:90%]
    validation: train[90%:]
    test: test
    calibration: train[:200]
  preprocess:
    - rescale: [-1, 1]

variants: # name: list of techniques, in order; see `zoo list techniques`
  fp32: []
  fp16:
    - quantize: {{dtype: float16}}
  int8:
    - quantize: {{dtype: int8}}
  sparse50:
    - prune: {{final: 0.5, epochs: 4}}

goals: # a variant that misses one fails its build
  top1: {{max_drop: 0.02, versus: fp32}}
"""


def init(
    name: Annotated[
        str, typer.Argument(help="Name of the model: lower-case letters, digits and '-'.")
    ] = "my-model",
    *,
    json: Json = False,
) -> None:
    """Write manifests/NAME.yaml.

    A small model on scikit-learn's digits that validates and builds as it is.
    """
    if not NAME.fullmatch(name):
        raise WrongUse(
            f"not a model name: {name!r} (lower-case letters, digits and '-')",
            hint="zoo init my-model",
        )
    path = Path(MANIFESTS) / f"{name}.yaml"
    if path.exists():
        raise WrongUse(f"{path} is there already", hint=f"zoo validate {path}")
    write_bytes(path, STARTER.format(name=name).encode())
    if json:
        emit_json({"manifest": str(path)})
    else:
        console().print(f"wrote {path}\nnext: zoo build {path}", markup=False)
