"""Where artifacts are to be published: addresses are judged before anything is built.

Nothing is contacted. A package that a remote needs may be missing here: another machine may
publish.
"""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from zoo_builders.manifest.diagnostics import Mistakes
from zoo_client.remotes import EMBEDDED, REMOTES, open_remote
from zoo_client.settings import Settings
from zoo_registry.model.errors import MissingExtra, WrongUse, ZooError

DEFAULT = "registry"
"""The target that is the registry of the settings, or the project's own."""

EXAMPLES = (
    f"write {DEFAULT}, or an address: https://zoo.example.org, hub://org/repo, s3://bucket/prefix,"
    " file:///srv/zoo"
)
_HUB = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})


def refusal(target: str) -> ZooError | None:
    """Say why nothing can be published to `target`; None where the address is one."""
    if target in {DEFAULT, EMBEDDED, f"{EMBEDDED}:"}:
        return None
    scheme, colon, _ = target.partition(":")
    if not target.strip() or target != target.strip():
        return WrongUse(f"{target!r} is no address", hint=EXAMPLES)
    if not colon or "/" in scheme:
        return _no_scheme(target)
    return REMOTES.refusal(scheme.lower()) or _refused(target)


def _refused(target: str) -> ZooError | None:
    """Ask the remote itself; it contacts nobody yet."""
    try:
        open_remote(target, Settings.read({}))
    except MissingExtra:
        return None
    except ZooError as error:
        return WrongUse(error.message, hint=error.hint or EXAMPLES)
    parts = urlsplit(target)
    if parts.hostname in _HUB:
        hint = f"write hub://{parts.path.strip('/')}"
        return WrongUse(f"{target!r} is the Hub, not a registry", hint=hint)
    return _no_folder(unquote(parts.path)) if parts.scheme == "file" else None


def check(targets: Sequence[str], mistakes: Mistakes) -> None:
    """Note every target of `publish` that is no address."""
    for index, target in enumerate(targets):
        if error := refusal(target):
            mistakes.add(("publish", index), error.message, error.hint)


def demand(targets: Sequence[str]) -> None:
    """Insist that every target is an address.

    Raises:
        WrongUse: one is not; the message names it.
    """
    for target in targets:
        if error := refusal(target):
            raise WrongUse(f"cannot publish to {target!r}: {error.message}", hint=error.hint)


def _no_scheme(target: str) -> ZooError:
    if "/" in target or target.startswith(("~", ".")):
        place = Path(target).expanduser().absolute()
        return WrongUse(f"a path is no address: {target!r}", hint=f"write {place.as_uri()}")
    return REMOTES.refusal(target) or WrongUse(f"{target!r} is no address", hint=EXAMPLES)


def _no_folder(text: str) -> ZooError | None:
    """Say which file lies where the folder, or one above it, should be."""
    place = Path(text)
    nearest = next((path for path in (place, *place.parents) if path.exists()), place)
    if nearest.is_dir() or not nearest.exists():
        return None
    return WrongUse(f"{nearest} is a file, not a folder", hint="name a folder, or a new one")
