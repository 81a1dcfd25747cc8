"""What `zoo.json` in a repository of the Hub holds: the truth of what is released there. Pure."""

from collections.abc import Iterator

from pydantic import BaseModel

from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, ReleaseExists, Yanked
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.ref import Ref
from zoo_registry.model.summary import Summary

FILE = "zoo.json"


class Claim(BaseModel):
    """One released version, and what a listing shows of it.

    It holds the digests of its record and file, when it was released, and where its bytes are.
    """

    record: Digest
    file: Digest
    published: str
    summary: Summary
    yanked: str | None = None
    measurements: tuple[Digest, ...] = ()


class State(BaseModel):
    """What `zoo.json` holds.

    Variant → version → claim, variant → the version that lies in its folder, variant → alias →
    version.
    """

    releases: dict[str, dict[str, Claim]] = {}
    current: dict[str, str] = {}
    aliases: dict[str, dict[str, str]] = {}

    def claims(self) -> Iterator[tuple[str, str, Claim]]:
        """Give (variant, version, claim) of everything that is released."""
        for variant, versions in self.releases.items():
            for version, claim in versions.items():
                yield variant, version, claim

    def stands(self, record: Record) -> bool:
        """Whether this file is released under this version already.

        Raises:
            ReleaseExists: another file is.
        """
        standing = self.releases.get(record.variant, {}).get(record.version)
        if standing is None or standing.file == record.file.sha256:
            return standing is not None
        raise ReleaseExists(
            f"{record.name}@{record.version} is released with the file sha256:{standing.file},"
            f" not sha256:{record.file.sha256}",
            hint=f"zoo bump manifests/{record.model}.yaml   # raise the version; releases never"
            " change",
        )

    def release(self, record: Record, sha256: Digest, when: str) -> None:
        """Add a version, which from now on lies in its variant's folder."""
        claim = Claim(
            record=sha256,
            file=record.file.sha256,
            published=when,
            summary=Summary.of(record, sha256),
        )
        self.releases.setdefault(record.variant, {})[record.version] = claim
        self.current[record.variant] = record.version

    def measured(self, variant: str, version: str, record: Record, added: Measurement) -> None:
        """Add a measurement to a version, and its timings to what a listing shows."""
        claim = self.releases[variant][version]
        more = Summary.of(record, claim.record, added=(added,)).timings[len(record.measurements) :]
        timings = (*claim.summary.timings, *more)
        self.releases[variant][version] = claim.model_copy(
            update={
                "measurements": (*claim.measurements, Digest.of(canonical(added))),
                "summary": claim.summary.model_copy(update={"timings": timings}),
            }
        )

    def select(self, ref: Ref, url: str) -> tuple[str, str]:
        """Give variant and version of what `ref` names; a version range passes over yanked ones.

        Raises:
            NotFound: no such name, version or alias; `url` names the repository in messages.
            Yanked: all versions that it could mean were withdrawn.
        """
        variants = {
            claim.summary.name: variant
            for variant, versions in self.releases.items()
            for claim in versions.values()
        }
        if ref.name not in variants:
            raise NotFound(
                f"{url} has no artifact {ref.name!r}",
                hint=f"zoo search --from {url}   # has {', '.join(sorted(variants))}",
            )
        variant = variants[ref.name]
        claims = self.releases[variant]
        if ref.is_alias:
            chosen = self.aliases.get(variant, {}).get(ref.selector)
        else:
            chosen = ref.pick(
                version for version, claim in claims.items() if ref.exact or claim.yanked is None
            )
        gone = ref.pick(claims) if chosen is None and not ref.is_alias else None
        if gone is not None:
            raise Yanked(
                f"all versions of {ref} were withdrawn; {gone}: {claims[gone].yanked}",
                hint=f"zoo show {ref.name}@{gone}",
            )
        if chosen is None or chosen not in claims:
            raise NotFound(
                f"{url} has no {ref}",
                hint=f"zoo search --from {url}   # released: {', '.join(claims)}",
            )
        return variant, chosen

    def summary(self, claim: Claim) -> Summary:
        """What a listing shows of a version today: with its aliases and whether it is yanked."""
        item = claim.summary
        mine = sorted(
            alias
            for alias, version in self.aliases.get(item.variant, {}).items()
            if version == item.version
        )
        return item.model_copy(
            update={
                "aliases": tuple(mine),
                "yanked": claim.yanked is not None,
                "published": claim.published,
            }
        )
