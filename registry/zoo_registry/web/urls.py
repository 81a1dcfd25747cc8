"""A question as an address, as a REST call and as a command: the same parameters in each. Pure."""

import shlex
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

Params = tuple[tuple[str, str], ...]

PAGING = frozenset({"cursor", "limit"})
_OPTIONS = {"max_latency_ms": "max_latency"}
_FLAGS = frozenset({"pareto", "all_versions", "yanked"})
_ON = frozenset({"1", "true", "on", "yes"})


def clean(pairs: Iterable[tuple[str, str]]) -> Params:
    """Drop what a form sends for fields left empty, and white space around values."""
    return tuple((name, value.strip()) for name, value in pairs if value.strip())


def changed(params: Params, changes: Mapping[str, str | None]) -> Params:
    """Replace parameters, keeping the order; None removes.

    Paging starts again, because the list is another one.
    """
    kept = tuple(
        (name, value) for name, value in params if name not in changes and name != "cursor"
    )
    return kept + tuple((name, value) for name, value in changes.items() if value)


def address(path: str, params: Params) -> str:
    """Spell a path with a query string."""
    return f"{path}?{urlencode(params)}" if params else path


def artifact(name: str, version: str = "") -> str:
    """Spell the page of an artifact."""
    return f"/artifacts/{quote(name, safe='')}" + (f"/{quote(version, safe='')}" if version else "")


def search_command(params: Params) -> str:
    """Spell the search for a shell.

    `zoo search --device host-cpu --max-latency 8 --min-top1 0.7 cat`.
    """
    options = [option for name, value in params if (option := _option(name, value))]
    sought = dict(params).get("q", "")
    end = ["--"] if sought.startswith("-") else []
    return " ".join(["zoo search", *options, *end, *map(shlex.quote, sought.split())])


def _option(name: str, value: str) -> str:
    """Spell one parameter as an option of the command.

    Empty for what the command has no word for.
    """
    if name in PAGING or name == "q":
        return ""
    option = f"--{_OPTIONS.get(name, name).replace('_', '-')}"
    if name in _FLAGS:
        return option if value.lower() in _ON else ""
    return (
        f"{option}={shlex.quote(value)}"
        if value.startswith("-")
        else f"{option} {shlex.quote(value)}"
    )


def pull_command(name: str, version: str, digest: str = "") -> str:
    """Spell the pull of exactly this release; with a digest, of exactly these bytes."""
    pin = f"#sha256:{digest}" if digest else ""
    return f"zoo pull {shlex.quote(f'{name}@{version}{pin}')}"


def get_command(address: str) -> str:
    """Spell a GET for a shell: `curl 'https://…/v1/artifacts?device=host-cpu'`."""
    return f"curl {shlex.quote(address)}"
