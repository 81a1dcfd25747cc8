"""Who may do what: bearer tokens with scopes."""

from dataclasses import dataclass

from zoo_registry.catalogue import Catalogue, tokens
from zoo_registry.model.errors import Forbidden, Unauthorized


@dataclass(frozen=True, slots=True)
class Access:
    """The doorkeeper of one registry.

    Attributes:
        trusted: everybody may write: the registry in a project's own folder.
        public_reads: reading needs no token.
        open_measurements: adding what a visitor's browser measured needs no token.
    """

    catalogue: Catalogue
    trusted: bool = False
    public_reads: bool = True
    open_measurements: bool = False

    def opens(self, scope: str) -> bool:
        """Whether `scope` needs no token here."""
        return (
            self.trusted
            or (scope == "read" and self.public_reads)
            or (scope == "measure" and self.open_measurements)
        )

    def check(self, authorization: str | None, scope: str, *, strictly: bool = False) -> None:
        """Let a request through that carries a token with `scope`.

        Args:
            authorization: the header, such as `Bearer zoo_…`.
            scope: read, publish, measure or admin.
            strictly: also where measurements are open to visitors.

        Raises:
            Unauthorized: there is no token, or nobody made it.
            Forbidden: it has other scopes only.
        """
        if self.trusted or (self.opens(scope) and not strictly):
            return
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise Unauthorized(
                f"this needs a token with the scope {scope!r}",
                hint=f"zoo registry token create --scope {scope}",
            )
        scopes = tokens.scopes_of(self.catalogue.engine, token.strip())
        if scopes is None:
            raise Unauthorized(
                "nobody made this token, or it was revoked",
                hint=f"zoo registry token create --scope {scope}",
            )
        if scope not in scopes:
            has = ", ".join(sorted(scopes))
            raise Forbidden(
                f"the token has {has}, this needs {scope!r}",
                hint=f"zoo registry token create --scope {scope}",
            )
