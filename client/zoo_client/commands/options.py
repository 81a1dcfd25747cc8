"""Options that several verbs share, spelled once."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from zoo_client import machine
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.platform import HERE
from zoo_registry.model.query import Query, parse_size
from zoo_registry.model.record import explain

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="URL",
        help=(
            "Remote: https://…, s3://…, file://…, hub://org/repo. Default: ZOO_REGISTRY, else the"
            " project's."
        ),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
To = Annotated[
    Path | None,
    typer.Option("--to", metavar="PATH", help="File or folder to write. Default: ./NAME.tflite"),
]
AllowYanked = Annotated[
    bool, typer.Option("--allow-yanked", help="Take a version that was withdrawn.")
]

ANY = "any"
"""What people write for a device when every place may answer."""

_TEXT = {
    "task": "Task, such as image-classification.",
    "model": "Model, such as mobilenet-v2.",
    "technique": "A technique of the recipe, or none for the plain float model.",
    "license": "Licence.",
    "dataset": "Data set of the metrics: NAME, NAME:SPLIT or NAME#DIGEST.",
    "labels": "What the outputs mean, such as imagenet-1k.",
    "device": (
        "Device with a measurement, such as host-cpu; here: machines like this one, which a latency"
        " means by default; any: wherever somebody measured."
    ),
    "platform": "Class of machine, such as host-cpu/x86-64-avx2: a key, or its first parts.",
}
_BUDGET: dict[str, tuple[Any, Any]] = {
    **{
        name: (Annotated[str | None, typer.Option(f"--{name}", help=text)], None)
        for name, text in _TEXT.items()
    },
    "threads": (
        Annotated[int | None, typer.Option("--threads", help="Threads of the measurement.")],
        None,
    ),
    "max_latency": (
        Annotated[
            float | None,
            typer.Option("--max-latency", metavar="MS", help="Slowest median, in milliseconds."),
        ],
        None,
    ),
    "max_ratio": (
        Annotated[
            float | None,
            typer.Option("--max-ratio", metavar="X", help="Slowest ratio to the float baseline."),
        ],
        None,
    ),
    "max_size": (
        Annotated[
            str | None,
            typer.Option("--max-size", metavar="SIZE", help="Largest file, such as 4MB."),
        ],
        None,
    ),
    "max_size_gzip": (
        Annotated[
            str | None,
            typer.Option("--max-size-gzip", metavar="SIZE", help="Largest download, gzipped."),
        ],
        None,
    ),
    "minimum": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--min", metavar="METRIC=X", help="Least quality: --min-top1 0.9 or --min top1=0.9."
            ),
        ],
        None,
    ),
}


class BudgetCommand(TyperCommand):
    """A command that takes `--min-METRIC X` for any metric there is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Rewrite `--min-top1 0.9` as `--min top1=0.9` before the options are read."""
        return super().parse_args(ctx, _spelled_out(args))


def _spelled_out(args: list[str]) -> list[str]:
    words, made = iter(args), list[str]()
    for word in words:
        name, equals, value = word.removeprefix("--min-").partition("=")
        if not word.startswith("--min-"):
            made.append(word)
        else:
            made += ["--min", f"{name.replace('-', '_')}={value if equals else next(words, '')}"]
    return made


def budget(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the filters and limits as options.

    It receives them as one `Query` in its parameter `query`.
    """

    @wraps(verb)
    def asked(**given: Any) -> None:
        options = {name: given.pop(name) for name in _BUDGET}
        verb(query=placed(to_query(options)), **given)

    own = [
        p for p in inspect.signature(verb, eval_str=True).parameters.values() if p.name != "query"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _BUDGET.items()
    ]
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    # what typer reads
    asked.__signature__ = inspect.Signature([*keywords, *added])  # type: ignore[attr-defined]
    return asked


def to_query(options: dict[str, Any]) -> Query:
    """Read the options as a `Query`.

    Raises:
        InvalidQuery: a size or a limit does not parse; the message says which and what one looks
            like.
    """
    limits = {
        "max_latency_ms": options["max_latency"],
        "max_ratio": options["max_ratio"],
        "max_size": None if options["max_size"] is None else parse_size(options["max_size"]),
        "max_size_gzip": (
            None if options["max_size_gzip"] is None else parse_size(options["max_size_gzip"])
        ),
        "min_metrics": dict(map(_minimum, options["minimum"] or ())),
    }
    facets = {name: options[name] for name in (*_TEXT, "threads")}
    return updated(Query(), facets | limits)


def placed(query: Query) -> Query:
    """Let `here`, and a limit on times without a place, mean machines like this one.

    Where this machine's class is not known, a limit means any place.

    Raises:
        InvalidQuery: `here` is asked for, and nobody can tell what this machine is.
    """
    asked = {query.device, query.platform}
    if HERE in asked:
        mine = machine.here()
        if not mine.known:
            raise InvalidQuery(
                f"this machine does not tell its class: {mine.told}",
                hint="zoo search --device host-cpu   # answers for each class there is",
            )
        return query.model_copy(update={"device": None, "platform": mine.key})
    if query.device == ANY:
        return query.model_copy(update={"device": None})
    if not query.needs_timing or asked != {None}:
        return query
    mine = machine.here()
    return query.model_copy(update={"platform": mine.key}) if mine.known else query


def updated(query: Query, changes: dict[str, Any]) -> Query:
    """Change fields of a query, checked.

    Raises:
        InvalidQuery: a value breaks the field's limits.
    """
    try:
        return Query.model_validate(
            query.model_dump() | {key: value for key, value in changes.items() if value is not None}
        )
    except ValidationError as error:
        raise InvalidQuery(explain(error), hint="zoo search --help") from error


def _minimum(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InvalidQuery(
            f"not a limit: --min {text!r} (expected METRIC=NUMBER, such as top1=0.9)",
            hint="zoo search --min-top1 0.9",
        ) from None
