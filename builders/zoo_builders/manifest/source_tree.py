"""Reading what a plan depends on, from the working tree or from a git commit.

Digests of large files are remembered.

    .zoo/cache/digests.json    {path: [size, mtime_ns, inode, sha256]}

A remembered digest is used while size, modification time and inode are what they were; anything
else is hashed again.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, OtherSide, WrongUse
from zoo_registry.model.files import digest_file, write_bytes

_ZEROS = re.compile(r"0{7,64}")
_ANY = "--since HEAD~1 or --since origin/main"


class Tree(Protocol):
    """Files as they stand somewhere: in the working tree, or in a commit.

    Paths are absolute, as the working tree has them.
    """

    def read(self, path: Path) -> bytes:
        """Give a file's bytes.

        Raises:
            NotFound: there is no such file.
        """

    def exists(self, path: Path) -> bool:
        """Whether there is a file or folder."""

    def digest(self, path: Path) -> Digest:
        """Sha256 of a file; of a folder, over the relative names and digests of its files.

        Raises:
            NotFound: there is neither.
        """


def folder_digest(files: Iterator[tuple[str, Digest]]) -> Digest:
    """Hash a folder as the sorted list of its files, `sha256  name` a line."""
    lines = sorted(f"{digest}  {name}\n" for name, digest in files)
    return Digest(hashlib.sha256("".join(lines).encode()).hexdigest())


def _files_below(folder: Path) -> Iterator[Path]:
    """List the files of a folder, those of linked folders included; a circle of links once."""
    seen = set[str]()
    for root, inner, names in os.walk(folder, followlinks=True):
        inner[:] = [name for name in inner if _unseen(os.path.join(root, name), seen)]  # noqa: PTH118
        yield from (file for name in names if (file := Path(root, name)).is_file())


def _unseen(folder: str, seen: set[str]) -> bool:
    """Whether a linked folder was not yet walked; plain folders are walked always."""
    if not os.path.islink(folder):  # noqa: PTH114
        return True
    real = os.path.realpath(folder)
    known = real in seen
    seen.add(real)
    return not known


@dataclass(slots=True)
class Digests:
    """Remembers digests of files between runs, in one JSON file; losing it costs only time."""

    path: Path
    _known: dict[str, tuple[int, int, int, str]] = field(default_factory=dict)
    _loaded: bool = False
    _changed: bool = False

    def of(self, path: Path) -> Digest:
        """Give the sha256 of a file, from memory where the file did not change."""
        self._load()
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(str(path))
        if known is not None and tuple(known[:3]) == stamp:
            return Digest(known[3])
        digest = digest_file(path)
        self._known[str(path)] = (*stamp, str(digest))
        self._changed = True
        return digest

    def save(self) -> None:
        """Write down what was learned."""
        if self._changed:
            write_bytes(self.path, json.dumps(self._known, indent=0, sort_keys=True).encode())
            self._changed = False

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        with suppress(OSError, ValueError, TypeError):
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            entries = {
                name: (int(e[0]), int(e[1]), int(e[2]), str(Digest(e[3])))
                for name, e in stored.items()
            }
            self._known = entries


@dataclass(slots=True)
class WorkTree:
    """The files as they are now."""

    digests: Digests

    def read(self, path: Path) -> bytes:
        """Give a file's bytes; NotFound when there is none."""
        try:
            return path.read_bytes()
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}") from error

    def exists(self, path: Path) -> bool:
        """Whether there is a file or folder."""
        return path.exists()

    def digest(self, path: Path) -> Digest:
        """Hash a file, or a folder by names and digests; NotFound when there is neither."""
        if path.is_dir():
            inner = sorted(_files_below(path))
            return folder_digest(
                (entry.relative_to(path).as_posix(), self.digests.of(entry)) for entry in inner
            )
        try:
            return self.digests.of(path)
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Repository:
    """A git working tree, asked through the `git` command."""

    root: Path

    @classmethod
    def around(cls, path: Path) -> "Repository":
        """Find the repository that holds `path`.

        Raises:
            WrongUse: there is none, or git is not installed.
        """
        folder = path if path.is_dir() else path.parent
        found = _git(
            folder, "rev-parse", "--show-toplevel", hint="git init, or run inside a git repository"
        )
        return cls(Path(os.fsdecode(found).strip()).resolve())

    def commit(self, ref: str) -> str:
        """Resolve a ref to a commit id.

        Raises:
            WrongUse: git knows no such commit; the hint is the command that fetches it.
        """
        if not ref.strip() or ref.startswith("-"):
            raise WrongUse(f"no commit is called {ref!r}", hint=f"git log --oneline, then {_ANY}")
        if _ZEROS.fullmatch(ref):
            raise WrongUse(
                f"{ref} is no commit: it is how git says that there was none before (the first"
                " push of a branch)",
                hint=f"git fetch origin main, then {_ANY}",
            )
        try:
            found = _git(self.root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        except WrongUse as error:
            raise self._no_commit(ref) from error
        return os.fsdecode(found).strip()

    def _no_commit(self, ref: str) -> WrongUse:
        """Say why there is no such commit, and how to get it."""
        if not _git(self.root, "rev-list", "--all", "--max-count=1").strip():
            return WrongUse("this repository has no commit yet", hint="git commit")
        if _git(self.root, "rev-parse", "--is-shallow-repository").strip() == b"true":
            held = int(_git(self.root, "rev-list", "--all", "--count"))
            return WrongUse(
                f"this clone is shallow: it holds {held} commits, and {ref} is none of them",
                hint="git fetch --unshallow   # in a GitHub workflow: fetch-depth: 0",
            )
        names = os.fsdecode(_git(self.root, "remote")).split()
        bare = re.split(r"[\^~@:]", ref, maxsplit=1)[0]
        if not names or bare in {"", "HEAD"}:
            return WrongUse(f"git knows no commit {ref!r}", hint="git log --oneline")
        remote, slash, branch = bare.partition("/")
        fetch = f"{remote} {branch}" if slash and remote in names else f"{names[0]} {bare}"
        return WrongUse(f"git knows no commit {ref!r} here", hint=f"git fetch {fetch}")

    def dirty(self) -> bool:
        """Whether files differ from the current commit."""
        return bool(_git(self.root, "status", "--porcelain", "--untracked-files=no").strip())

    def inside(self, path: Path) -> str | None:
        """Spell an absolute path as git does; None when it lies outside."""
        try:
            return path.resolve().relative_to(self.root).as_posix()
        except ValueError:
            return None


@dataclass(slots=True)
class GitTree:
    """The files as a commit has them.

    What lies outside the repository, or is ignored by git, is taken from the working tree.
    """

    repository: Repository
    commit: str
    outside: WorkTree
    _entries: dict[str, str] | None = None

    def entries(self) -> dict[str, str]:
        """Name → object id of every file in the commit."""
        if self._entries is None:
            listing = _git(self.repository.root, "ls-tree", "-r", "-z", "--full-tree", self.commit)
            rows = (row.split("\t", 1) for row in os.fsdecode(listing).split("\0") if row)
            self._entries = {name: meta.split()[2] for meta, name in rows}
        return self._entries

    def naming(self, text: str, suffixes: Sequence[str]) -> list[Path]:
        """List the files of the commit with one of these suffixes that hold `text`, sorted."""
        patterns = [f"*{suffix}" for suffix in suffixes]
        words = ("grep", "-l", "-z", "-I", "-F", "-e", text, self.commit, "--", *patterns)
        found = os.fsdecode(_git(self.repository.root, *words, nothing=1)).split("\0")
        return sorted(self.repository.root / name.partition(":")[2] for name in found if name)

    def read(self, path: Path) -> bytes:
        """Give a file's bytes as committed; NotFound when the commit has none."""
        name = self._name(path)
        if name is None:
            return self.outside.read(path)
        if name not in self.entries():
            raise NotFound(f"{name}: not in commit {self.commit[:12]}")
        return _git(self.repository.root, "cat-file", "blob", self.entries()[name])

    def exists(self, path: Path) -> bool:
        """Whether the commit has a file or folder there."""
        name = self._name(path)
        if name is None:
            return self.outside.exists(path)
        return name in self.entries() or bool(self._below(name))

    def digest(self, path: Path) -> Digest:
        """Hash a file or folder as committed; NotFound when there is neither."""
        name = self._name(path)
        if name is None:
            return self.outside.digest(path)
        if name not in self.entries() and (below := self._below(name)):
            root = self.repository.root
            return folder_digest(
                (str(PurePosixPath(inner).relative_to(name)), Digest.of(self.read(root / inner)))
                for inner in below
            )
        return Digest.of(self.read(path))

    def _below(self, name: str) -> list[str]:
        return [inner for inner in self.entries() if inner.startswith(f"{name}/")]

    def _name(self, path: Path) -> str | None:
        name = self.repository.inside(path)
        if name is None or name in self.entries() or self._below(name):
            return name
        return None if path.exists() and self._ignored(name) else name

    def _ignored(self, name: str) -> bool:
        command = ["git", "-C", str(self.repository.root), "check-ignore", "--quiet", "--", name]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _git(folder: Path, *arguments: str, hint: str = "", nothing: int = 0) -> bytes:
    """Run git without the environment of an outer call.

    Hooks and worktrees then do not mislead it. The exit code `nothing` is an answer too.
    """
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], check=False, capture_output=True, env=env
        )
    except FileNotFoundError as error:
        raise OtherSide("git is not installed", hint="apt install git") from error
    if done.returncode not in {0, nothing}:
        words = os.fsdecode(done.stderr).strip() or "no such commit"
        raise WrongUse(f"git {' '.join(arguments)}: {words}", hint=hint)
    return done.stdout
