"""A release as a repository in the Hugging Face Hub's layout.

Pure: a release in, files and answers out.

    zoo/<name>                the repository of one artifact
      <name>.tflite           the file, as on the Hub a large one: known by its sha256
      golden.npz              its golden vectors, where it has any; large too
      record.json             the record, byte for byte as published
      README.md               the model card, written from the record

A **revision** is `main` (the latest), a tag `v1.0.0`, an alias, whatever else a ref selects
(`1.0.0`, `^1`), or a commit. The **commit** of a release is the first 40 digits of its record's
sha256: whoever pins it gets this release for ever.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from zoo_registry.model import card
from zoo_registry.model.digest import Digest
from zoo_registry.model.ref import LATEST, Ref
from zoo_registry.model.summary import Summary
from zoo_registry.stores.layout import Release

OWNER = card.OWNER
MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TAG = re.compile(r"v(\d+\.\d+\.\d+.*)")


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """One file of a repository.

    A large one is a blob of the store and known by its sha256, a small one by its git object id.
    """

    path: str
    size: int
    oid: str
    sha256: Digest
    content: bytes | None = None
    pointer_size: int = 0

    @property
    def large(self) -> bool:
        """Whether the Hub would keep it outside of git (LFS)."""
        return self.content is None

    @property
    def etag(self) -> str:
        """What names the bytes: sha256 for large files, the git object id for small ones."""
        return self.sha256 if self.large else self.oid


def commit_of(record_sha256: Digest) -> str:
    """Give the commit that stands for a release."""
    return record_sha256[:40]


def selector_of(revision: str, versions: Iterable[Summary]) -> str:
    """Translate a revision into a ref's selector.

    A commit that is none of `versions` stays as it is.
    """
    if revision == MAIN:
        return LATEST
    if _COMMIT.fullmatch(revision):
        return next(
            (item.version for item in versions if commit_of(item.record_sha256) == revision),
            revision,
        )
    tag = _TAG.fullmatch(revision)
    return tag[1] if tag else revision


def files_of(release: Release) -> dict[str, RepositoryFile]:
    """List the files of a release by path."""
    record = release.record
    found = [_large(f"{record.name}.tflite", record.file.sha256, record.file.size)]
    if record.golden is not None:
        found.append(_large("golden.npz", record.golden.sha256, record.golden.size))
    found += [
        _small("record.json", release.record_bytes),
        _small("README.md", card.for_registry(record).encode()),
    ]
    return {file.path: file for file in sorted(found, key=lambda file: file.path)}


def _small(path: str, content: bytes) -> RepositoryFile:
    return RepositoryFile(path, len(content), _git_id(content), Digest.of(content), content)


def _large(path: str, sha256: Digest, size: int) -> RepositoryFile:
    """Describe a blob the way git-lfs does: what git keeps is a pointer (git-lfs, docs/spec.md)."""
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )
    return RepositoryFile(path, size, _git_id(pointer), sha256, pointer_size=len(pointer))


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class HubPart(BaseModel):
    """Base of what is said in the Hub's words."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class TreeLfs(HubPart):
    """A large file in a tree."""

    oid: Digest
    size: int
    pointer_size: int


class TreeEntry(HubPart):
    """One file of a tree; `oid` is git's."""

    type: str = "file"
    path: str
    size: int
    oid: str
    lfs: TreeLfs | None = None


class SiblingLfs(HubPart):
    """A large file in a description."""

    sha256: Digest
    size: int
    pointer_size: int


class Sibling(HubPart):
    """One file in a description."""

    rfilename: str
    size: int
    blob_id: str
    lfs: SiblingLfs | None = None


class GitRef(HubPart):
    """A branch or a tag."""

    name: str
    ref: str
    target_commit: str


class Refs(HubPart):
    """`main` and the aliases as branches, the versions as tags."""

    branches: tuple[GitRef, ...]
    tags: tuple[GitRef, ...]
    converts: tuple[GitRef, ...] = ()


class Description(HubPart):
    """One revision of a repository. The Hub spells two of its keys otherwise than the rest."""

    id: str
    model_id: str
    author: str = OWNER
    sha: str
    created_at: str
    last_modified: str
    private: bool
    gated: bool = False
    disabled: bool = False
    library_name: Annotated[str, Field(alias="library_name")]
    pipeline_tag: Annotated[str, Field(alias="pipeline_tag")]
    tags: tuple[str, ...]
    card_data: dict[str, Any]
    siblings: tuple[Sibling, ...]
    used_storage: int


def describe(release: Release, *, private: bool) -> Description:
    """Describe a repository at one revision."""
    name, files, data = (
        f"{OWNER}/{release.record.name}",
        files_of(release),
        card.metadata([release.record]),
    )
    return Description(
        id=name,
        model_id=name,
        sha=commit_of(release.record_sha256),
        private=private,
        created_at=release.published,
        last_modified=release.published,
        library_name=data["library_name"],
        pipeline_tag=data["pipeline_tag"],
        tags=(*data["tags"], f"license:{data['license']}"),
        card_data=data,
        siblings=tuple(map(_sibling, files.values())),
        used_storage=sum(file.size for file in files.values()),
    )


def _sibling(file: RepositoryFile) -> Sibling:
    lfs = (
        SiblingLfs(sha256=file.sha256, size=file.size, pointer_size=file.pointer_size)
        if file.large
        else None
    )
    return Sibling(rfilename=file.path, size=file.size, blob_id=file.oid, lfs=lfs)


def tree(files: Iterable[RepositoryFile]) -> tuple[TreeEntry, ...]:
    """List files as a tree."""

    def lfs(file: RepositoryFile) -> TreeLfs | None:
        return (
            TreeLfs(oid=file.sha256, size=file.size, pointer_size=file.pointer_size)
            if file.large
            else None
        )

    return tuple(
        TreeEntry(path=file.path, size=file.size, oid=file.oid, lfs=lfs(file)) for file in files
    )


def refs(name: str, versions: Iterable[Summary]) -> Refs:
    """List branches and tags of a repository; without a version that stands there is no `main`."""
    known = tuple(versions)
    commits = {item.version: commit_of(item.record_sha256) for item in known}
    latest = Ref(name).pick(item.version for item in known if not item.yanked)
    heads = {alias: item.version for item in known for alias in item.aliases} | (
        {MAIN: latest} if latest else {}
    )
    return Refs(
        branches=tuple(
            GitRef(name=head, ref=f"refs/heads/{head}", target_commit=commits[heads[head]])
            for head in sorted(heads)
        ),
        tags=tuple(
            GitRef(name=f"v{v}", ref=f"refs/tags/v{v}", target_commit=commit)
            for v, commit in commits.items()
        ),
    )
