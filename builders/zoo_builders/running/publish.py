"""Publishing finished bundles: from `.zoo/builds` to any number of remotes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_builders.manifest.targets import DEFAULT
from zoo_client.remotes import open_remote
from zoo_client.remotes.base import Bundle
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound
from zoo_registry.model.files import digest_file

RECORD, GOLDEN = "record.json", "golden.npz"


@dataclass(frozen=True, slots=True)
class Sent:
    """One bundle at one remote. `created` is False when the same bytes were there already."""

    name: str
    version: str
    remote: str
    url: str
    created: bool


def load_bundle(folder: Path) -> Bundle:
    """Read a finished bundle and check it: the record's digests are those of the files.

    Raises:
        NotFound: there is no record; the hint is the build.
        InvalidRecord, DigestMismatch: the folder does not hold what its record says.
    """
    try:
        record = (folder / RECORD).read_bytes()
    except OSError as error:
        raise NotFound(f"{folder} holds no finished build", hint="zoo build MANIFEST") from error
    files: dict[Digest, Path] = {
        digest_file(path): path
        for path in sorted(folder.iterdir())
        if path.suffix in {".tflite", ".npz"}
    }
    return Bundle.of(record, files)


def send(bundles: Iterable[Bundle], targets: Sequence[str], settings: Settings) -> list[Sent]:
    """Publish every bundle to every target.

    `registry` is the one of the settings (or the project's own).

    Raises:
        ReleaseExists: other bytes are published under that version already.
        UnknownPlugin, Unreachable, Forbidden: what the remote says.
    """
    remotes = [
        open_remote(None if target == DEFAULT else target, settings)
        for target in dict.fromkeys(targets or (DEFAULT,))
    ]
    found = []
    for bundle in bundles:
        for remote in remotes:
            published = remote.publish(bundle)
            record = bundle.record
            found.append(
                Sent(record.name, record.version, remote.url, published.url, published.created)
            )
    return found
