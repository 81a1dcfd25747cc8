"""The layout of the Hugging Face Hub, for reading.

`HF_ENDPOINT=<this registry> hf download zoo/<name>` works unchanged.

What its client needs beyond the bytes are headers (its `file_download.py` and `utils/_http.py` read
them): `X-Repo-Commit`, `X-Linked-Etag` and `X-Linked-Size` of large files, and, of an error,
`X-Error-Code` and `X-Error-Message`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from zoo_registry import repository
from zoo_registry.access import Access
from zoo_registry.model.errors import InvalidRef, NotFound, ZooError
from zoo_registry.model.ref import Ref
from zoo_registry.problems import of_error, problems
from zoo_registry.registry import Registry
from zoo_registry.repository import OWNER, Description, Refs, RepositoryFile, TreeEntry
from zoo_registry.routes.blobs import ANSWERS, MEDIA, send
from zoo_registry.routes.common import Zoo, answering
from zoo_registry.stores.layout import Release

_LONGEST = 500


class _Coded(Exception):
    """An error with the code by which the Hub's client tells errors apart."""

    def __init__(self, error: ZooError, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.error, self.headers = error, {"X-Error-Code": code, **(headers or {})}


def _refuse(_: Request, error: ZooError | _Coded) -> Response:
    """Answer with a problem document that has the headers the Hub's client looks for."""
    cause, headers = (error.error, error.headers) if isinstance(error, _Coded) else (error, {})
    answer = of_error(cause)
    said = " ".join(f"{cause.message}; {cause.hint}".split()).strip("; ")
    answer.headers.update(
        {**headers, "X-Error-Message": said[:_LONGEST].encode("ascii", "replace").decode()}
    )
    return answer


_FAILURES: tuple[type[ZooError | _Coded], ...] = (ZooError, _Coded)
router = APIRouter(
    tags=["hugging face"],
    route_class=answering(_refuse, *_FAILURES),
    responses=problems(401, 403, 404, 410, 422, 503),
)


@contextmanager
def _coding(code: str) -> Iterator[None]:
    """Give what is raised inside the code.

    What can be no name or version is not there, as far as the Hub's client goes.
    """
    try:
        yield
    except InvalidRef as error:
        raise _Coded(NotFound(error.message, hint=error.hint), code) from error
    except ZooError as error:
        raise _Coded(error, code) from error


def _named(owner: str, name: str) -> str:
    with _coding("RepoNotFound"):
        if owner != OWNER:
            raise NotFound(
                f"there is no {owner}/{name}: all repositories here are called {OWNER}/NAME",
                hint=f"hf download {OWNER}/{name}",
            )
        return Ref.parse(name).name


def _release(zoo: Registry, owner: str, name: str, revision: str) -> Release:
    """Find what a revision of a repository means."""
    known = _named(owner, name)
    with _coding("RepoNotFound"):
        versions = zoo.versions(known)
    with _coding("RevisionNotFound"):
        return zoo.release(Ref.parse(f"{known}@{repository.selector_of(revision, versions)}"))


@router.get("/api/models/{owner}/{name}", response_model_exclude_none=True)
def info(owner: str, name: str, request: Request, zoo: Zoo) -> Description:
    """Describe an artifact's latest version as a repository of the Hub."""
    return info_at(owner, name, repository.MAIN, request, zoo)


@router.get("/api/models/{owner}/{name}/revision/{revision}", response_model_exclude_none=True)
def info_at(owner: str, name: str, revision: str, request: Request, zoo: Zoo) -> Description:
    """Describe one version; a revision is `main`, `v1.0.0`, an alias, a range or a commit."""
    access: Access = request.app.state.access
    return repository.describe(
        _release(zoo, owner, name, revision), private=not (access.public_reads or access.trusted)
    )


@router.get("/api/models/{owner}/{name}/refs")
def refs(owner: str, name: str, zoo: Zoo) -> Refs:
    """List `main` and the aliases as branches, the versions as tags."""
    known = _named(owner, name)
    with _coding("RepoNotFound"):
        return repository.refs(known, zoo.versions(known))


@router.get("/api/models/{owner}/{name}/tree/{revision}", response_model_exclude_none=True)
def tree(owner: str, name: str, revision: str, zoo: Zoo) -> tuple[TreeEntry, ...]:
    """List the files of one version."""
    return repository.tree(repository.files_of(_release(zoo, owner, name, revision)).values())


@router.get(
    "/{owner}/{name}/resolve/{revision}/{path:path}", responses=ANSWERS, response_class=Response
)
def resolve(
    owner: str, name: str, revision: str, path: str, request: Request, zoo: Zoo
) -> Response:
    """Send one file of one version; Range, If-None-Match and If-Range are honoured."""
    file, headers = _file(_release(zoo, owner, name, revision), path)
    seconds: int = request.app.state.presign
    if file.large and seconds and (place := zoo.store.presign(file.sha256, seconds)):
        return RedirectResponse(
            place, status_code=307, headers={**headers, "Cache-Control": "no-store"}
        )
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(file.size)}, media_type=MEDIA)

    def read(start: int, end: int) -> Iterator[bytes]:
        return (
            zoo.store.read(file.sha256, start, end)
            if file.content is None
            else iter((file.content[start:end],))
        )

    return send(request, headers, file.size, read)


router.head(
    "/{owner}/{name}/resolve/{revision}/{path:path}", responses=ANSWERS, response_class=Response
)(resolve)


def _file(release: Release, path: str) -> tuple[RepositoryFile, dict[str, str]]:
    """Choose a file of a release, with the headers that describe it."""
    headers = {"X-Repo-Commit": repository.commit_of(release.record_sha256)}
    files = repository.files_of(release)
    if path not in files:
        missing = NotFound(
            f"{release.ref} has no file {path!r}, only {', '.join(files)}",
            hint=f"hf download {OWNER}/{release.record.name}",
        )
        raise _Coded(missing, "EntryNotFound", headers)
    file = files[path]
    headers |= {
        "ETag": f'"{file.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    linked = (
        {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)} if file.large else {}
    )
    return file, headers | linked
