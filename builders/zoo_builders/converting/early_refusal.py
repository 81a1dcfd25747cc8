"""What the LiteRT quantizer would refuse of a finished file, known before it is loaded.

Which operators it takes in which widths stands in its package as a table of its own (JSON in
`default_policy.py`), which is read as text: importing the package costs a second; `zoo validate`
has two. What the table does not say is left to the quantizer.
"""

import importlib.util
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_builders.converting.operator_settings import Assigned, assign
from zoo_builders.techniques.quantize.engines import EIGHT_BITS
from zoo_builders.tflite import operator_names
from zoo_builders.tflite.tflite_file import TfliteFile
from zoo_registry.model.errors import BuildFailed

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize

_POLICY = re.compile(r'^DEFAULT_JSON_POLICY = """\n(.*?)^"""', re.DOTALL | re.MULTILINE)
_OTHER_NAMES: Mapping[str, str] = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}
_SHOWN = 6


@cache
def _table() -> Mapping[str, frozenset[str]]:
    """Read which operators the quantizer takes, by setting (`static_wi8_ai8`); empty: unknown."""
    spec = importlib.util.find_spec("litert_quantizer")
    try:
        text = (Path(str(spec and spec.origin)).parent / "default_policy.py").read_text("utf-8")
        found = _POLICY.search(text)
        rows = json.loads(found[1])["ops_per_config"] if found else {}
        return {str(name): frozenset(map(str, codes)) for name, codes in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def refusal(file: TfliteFile, settings: "Quantize") -> tuple[str, str] | None:
    """Say why a float file cannot be quantized as `settings` say, and what to write.

    None where nothing is known to be in the way.
    """
    try:
        assigned = assign(file.main, settings)
    except BuildFailed as error:
        return error.message, error.hint
    refused = [one for one in assigned if _is_refused(one, settings)]
    if not refused:
        return None
    codes = ", ".join(dict.fromkeys(one.code for one in refused))
    names = list(dict.fromkeys(operator_names.layer_of(one.known_as) for one in refused))
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    message = f"engine litert has no {settings.dtype} for {codes}: {shown}{more}"
    weightless = all(one.code not in EIGHT_BITS for one in refused)
    return message, f"write keep_float: [{codes}]" + (
        ", or allow_float_fallback: true" if weightless else ""
    )


def _is_refused(one: Assigned, settings: "Quantize") -> bool:
    """Whether the table leaves an operator out, and the recipe does not let it stay in float."""
    if not one.activations or one.weights not in {"int8", "int4"}:
        return False
    taken = _table().get(f"static_wi{one.weights[3:]}_ai{one.activations}")
    if taken is None or _OTHER_NAMES.get(one.code, one.code) in taken:
        return False
    return one.code in EIGHT_BITS or not settings.allow_float_fallback
