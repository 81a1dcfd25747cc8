"""Results of stages, kept by fingerprint.

    .zoo/cache/stages/
        ab/ab12…ef/                  one finished result; it appears by a rename, whole, and is
                                     never changed
            stage.json               {stage, files {name: {sha256, size}}, started, duration_s,
                                     host}
            model.keras …            the files, read-only
        ab/.ab12…ef.<random>.tmp/    being written; left behind only by a crash, removed by the next
                                     who makes that stage
        ab/.ab12…ef.scratch/         checkpoints of a stage that trains: outlive a crash, removed
                                     once the result is there
        ab/.ab12…ef.lock             held (flock) by whoever makes it, so that two builders do not
                                     do the same work twice

A result is right because it was renamed into place when complete, never because a lock was held:
    without locks two builders would
do the work twice, and the second would find the place taken and use what is there.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from zoo_builders.stage import Stage
from zoo_client import machine
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.files import digest_file, sync_folder, write_bytes

NOTE = "stage.json"


class Kept(BaseModel):
    """One file of a result."""

    model_config = ConfigDict(frozen=True)

    sha256: Digest
    size: int


class Note(BaseModel):
    """What `stage.json` says of a result."""

    model_config = ConfigDict(frozen=True)

    stage: dict[str, Any]
    files: dict[str, Kept]
    started: datetime
    duration_s: float
    host: str
    platform: str = ""
    """Key of the class of machine that made it; empty in results of older programs."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One file of a result that is not what it was when it was made."""

    fingerprint: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class StageCache:
    """The results below one folder, usually `.zoo/cache/stages`."""

    root: Path

    def folder(self, fingerprint: str) -> Path:
        """Where the result of a stage is, or would be."""
        return self.root / fingerprint[:2] / fingerprint

    def has(self, fingerprint: str) -> bool:
        """Whether the result is there, with all files at their full size (`verify` also hashes)."""
        folder = self.folder(fingerprint)
        if not (folder / NOTE).is_file():
            return False
        return not any(
            _misfit(folder, name, kept, deep=False)
            for name, kept in self.note(fingerprint).files.items()
        )

    def note(self, fingerprint: str) -> Note:
        """Read what is known of a result.

        Raises:
            BuildFailed: `stage.json` cannot be read; the hint removes the result.
        """
        path = self.folder(fingerprint) / NOTE
        try:
            return Note.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BuildFailed(
                f"{path} cannot be read: {error}", hint=f"rm -rf {path.parent}   # it is made again"
            ) from error

    @contextlib.contextmanager
    def making(self, fingerprint: str) -> Iterator[None]:
        """Hold the lock of one stage; waits while another process makes it.

        Clears what a crash left behind.
        """
        shelf = self.root / fingerprint[:2]
        shelf.mkdir(parents=True, exist_ok=True)
        with _locked(shelf / f".{fingerprint}.lock"):
            for left in shelf.glob(f".{fingerprint}.*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            if self.folder(fingerprint).exists() and not self.has(fingerprint):
                self.remove(fingerprint)
            yield

    @contextlib.contextmanager
    def workspace(self, fingerprint: str) -> Iterator[Path]:
        """Give an empty folder to write a result into.

        It is removed unless `keep` moved it away.
        """
        shelf = self.root / fingerprint[:2]
        shelf.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{fingerprint}.", suffix=".tmp", dir=shelf))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch(self, fingerprint: str) -> Path:
        """Give the folder where a stage keeps what lets a killed run be taken up again.

        Made if it is not there.
        """
        folder = self.root / fingerprint[:2] / f".{fingerprint}.scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(
        self, stage: Stage, workspace: Path, *, started: datetime, duration_s: float, host: str
    ) -> Path:
        """Make a finished workspace the stage's result: hash, write `stage.json`, flush, rename.

        Raises:
            BuildFailed: the stage left nothing, or something that is not a plain file.
        """
        files = _take_stock(workspace, stage)
        spelled = stage.model_dump(mode="json") | {"fingerprint": stage.fingerprint}
        note = Note(
            stage=spelled,
            files=files,
            started=started,
            duration_s=duration_s,
            host=host,
            platform=machine.here().key,
        )
        write_bytes(workspace / NOTE, (note.model_dump_json(indent=2) + "\n").encode(), mode=0o444)
        folder = self.folder(stage.fingerprint)
        workspace.chmod(0o755)
        with contextlib.suppress(
            OSError
        ):  # somebody else finished first: the place is taken, and theirs is as good
            workspace.rename(folder)
        if not self.has(stage.fingerprint):
            raise BuildFailed(
                f"{folder} could not be put in place", hint="df -h .   # is the disk full?"
            )
        sync_folder(folder.parent)
        shutil.rmtree(self.scratch(stage.fingerprint), ignore_errors=True)
        return folder

    def remove(self, fingerprint: str) -> None:
        """Forget a result: first out of sight by a rename, then away."""
        folder = self.folder(fingerprint)
        aside = Path(tempfile.mkdtemp(prefix=f".{fingerprint}.", suffix=".tmp", dir=folder.parent))
        with contextlib.suppress(FileNotFoundError):
            folder.rename(aside / "old")
        shutil.rmtree(aside, ignore_errors=True)

    def fingerprints(self) -> tuple[str, ...]:
        """List all results that are complete, sorted."""
        return tuple(
            sorted(
                note.parent.name
                for note in self.root.glob(f"??/*/{NOTE}")
                if not note.parent.name.startswith(".")
            )
        )

    def verify(self) -> tuple[Damage, ...]:
        """Hash every file of every result again; give what differs. Reads the whole cache."""
        found = []
        for fingerprint in self.fingerprints():
            folder = self.folder(fingerprint)
            files = self.note(fingerprint).files
            for name, kept in files.items():
                reason = _misfit(folder, name, kept, deep=True)
                if reason:
                    found.append(Damage(fingerprint, name, reason))
            strangers = {path.name for path in folder.iterdir()} - set(files) - {NOTE}
            found += [
                Damage(fingerprint, name, "does not belong here") for name in sorted(strangers)
            ]
        return tuple(found)


def _misfit(folder: Path, name: str, kept: Kept, *, deep: bool) -> str:
    try:
        size = (folder / name).stat().st_size
    except OSError:
        return "is missing"
    if size != kept.size:
        return f"has {size} bytes, expected {kept.size}"
    if deep and (found := digest_file(folder / name)) != kept.sha256:
        return f"expected sha256:{kept.sha256}, found sha256:{found}"
    return ""


def _take_stock(workspace: Path, stage: Stage) -> dict[str, Kept]:
    paths = sorted(workspace.iterdir())
    strange = [path.name for path in paths if not path.is_file() or path.is_symlink()]
    if strange or not paths:
        raise BuildFailed(f"stage {stage.name} left {strange or 'nothing'}; expected plain files")
    files = {}
    for path in paths:
        path.chmod(0o444)
        flush(path)
        files[path.name] = Kept(sha256=digest_file(path), size=path.stat().st_size)
    return files


def flush(path: Path) -> None:
    """Make a file's bytes survive a power cut."""
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


@contextlib.contextmanager
def _locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def quiet(root: Path, *, measuring: bool) -> Iterator[None]:
    """Keep measurements apart from all other stages, of other builds in this cache too.

    One writer or many readers.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / ".quiet.lock", shared=not measuring):
        yield
