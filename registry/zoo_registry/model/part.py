"""What all parts of a record are made of.

Frozen values, plain JSON, the kinds of numbers they hold, and how a wrong one is told.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,94}[a-z0-9])?$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[Finite, Finite]


class Part(BaseModel):
    """Base of all parts of a record: frozen values, plain JSON."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Value(BaseModel):
    """Base of what answers are made of: frozen."""

    model_config = ConfigDict(frozen=True)


def is_empty(value: object) -> bool:
    """Whether a field that came later is left out.

    What was written before it must keep its bytes.
    """
    return not value


def shorten(text: str, limit: int) -> str:
    """Cut `text` to at most `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def explain(error: ValidationError) -> str:
    """Turn pydantic's report into one line a mistake: `key: what (found …)`."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"]) or "record"
        lines.append(f"{key}: {item['msg']} (found {shorten(repr(item.get('input')), 80)})")
    return "; ".join(lines)
