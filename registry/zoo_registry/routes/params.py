"""A question as query parameters, the same for the API and the pages. Pure.

Every parameter is a field of a question: a misspelled one is refused with the nearest valid name,
because a budget that is silently ignored is a wrong answer. An empty value counts as not given, as
forms send it. FastAPI's own query models would take the last of two values and know no
`min_<metric>`; and a page shows a mistake beside the form, so it reads its address by itself.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import Field, ValidationError

from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.platform import HERE
from zoo_registry.model.query import FrontAxis, Query, Text
from zoo_registry.model.record import explain, shorten
from zoo_registry.model.suggest import close

_MINIMUM = re.compile(r"min_([a-z0-9_]{1,40})")
_MINIMA, _EXAMPLE = "min_metrics", "min_top1"


class Search(Query):
    """A question with its paging."""

    limit: Annotated[int, Field(ge=1, le=200)] = Field(default=50, description="length of a page")
    cursor: Annotated[str, Field(max_length=2000)] | None = Field(
        default=None, description="the `next_cursor` of the page before, with the same search"
    )

    @property
    def query(self) -> Query:
        """The question alone: a cursor is bound to it."""
        return Query.model_construct(**{name: getattr(self, name) for name in Query.model_fields})


class Plane(Query):
    """A question whose answers stand in the plane of two properties."""

    x: FrontAxis = Field(default="latency_ms", description="what should be small")
    y: Text = Field(default="top1", description="the metric that should be large")


Asked = TypeVar("Asked", bound=Query)


def read(question: type[Asked], pairs: Iterable[tuple[str, str]]) -> Asked:
    """Read query parameters, such as `request.query_params.multi_items()`.

    Raises:
        InvalidQuery: a name is unknown or given twice, or a value cannot be understood.
    """
    known = [name for name in question.model_fields if name != _MINIMA]
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name not in known and not _MINIMUM.fullmatch(name):
            raise _unknown(name, known)
        if name in given:
            raise InvalidQuery(f"{name} is given twice")
        given[name] = value.strip()
    values = {name: value for name, value in given.items() if value}
    if HERE in (values.get("device"), values.get("platform")):
        raise InvalidQuery(
            f"{HERE!r}: a registry does not know your machine",
            hint="zoo search --device here, or platform=KEY with a key of /v1/devices",
        )
    minima = {name[4:]: values.pop(name) for name in list(values) if name not in known}
    try:
        return question.model_validate({**values, _MINIMA: minima})
    except ValidationError as error:
        raise InvalidQuery(explain(error).replace(f"{_MINIMA}.", "min_")) from error


def _unknown(name: str, known: Sequence[str]) -> InvalidQuery:
    near = close(name, (*known, _EXAMPLE))
    return InvalidQuery(
        f"no parameter is called {shorten(name, 60)!r}",
        hint=(f"did you mean {near!r}? " if near else "")
        + f"known: {', '.join(known)}, min_<metric>",
    )


def asking(question: type[Asked]) -> Callable[[Request], Asked]:
    """Make a dependency that reads the parameters of a request."""

    def asked(request: Request) -> Asked:
        return read(question, request.query_params.multi_items())

    return asked


def documented(question: type[Query]) -> dict[str, Any]:
    """Describe the parameters for OpenAPI; one that may be missing has the type of its value."""
    fields = question.model_json_schema()["properties"]
    minima = fields.pop(_MINIMA)
    fields[_EXAMPLE] = minima["additionalProperties"] | {"description": minima["description"]}
    return {"parameters": [_parameter(name, schema) for name, schema in fields.items()]}


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {"name": name, "in": "query", "required": False}
    described["description"] = schema["description"]
    value = {**schema, **schema.get("anyOf", ({},))[0]}
    kept = value.keys() - {"anyOf", "title", "description"}
    return described | {
        "schema": {key: value[key] for key in sorted(kept) if value[key] is not None}
    }
