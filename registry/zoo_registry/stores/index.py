"""`index.json`: the summaries of all releases in one document.

A store without a server can be searched in one read.

    {"schema": "edgezoo/index/v1", "entries": [{"state": sha256, "summary": {…}}, …]}

It is a convenience, never the truth: each entry carries the state of the release it was made from
(its record, yank, aliases and added measurements, as the listing of the store names them), and an
entry whose state is not today's is read again.
"""

from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from zoo_registry.model.canonical import canonical, digest_of, parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    DigestMismatch,
    Forbidden,
    InvalidRecord,
    NotFound,
    Unreachable,
    Unsupported,
)
from zoo_registry.model.summary import Summary
from zoo_registry.stores.base import Store
from zoo_registry.stores.reading import aliases, load_release, released

KEY = "index.json"
_SCHEMA = "edgezoo/index/v1"
_FORMAT = 2
"""Raised when summaries hold more than before: entries of older programs are then made anew."""

_ATTEMPTS = 20


class _Entry(BaseModel):
    state: Digest
    summary: Summary


class _Index(BaseModel):
    entries: tuple[_Entry, ...] = ()


def update_index(store: Store) -> tuple[Summary, ...]:
    """Bring `index.json` up to date and give its summaries, by name and then version.

    Racing writers all end well.

    Raises:
        Unreachable: others kept writing for as long as this tried.
    """
    for _ in range(_ATTEMPTS):
        found = store.load(KEY)
        fresh = _fresh(store, _parsed(found[0]) if found else _Index())
        data = canonical(
            {"schema": _SCHEMA, "entries": [entry.model_dump(mode="json") for entry in fresh]}
        )
        if (found and found[0] == data) or store.replace(KEY, data, found[1] if found else None):
            return tuple(entry.summary for entry in fresh)
    raise Unreachable(
        f"{store.url}/{KEY} kept changing; what was published is safe, the list is behind",
        hint="zoo publish   # again",
    )


def index(store: Store) -> tuple[Summary, ...]:
    """Give the summaries of all releases that can be read, by name and then version.

    Reads `index.json`, and again every release whose entry is missing or stale; writes the repaired
    index back where it may.
    """
    found = store.load(KEY)
    old = _parsed(found[0]) if found else _Index()
    fresh = _fresh(store, old)
    if fresh != old.entries:
        with suppress(Forbidden, Unreachable, Unsupported):
            return update_index(store)
    return tuple(entry.summary for entry in fresh)


def _parsed(data: bytes) -> _Index:
    """Read an index; one that cannot be read is as good as none.

    Nor is an entry of a program that knew less of a summary.
    """
    try:
        found = parse(data, limit=len(data))
        _Index.model_validate(found)
        entries = [entry for entry in found["entries"] if _complete(entry)]
        return _Index.model_validate({"entries": entries})
    except (InvalidRecord, ValidationError, KeyError, TypeError):
        return _Index()


def _complete(entry: Any) -> bool:
    """Whether an entry says the data set of each metric, and each timing's class of machine."""
    timings = entry["summary"]["timings"]
    return "scores" in entry["summary"] and all(timing.get("platform") for timing in timings)


def _fresh(store: Store, old: _Index) -> tuple[_Entry, ...]:
    """Keep the entries that are still right and make the others anew.

    A damaged release has no entry.
    """
    kept = {(entry.summary.name, entry.summary.version): entry for entry in old.entries}
    entries = []
    for (name, version), state in _states(store).items():
        entry = kept.get((name, version))
        if entry is None or entry.state != state:
            with suppress(NotFound, DigestMismatch, InvalidRecord):
                entries.append(
                    _Entry(state=state, summary=load_release(store, name, version).summary)
                )
        else:
            entries.append(entry)
    return tuple(entries)


def _states(store: Store) -> dict[tuple[str, str], Digest]:
    """Say of every release what its summary depends on.

    Listings alone say it: releases never change, so their name is enough.
    """
    parts: dict[tuple[str, str], list[str]] = {pair: [] for pair in released(store)}
    for key in (*store.keys("yanks/"), *store.keys("measurements/")):
        kind, name, *rest = key.removesuffix(".json").split("/")
        parts.get((name, rest[0] if rest else ""), []).append("/".join((kind, *rest)))
    for name, pointing in _pointing(store).items():
        for alias, version in pointing.items():
            parts.get((name, version), []).append(f"alias/{alias}")
    return {
        release: digest_of([f"format/{_FORMAT}", *sorted(said)]) for release, said in parts.items()
    }


def _pointing(store: Store) -> dict[str, dict[str, str]]:
    """Give the aliases of all artifacts."""
    return {
        name: aliases(store, name) for name in {key.split("/")[1] for key in store.keys("aliases/")}
    }
