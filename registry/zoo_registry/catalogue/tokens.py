"""Who may write: tokens and their scopes.

A token is shown once, when it is made; the database knows its sha256 only.
"""

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select

from zoo_registry.catalogue.engine import reading, writing
from zoo_registry.catalogue.schema import tokens
from zoo_registry.model.errors import NotFound, WrongUse

SCOPES = ("read", "publish", "measure", "admin")
PREFIX = "zoo_"


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """One token as it is listed. `id` is the start of its sha256."""

    id: str
    label: str
    scopes: tuple[str, ...]
    created: str


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create(engine: Engine, label: str, scopes: tuple[str, ...], created: str) -> str:
    """Make a token with `scopes` and give it; it cannot be shown again.

    Raises:
        WrongUse: a scope is unknown, or there is none.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise WrongUse(
            f"not a scope: {', '.join(unknown) or 'none given'} (expected some of"
            f" {', '.join(SCOPES)})"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    row = {
        "sha256": _hash(token),
        "label": label,
        "scopes": ",".join(dict.fromkeys(scopes)),
        "created": created,
    }
    with writing(engine) as connection:
        connection.execute(insert(tokens).values(row))
    return token


def scopes_of(engine: Engine, token: str) -> frozenset[str] | None:
    """Give the scopes of a token, or None when nobody made it. `admin` holds all."""
    with reading(engine) as connection:
        found = connection.execute(
            select(tokens.c.scopes).where(tokens.c.sha256 == _hash(token))
        ).scalar_one_or_none()
    if found is None:
        return None
    scopes = frozenset(str(found).split(","))
    return frozenset(SCOPES) if "admin" in scopes else scopes | {"read"}


def listed(engine: Engine) -> tuple[TokenInfo, ...]:
    """List all tokens, oldest first."""
    with reading(engine) as connection:
        rows = connection.execute(select(tokens).order_by(tokens.c.created, tokens.c.sha256)).all()
    return tuple(
        TokenInfo(row.sha256[:12], row.label, tuple(row.scopes.split(",")), row.created)
        for row in rows
    )


def revoke(engine: Engine, identity: str) -> None:
    """Make a token worthless, by its id.

    Raises:
        NotFound: no token has that id.
    """
    with writing(engine) as connection:
        gone = (
            connection.execute(
                delete(tokens).where(tokens.c.sha256.startswith(identity, autoescape=True))
            ).rowcount
            if identity
            else 0
        )
    if not gone:
        raise NotFound(f"no token has the id {identity!r}", hint="zoo registry token list")
