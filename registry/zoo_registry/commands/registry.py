"""`zoo registry`: keep a registry in order.

Works on the database and the store directly; a server may be running meanwhile.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from zoo_registry.settings import Settings

VERB = {
    "group": "Platform engineer",
    "rank": 20,
    "help": "Migrate, reindex, verify, clean the registry; make tokens.",
    "extra": "registry",
    "call": "app",
}

app = typer.Typer(
    help="Keep a registry in order: migrate, reindex, verify, collect garbage, hand out tokens.",
    no_args_is_help=True,
)
token = typer.Typer(help="Tokens of those who may write.", no_args_is_help=True)
app.add_typer(token, name="token")

Db = Annotated[
    str | None,
    typer.Option(help="Catalogue: a path or an SQLAlchemy URL (ZOO_DB; .zoo/registry/zoo.db)."),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store", help="Blobs: a folder or s3://bucket/prefix (ZOO_STORE; .zoo/registry)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@contextmanager
def _opened(db: str | None, store: str | None) -> Iterator[Any]:
    from zoo_registry.app import open_registry

    registry = open_registry(Settings.read(db=db, store=store))
    try:
        yield registry
    finally:
        registry.close()


def _say(value: BaseModel | dict[str, Any] | list[Any], line: str, *, as_json: bool) -> None:
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    sys.stdout.write((json.dumps(data, indent=2) if as_json else line) + "\n")


def _listed(title: str, lines: list[str]) -> str:
    return "".join(f"\n  {title} {line}" for line in lines)


@app.command()
def migrate(*, db: Db = None, as_json: Json = False) -> None:
    """Bring the database's tables to this program's version."""
    from zoo_registry.catalogue import Catalogue

    with Catalogue(Settings.read(db=db).db) as catalogue:
        found, now = catalogue.migrated
    _say(
        {"from": found, "to": now},
        f"schema version {now}" + (f" (was {found})" if found != now else ""),
        as_json=as_json,
    )


@app.command()
def reindex(*, db: Db = None, store: StoreUrl = None, as_json: Json = False) -> None:
    """Rebuild the catalogue from the store alone. Ends with 1 when a release could not be read."""
    with _opened(db, store) as registry:
        done = registry.reindex()
    broken = _listed("cannot be read:", [f"{ref}: {why}" for ref, why in done.broken.items()])
    _say(done, f"{done.releases} releases" + broken, as_json=as_json)
    if done.broken:
        raise typer.Exit(1)


@app.command()
def verify(*, db: Db = None, store: StoreUrl = None, as_json: Json = False) -> None:
    """Hash every blob again and look for missing ones.

    Ends with 1 when something is not as it was published.
    """
    with _opened(db, store) as registry:
        found = registry.verify()
    wrong = _listed("damaged: sha256:", list(found.damaged))
    wrong += _listed(
        "missing:", [f"sha256:{digest} of {ref}" for digest, ref in found.missing.items()]
    )
    wrong += _listed("broken:", [f"{ref}: {why}" for ref, why in found.broken.items()])
    _say(
        found,
        f"{found.blobs} blobs, {found.bytes} bytes: {'whole' if found.whole else 'not whole'}"
        + wrong,
        as_json=as_json,
    )
    if not found.whole:
        raise typer.Exit(1)


@app.command()
def gc(
    *,
    db: Db = None,
    store: StoreUrl = None,
    grace_hours: Annotated[
        float, typer.Option(help="Keep what is younger; a publisher needs it.", min=0)
    ] = 24.0,
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Drop blobs that no release needs, and uploads that stand still."""
    with _opened(db, store) as registry:
        done = registry.collect(grace_s=grace_hours * 3600, dry_run=dry_run)
    verb = "would drop" if dry_run else "dropped"
    _say(
        done,
        f"{verb} {len(done.blobs)} blobs of {done.bytes} bytes and {done.uploads} uploads",
        as_json=as_json,
    )


@token.command()
def create(
    *,
    scope: Annotated[
        list[str], typer.Option(help="read, publish, measure or admin; may be given several times.")
    ],
    label: Annotated[str, typer.Option(help="Who it is for.")] = "",
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it. It is kept nowhere and cannot be shown again."""
    from zoo_registry.catalogue import Catalogue, tokens
    from zoo_registry.stores.layout import now, stamp

    with Catalogue(Settings.read(db=db).db) as catalogue:
        made = tokens.create(catalogue.engine, label, tuple(scope), stamp(now()))
    _say({"token": made, "scopes": scope, "label": label}, made, as_json=as_json)


@token.command("list")
def list_(*, db: Db = None, as_json: Json = False) -> None:
    """List the tokens by id; the tokens themselves are kept nowhere."""
    from zoo_registry.catalogue import Catalogue, tokens

    with Catalogue(Settings.read(db=db).db) as catalogue:
        found = tokens.listed(catalogue.engine)
    lines = [f"{item.id}  {item.created}  {','.join(item.scopes)}  {item.label}" for item in found]
    _say([asdict(item) for item in found], "\n".join(lines) or "no tokens", as_json=as_json)


@token.command()
def revoke(
    identity: Annotated[str, typer.Argument(help="The id that `token list` shows.")],
    *,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Make a token worthless."""
    from zoo_registry.catalogue import Catalogue, tokens

    with Catalogue(Settings.read(db=db).db) as catalogue:
        tokens.revoke(catalogue.engine, identity)
    _say({"revoked": identity}, f"revoked {identity}", as_json=as_json)
