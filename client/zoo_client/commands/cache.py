"""`zoo cache`: the pulled files kept on this machine.

It also lists the results that this project's builds keep.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from zoo_client.cache import Cache
from zoo_client.commands.options import Json
from zoo_client.output import console, emit_json, remark, table
from zoo_client.settings import Settings
from zoo_registry.model import formatting
from zoo_registry.model.query import parse_size

VERB = {
    "group": "Everyone",
    "rank": 80,
    "help": "List, clean or check the pulled files kept on this machine.",
    "call": "app",
}

app = typer.Typer(
    add_completion=False, help="List, clean or check the pulled files kept on this machine."
)


@app.command("list")
def list_entries(*, as_json: Json = False) -> None:
    """List what was pulled, last used first."""
    cache = Cache(Settings.read().cache)
    entries = cache.entries()
    if as_json:
        rows = [
            {
                "name": e.record.name,
                "version": e.record.version,
                "sha256": e.record.file.sha256,
                "size": e.size,
                "used": e.used,
            }
            for e in entries
        ]
        emit_json({"path": cache.root, "size": cache.size(), "entries": rows})
        return
    made = table("name", "version", ">size", "last used", "sha256")
    for e in entries:
        made.add_row(
            Text(e.record.name, style="bold"),
            e.record.version,
            formatting.size(e.size),
            f"{e.used:%Y-%m-%d %H:%M}",
            e.record.file.sha256.short,
        )
    console().print(made)
    remark(f"{formatting.size(cache.size())} in {cache.root}")


@app.command("gc")
def gc(
    *,
    older_than: Annotated[
        int | None,
        typer.Option(
            "--older-than", metavar="DAYS", min=0, help="Drop what was not used for so many days."
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            help="Drop the longest unused until the rest fits, such as 2GB.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Free space: unfinished downloads, files nothing refers to, and what the options say.

    Anything can be pulled again.
    """
    age = None if older_than is None else timedelta(days=older_than)
    size = None if max_size is None else parse_size(max_size)
    freed = Cache(Settings.read().cache).gc(older_than=age, max_size=size, dry_run=dry_run)
    if as_json:
        emit_json(
            {"records": freed.records, "blobs": freed.blobs, "size": freed.size, "dry_run": dry_run}
        )
        return
    for ref in freed.records:
        console().print(ref)
    console().print(
        f"{'would free' if dry_run else 'freed'} {formatting.size(freed.size)}:"
        f" {len(freed.records)} artifacts, {len(freed.blobs)} files"
    )


@app.command("verify")
def verify(*, as_json: Json = False) -> None:
    """Hash every file again, pulled or made by a build.

    A damaged one is put aside and fetched or made again (exit code 1).
    """
    settings = Settings.read()
    cache = Cache(settings.cache)
    count, damages = len(cache.blobs()), cache.verify()
    results, broken = _verify_results(settings.home / "cache" / "stages")
    if as_json:
        plain = [
            {"expected": d.digest, "found": d.found, "quarantined": d.quarantined} for d in damages
        ]
        stages = [
            {"fingerprint": d.fingerprint, "file": d.file, "reason": d.reason} for d in broken
        ]
        emit_json({"files": count, "damaged": plain, "results": results, "damaged_results": stages})
    else:
        for damage in damages:
            console().print(
                f"damaged: expected sha256:{damage.digest}\n         found   "
                f" sha256:{damage.found}\n         put in   {damage.quarantined}"
            )
        for damage in broken:
            console().print(
                f"damaged result of a build, dropped: {damage.fingerprint[:12]} {damage.file}:"
                f" {damage.reason}"
            )
        console().print(
            f"{count} pulled files and {results} results of builds hashed,"
            f" {len(damages) + len(broken)} damaged"
        )
    if damages or broken:
        raise typer.Exit(1)


def _verify_results(root: Path) -> tuple[int, Any]:
    """Hash what the builds of this project keep.

    A damaged result is dropped, so that the next build makes it again.
    """
    if not root.is_dir():
        return 0, ()
    from zoo_builders.running.stage_cache import StageCache

    results = StageCache(root)
    count, damages = len(results.fingerprints()), results.verify()
    for fingerprint in dict.fromkeys(damage.fingerprint for damage in damages):
        results.remove(fingerprint)
    return count, damages
