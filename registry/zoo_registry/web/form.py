"""The budget form: its fields are the API's parameters, filled from the address. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo_registry.model import formatting
from zoo_registry.model.platform import told
from zoo_registry.model.query import Query
from zoo_registry.web import urls
from zoo_registry.web.urls import Params


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the budget form; `name` is the API's parameter."""

    name: str
    label: str
    kind: str
    value: str = ""
    unit: str = ""
    placeholder: str = ""
    options: tuple[Option, ...] = ()
    most: str = ""
    main: bool = False


def form(params: Params, facets: Mapping[str, Sequence[str]]) -> tuple[FormField, ...]:
    """Give the fields of the budget form, filled from the address; `main` ones are always shown.

    Args:
        params: the parameters of the page.
        facets: values to choose from, by parameter name; each `metric` gets its own lower limit.
    """
    given = dict(params)

    def select(
        name: str,
        label: str,
        *,
        main: bool = False,
        extra: Sequence[str] = (),
        spelled: Callable[[str], str] = str,
    ) -> FormField:
        value = given.get(name, "")
        values = list(dict.fromkeys([*extra, *facets.get(name, ())]))
        values += [value] if value and value not in values else []
        options = tuple(Option(v, spelled(v), v == value) for v in values)
        return FormField(
            name,
            label,
            "select",
            value,
            options=(Option("", "any", not value), *options),
            main=main,
        )

    def number(
        name: str, label: str, unit: str, placeholder: str, *, most: str = "", main: bool = False
    ) -> FormField:
        value = given.get(name, "")
        # A browser drops what is not a number from a number field; what was typed must stay to be
        # seen.
        return FormField(
            name,
            label,
            "number" if _is_number(value) else "text",
            value,
            unit,
            placeholder,
            most=most,
            main=main,
        )

    def text(name: str, label: str, placeholder: str, *, main: bool = False) -> FormField:
        return FormField(
            name, label, "text", given.get(name, ""), placeholder=placeholder, main=main
        )

    lower = [name.removeprefix("min_") for name in given if name.startswith("min_")]
    names = list(dict.fromkeys(["top1", *facets.get("metric", ()), *lower]))
    return (
        select("device", "Device", main=True),
        select("platform", "Machine", main=True, spelled=told),
        number("max_latency_ms", "Latency at most", "ms", "8", main=True),
        text("max_size_gzip", "Download at most", "4 MB", main=True),
        *(
            number(
                f"min_{name}",
                f"{formatting.metric_name(name).capitalize()} at least",
                "",
                "0.7",
                most=_most(name),
                main=index == 0,
            )
            for index, name in enumerate(names)
        ),
        select("task", "Task"),
        select("dataset", "Data set"),
        select("labels", "Labels"),
        select("technique", "Technique", extra=("none",)),
        select("license", "Licence"),
        select("model", "Model"),
        number("threads", "Threads", "", "1"),
        number("max_ratio", "Ratio at most", f"{formatting.TIMES} float", "0.7"),
        text("max_size", "File at most", "10 MB"),
        text("q", "Words", "in name or description"),
    )


def _is_number(text: str) -> bool:
    try:
        return not text or math.isfinite(float(text))
    except ValueError:
        return False


def _most(metric: str) -> str:
    return "1" if formatting.is_share(metric) else ""


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that is in force, and the address without it."""

    text: str
    href: str


def chips(params: Params, query: Query) -> tuple[Chip, ...]:
    """Say which filters are in force."""
    limits = {
        "max_latency_ms": query.max_latency_ms,
        "max_ratio": query.max_ratio,
        "max_size": query.max_size,
    }
    limits |= {"max_size_gzip": query.max_size_gzip} | {
        f"min_{name}": value for name, value in query.min_metrics.items()
    }
    found = []
    for name, raw in params:
        if name in urls.PAGING or name == "sort":
            continue
        limit = limits.get(name)
        sign = "≥" if name.startswith("min_") else "≤"
        label = name.replace("_", " ")
        text = (
            f"{label}: {raw}"
            if limit is None
            else f"{formatting.limit_name(name)} {sign} {formatting.limit_value(name, limit)}"
        )
        found.append(Chip(text, urls.address("/", urls.changed(params, {name: None}))))
    return tuple(found)
