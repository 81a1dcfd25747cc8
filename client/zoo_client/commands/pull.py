"""`zoo pull`: one artifact, by name or by budget; verified before it appears."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from zoo_client import listing
from zoo_client.cache import Cache
from zoo_client.commands.options import AllowYanked, BudgetCommand, From, Json, To, budget
from zoo_client.output import console, emit_json, remark, transfer
from zoo_client.pull import Pulled, destination, find, pull
from zoo_client.remotes import open_remote
from zoo_client.remotes.base import Remote
from zoo_client.settings import Settings
from zoo_registry.model import formatting
from zoo_registry.model.answers import NearMiss, OnPlatform
from zoo_registry.model.errors import NothingFits, WrongUse
from zoo_registry.model.evaluate import unmeasured
from zoo_registry.model.files import write_bytes
from zoo_registry.model.query import Query
from zoo_registry.model.ref import Ref
from zoo_registry.stores.layout import Release

VERB = {
    "group": "Everyone",
    "rank": 20,
    "help": "Download one artifact, by name or by budget, verified.",
    "call": "app",
}

app = typer.Typer(add_completion=False)

What = Annotated[
    str | None,
    typer.Argument(
        metavar="REF",
        help=r"NAME\[@VERSION or ALIAS]\[#sha256:…]; leave it out to pull the best for a budget.",
    ),
]
WithRecord = Annotated[
    bool, typer.Option("--record", help="Write the record beside the file, as PATH.record.json.")
]


@app.command("pull", cls=BudgetCommand)
@budget
def pull_verb(  # noqa: PLR0913  the options of the command
    *,
    query: Query,
    ref: What = None,
    to: To = None,
    url: From = None,
    with_record: WithRecord = False,
    allow_yanked: AllowYanked = False,
    as_json: Json = False,
) -> None:
    """Download one artifact, by name or by budget.

    What stood at the destination stays until the new file is complete and right.
    """
    settings = Settings.read()
    remote = open_remote(url, settings)
    chosen, why = _choose(remote, ref, query)
    release = find(remote, chosen, allow_yanked=allow_yanked)
    _must_fit(release, query if ref else Query())
    pulled = _with_progress(remote, Cache(settings.cache), release, to)
    if with_record:
        write_bytes(Path(f"{pulled.path}.record.json"), release.record_bytes)
    if as_json:
        emit_json(_document(pulled, why))
    else:
        _say(pulled, why)


def _choose(remote: Remote, ref: str | None, query: Query) -> tuple[Ref, str]:
    """Give what is asked for: the name, or what is best for the budget and why.

    Raises:
        WrongUse: neither a name nor a budget was given.
        NothingFits: no artifact meets the budget.
    """
    if ref is not None:
        return Ref.parse(ref), ""
    if query == Query():
        raise WrongUse(
            "zoo pull wants a name or a budget",
            hint="zoo pull NAME, or zoo pull --task … --device … --max-latency 8 --min-top1 0.9",
        )
    resolution = remote.resolve(query)
    if resolution.unmeasured is not None:
        raise NothingFits(
            f"nothing fits: {resolution.unmeasured.message}",
            hint=f"{resolution.unmeasured.bench}   # measures it here; or --device any",
        )
    if resolution.chosen is None:
        raise nothing_fits(resolution.near_misses)
    best = resolution.chosen
    for other in resolution.elsewhere:
        remark(f"on {other.platform}: {_answer(other)}")
    return Ref(best.name, best.version, best.file_sha256), resolution.why


def _answer(other: OnPlatform) -> str:
    chosen = other.chosen
    return f"{chosen.name}@{chosen.version}, {other.why}" if chosen else other.why


def nothing_fits(misses: tuple[NearMiss, ...]) -> NothingFits:
    """Say that nothing fits; on a terminal with the table of what almost does."""
    out = console(err=True)
    if misses and out.is_terminal:
        out.print(listing.near(misses))
    return NothingFits(
        f"nothing fits the budget{'; nearest: ' if misses else ''}{listing.in_words(misses)}",
        hint="zoo search …   # the same filters, looser",
    )


def _must_fit(release: Release, query: Query) -> None:
    """Hold a named artifact against the budget given with it, on one platform at least."""
    found = [NearMiss(item=row, misses=query.misses(row)) for row in query.apart(release.summary)]
    elsewhere = unmeasured(query, [release.summary]) if query.needs_timing else None
    if elsewhere is not None and query.timing(release.summary) is None:
        raise NothingFits(elsewhere.message, hint=f"{elsewhere.bench}   # measures it here")
    if all(near.misses for near in found):
        raise nothing_fits((min(found, key=lambda near: near.distance),))


def _with_progress(remote: Remote, cache: Cache, release: Release, to: Path | None) -> Pulled:
    with transfer(release.record.name, release.record.file.size) as advance:
        return pull(remote, cache, release, destination(release.record, to), advance=advance)


def _document(pulled: Pulled, why: str) -> dict[str, object]:
    record = pulled.record
    return {
        "name": record.name,
        "version": record.version,
        "sha256": record.file.sha256,
        "size": record.file.size,
        "path": str(pulled.path),
        "record_sha256": pulled.release.record_sha256,
        "from": pulled.source,
        "cached": not pulled.fetched,
        "why": why,
    }


def _say(pulled: Pulled, why: str) -> None:
    if pulled.damage is not None:
        damage = pulled.damage
        remark(
            f"the cache held damaged bytes (expected sha256:{damage.digest}, found"
            f" sha256:{damage.found}); put aside, fetched again"
        )
    if why:
        remark(why)
    how = "verified" if pulled.fetched else "verified, from the cache"
    line = Text.assemble(
        (pulled.release.ref, "bold"),
        f"  {formatting.size(pulled.record.file.size)}"
        f"  sha256:{pulled.record.file.sha256.short}…  ",
        (how, "green"),
    )
    console().print(line)
    console().print(Text(str(pulled.path)))
