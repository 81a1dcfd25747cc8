"""One tree of errors, shared by builders, registry and client.

    ZooError
    ├── WrongUse            (exit 2)  what was typed or written cannot mean anything
    │   ├── InvalidManifest           a manifest is wrong: file, line, key, what was expected
    │   ├── InvalidRef                an artifact ref does not parse
    │   ├── InvalidQuery              a search cannot be understood
    │   ├── InvalidRecord             a record or measurement breaks its schema
    │   ├── UnfitFile                 a file that was named is damaged, or of another network
    │   ├── UnknownPlugin             nobody registered that name
    │   ├── BrokenPlugin              another distribution's plugin cannot be used
    │   ├── MissingExtra              the verb's package is not installed
    │   ├── TooLarge                  more bytes than the limit
    │   └── Forbidden                 a token without the scope
    │       └── Unauthorized          no token, or an unknown one
    ├── AnswerIsNo          (exit 1)  the question was fine and the answer is no
    │   ├── NotFound                  no such artifact, version, alias or blob
    │   ├── Yanked                    the release was withdrawn
    │   ├── NothingFits               no artifact meets the budget
    │   ├── GoalMissed                a goal of the manifest was not met
    │   ├── ProofFailed               the file does not hold what its recipe promises
    │   ├── Unsupported               a recipe, device or store cannot do what is asked
    │   ├── DigestMismatch            bytes are not the bytes they claim to be
    │   ├── ReleaseExists             other bytes are published under that version already
    │   └── VersionUnchanged          content changed, the manifest's version did not
    └── OtherSide           (exit 3)  a server, store, worker or device failed
        ├── Unreachable               no answer, or not one we understand
        ├── BuildFailed               a stage ended without its result
        │   ├── Loops                 a float file holds loops that no ranges can be measured in
        │   ├── DiskFull              there is no room for what is to be written
        │   ├── OutOfMemory           it wanted more memory than there is
        │   └── Crashed               its process ended without a word
        └── MeasureFailed             the device could not run the file

Every error says what was found and what was expected, and ends in a `hint`: the next command to
type. `slug` and `status` make the same error travel as an RFC 9457 problem document and come back
as the same class.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self


class ZooError(Exception):
    """Base of all errors this project raises on purpose.

    Attributes:
        message: what happened, with the value found and the value expected.
        hint: the next command to type or the change to make; empty when there is none.
    """

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    slug: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., "ZooError"], tuple[Any, ...]]:
        """Cross process boundaries whole, whatever the subclass asks of its constructor."""
        return _revive, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class WrongUse(ZooError):
    """What was typed or written cannot mean anything."""

    exit_code = 2
    status = 422
    slug = "wrong-use"


class InvalidManifest(WrongUse):
    """A manifest is wrong.

    The message starts with `file:line: key`, so that editors can jump there.
    """

    slug = "invalid-manifest"
    mistakes: tuple["InvalidManifest", ...] = ()

    def __init__(
        self, message: str, *, hint: str = "", file: str = "", line: int = 0, key: str = ""
    ) -> None:
        place = f"{file}:{line}" if line else file
        where = ": ".join(part for part in (place, key) if part)
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.file, self.line, self.key, self.reason = file, line, key, message

    @classmethod
    def several(cls, found: Sequence["InvalidManifest"], *, file: str) -> Self:
        """Make one error of all mistakes in a file: one line each, in the order of the file.

        `mistakes` keeps them apart.
        """
        ordered = sorted(found, key=lambda mistake: mistake.line)
        error = cls("\n".join(map(str, ordered)), hint=f"mend them, then zoo validate {file}")
        error.file, error.line, error.key, error.mistakes = (
            file,
            ordered[0].line,
            ordered[0].key,
            tuple(ordered),
        )
        return error


class InvalidRef(WrongUse):
    """An artifact ref does not parse."""

    slug = "invalid-ref"


class InvalidQuery(WrongUse):
    """A search cannot be understood."""

    slug = "invalid-query"


class InvalidRecord(WrongUse):
    """A record or measurement breaks its schema, or speaks of another file."""

    slug = "invalid-record"


class UnfitFile(WrongUse):
    """A file that was named is damaged, or of another network than the manifest's."""

    slug = "unfit-file"


class UnknownPlugin(WrongUse):
    """Nobody registered that name; the hint names the nearest one."""

    slug = "unknown-plugin"


class BrokenPlugin(WrongUse):
    """A plugin that another installed distribution brings cannot be used; says whose it is."""

    slug = "broken-plugin"


class MissingExtra(WrongUse):
    """The package that brings this verb is not installed; the hint is the pip command."""

    slug = "missing-extra"


class TooLarge(WrongUse):
    """More bytes came than the limit allows; nothing was kept."""

    status = 413
    slug = "too-large"


class Forbidden(WrongUse):
    """A token without the scope, or credentials that the other side does not accept."""

    status = 403
    slug = "forbidden"


class Unauthorized(Forbidden):
    """No token, or an unknown one."""

    status = 401
    slug = "unauthorized"


class AnswerIsNo(ZooError):
    """The question was fine and the answer is no."""

    exit_code = 1
    status = 409
    slug = "no"


class NotFound(AnswerIsNo):
    """No such artifact, version, alias or blob."""

    status = 404
    slug = "not-found"


class Yanked(AnswerIsNo):
    """The release was withdrawn; the reason is in the message."""

    status = 410
    slug = "yanked"


class NothingFits(AnswerIsNo):
    """No artifact meets the budget; the message names the nearest misses."""

    status = 404
    slug = "nothing-fits"


class GoalMissed(AnswerIsNo):
    """A goal of the manifest was not met."""

    slug = "goal-missed"


class ProofFailed(AnswerIsNo):
    """The finished file does not hold what its recipe promises."""

    slug = "proof-failed"


class Unsupported(AnswerIsNo):
    """A recipe, device or store cannot do what is asked; said before anything was started."""

    status = 422
    slug = "unsupported"


class DigestMismatch(AnswerIsNo):
    """Bytes are not the bytes they claim to be."""

    status = 422
    slug = "digest-mismatch"

    def __init__(
        self, what: str, *, expected: str, actual: str, hint: str = "", algorithm: str = "sha256"
    ) -> None:
        super().__init__(
            f"{what}: expected {algorithm}:{expected}, found {algorithm}:{actual}", hint=hint
        )
        self.expected, self.actual = expected, actual


class ReleaseExists(AnswerIsNo):
    """Other bytes are published under that version already.

    Releases never change; raise the version.
    """

    status = 409
    slug = "release-exists"


class VersionUnchanged(AnswerIsNo):
    """What a manifest builds changed while its version did not."""

    slug = "version-unchanged"


class OtherSide(ZooError):
    """A server, store, worker or device failed."""

    exit_code = 3
    status = 502
    slug = "other-side"


class Unreachable(OtherSide):
    """No answer, or not one we understand."""

    status = 503
    slug = "unreachable"


class BuildFailed(OtherSide):
    """A stage ended without its result; the message carries the worker's last words."""

    slug = "build-failed"


class Loops(BuildFailed):
    """A float file holds loops, in which no ranges of activations can be measured."""

    slug = "loops"


class DiskFull(BuildFailed):
    """There is no room for what is to be written; what was finished before is kept."""

    slug = "disk-full"


class OutOfMemory(BuildFailed):
    """A stage wanted more memory than there is, or the kernel ended it for that."""

    slug = "out-of-memory"


class Crashed(BuildFailed):
    """The process of a stage ended without a word; its log says where it was."""

    slug = "crashed"


class MeasureFailed(OtherSide):
    """The device could not run the file; the message is the runtime's own.

    Attributes:
        kind: one of `MEASURE_FAILURES`.
    """

    slug = "measure-failed"

    def __init__(self, message: str, *, kind: str = "runtime", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


MEASURE_FAILURES = {
    "load": "the runtime cannot read or prepare the file",
    "interface": "this device cannot take the file's inputs or outputs",
    "runtime": "the runtime reported an error while it ran",
    "wrong-output": "the outputs are not the golden ones",
    "not-finite": "the outputs hold NaN or infinity",
    "hang": "no answer in time; the process was ended",
    "died": "the process that ran the file ended",
    "device": "the device itself does not answer",
}
"""Why a file has no latency on a device.

There is never a number, always one of these with the runtime's words.
"""


def _revive(kind: type[ZooError], args: tuple[Any, ...], state: Mapping[str, Any]) -> ZooError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _family(root: type[ZooError]) -> dict[str, type[ZooError]]:
    found = {root.slug: root}
    for child in root.__subclasses__():
        found |= _family(child)
    return found


def problem_document(slug: str, status: int, detail: str, hint: str = "") -> dict[str, Any]:
    """Spell an error as an RFC 9457 problem document with our `hint`.

    `from_problem` is the way back.
    """
    title = slug.replace("-", " ").capitalize()
    return {
        "type": f"urn:edgezoo:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "hint": hint,
    }


def kinds() -> tuple[type[ZooError], ...]:
    """List all kinds of errors but the root, by status and slug."""
    found = set(_family(ZooError).values()) - {ZooError}
    return tuple(sorted(found, key=lambda kind: (kind.status, kind.slug)))


def from_problem(slug: str, message: str, hint: str = "") -> ZooError:
    """Give back the error that a problem document describes.

    An unknown slug becomes `OtherSide`.
    """
    kind = _family(ZooError).get(slug, OtherSide)
    error = kind.__new__(kind)
    ZooError.__init__(error, message, hint=hint)
    return error
