"""A stand-in for the Hugging Face Hub on loopback.

The routes that `huggingface_hub` and `hf` use, kept honest.

Repositories have commits with parents, tags that never move, LFS objects that are hashed when
uploaded, and redirect downloads of large files to another path, as the real one does to its CDN:
another host. Writes need the token. Nothing of the Xet protocol.
"""

import base64
import hashlib
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
import yaml

os.environ["HF_HUB_DISABLE_XET"] = "1"  # read when huggingface_hub is imported
TOKEN = "hf_stand_in_token"
LFS_NAMES = re.compile(r".*\.(tflite|npz|bin)")
LFS_FROM = 10 << 20
WHEN = "2026-01-01T00:00:00.000Z"


@dataclass
class Entry:
    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize"
            f" {len(self.data)}\n".encode()
        )
        content = pointer if self.lfs else self.data
        return hashlib.sha1(
            b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()

    def info(self, path: str) -> dict[str, Any]:
        base = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        return base | (
            {"lfs": {"oid": self.sha256, "size": len(self.data), "pointerSize": 130}}
            if self.lfs
            else {}
        )


@dataclass
class Commit:
    oid: str
    title: str
    files: dict[str, Entry]


@dataclass
class Repo:
    commits: list[Commit] = field(
        default_factory=lambda: [Commit(hashlib.sha1(b"").hexdigest(), "initial commit", {})]  # noqa: S324
    )
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        oid = (
            self.head.oid
            if revision in ("main", "refs/heads/main", "HEAD")
            else self.tags.get(revision, revision)
        )
        return next((commit for commit in self.commits if commit.oid == oid), None)


class Hub:
    """The server and what it holds.

    `interrupt_after` cuts the next download; `before_commit` runs before each commit is judged.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.uploads: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.interrupt_after: int | None = None
        self.before_commit: Any = None
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": self})
        )
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.cdn = f"http://localhost:{self.server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point huggingface_hub at this server."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}

    def commit(self, repo: Repo, title: str, files: dict[str, Entry]) -> Commit:
        spelled = json.dumps(
            [repo.head.oid, title, sorted((path, entry.oid) for path, entry in files.items())]
        )
        made = Commit(
            hashlib.sha1(spelled.encode(), usedforsecurity=False).hexdigest(), title, files
        )
        repo.commits.append(made)
        return made

    def tamper(self, repo: str, path: str, data: bytes) -> None:
        """Change the bytes of a file in every commit that has it.

        Keeping what the listing says of it.
        """
        for commit in self.repos[repo].commits:
            if path in commit.files:
                commit.files[path].data = data


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    ROUTES: ClassVar = [
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/refs", "refs"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?", "tree"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/revision/(?P<rev>[^/]+)", "info"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/commits/(?P<rev>[^/]+)", "commits"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/tag/(?P<rev>[^/]+)", "tag"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<rev>[^/]+)", "preupload"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<rev>[^/]+)", "commit"),
        ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
        ("POST", r"/lfs/(?P<oid>[0-9a-f]{64})/verify", "lfs_verify"),
        ("GET", r"/cdn/(?P<oid>[0-9a-f]{40})", "cdn"),
        ("GET", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)", "info"),
    ]

    # ARG002  the base class's signature
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002
        self.hub.requests.append(f"{self.command} {self.path}")

    def handle_one(self) -> None:
        path, _, query = self.path.partition("?")
        self.query = urllib.parse.parse_qs(query)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        method = "GET" if self.command == "HEAD" else self.command
        for wanted, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                parts = {
                    key: urllib.parse.unquote(value)
                    for key, value in match.groupdict().items()
                    if value is not None
                }
                self.guarded(name, parts)
                return
        self.send(404, {"error": f"no route {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_one  # noqa: N815  the base class's names

    def guarded(self, name: str, parts: dict[str, str]) -> None:
        try:
            if (
                self.command in ("POST", "PUT")
                and not name.startswith("lfs_")
                and name != "validate_yaml"
            ):
                self.need_token()
            getattr(self, f"on_{name}")(**parts)
        except Refused as no:
            self.send(
                no.status,
                {"error": no.message},
                {"X-Error-Message": no.message} | ({"X-Error-Code": no.code} if no.code else {}),
            )

    def need_token(self) -> None:
        given = self.headers.get("Authorization")
        if given is None:
            raise Refused(401, "Invalid username or password.")
        if given != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid credentials in Authorization header")

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        for key, value in ({"Content-Length": str(len(data))} | kind | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def json(self) -> Any:
        return json.loads(self.body)

    def repo(self, name: str) -> Repo:
        if name not in self.hub.repos:
            raise Refused(404, "Repository not found", "RepoNotFound")
        return self.hub.repos[name]

    def at(self, repo: str, rev: str) -> Commit:
        commit = self.repo(repo).at(rev)
        if commit is None:
            raise Refused(404, f"Invalid rev id: {rev}", "RevisionNotFound")
        return commit

    def on_create(self) -> None:
        asked = self.json()
        name = f"{asked['organization']}/{asked['name']}"
        with self.hub.lock:
            known = name in self.hub.repos
            self.hub.repos.setdefault(name, Repo())
        answer = {"url": f"{self.hub.url}/{name}", "name": name, "id": name}
        self.send(
            409 if known else 200,
            answer | ({"error": "You already created this model repo"} if known else {}),
        )

    def on_validate_yaml(self) -> None:
        front = self.json()["content"].split("---\n")
        errors = []
        card = yaml.safe_load(front[1]) if len(front) > 2 and not front[0] else None
        if not isinstance(card, dict):
            errors.append("the card has no metadata")
        for model in (card or {}).get("model-index", []):
            for result in model["results"]:
                if not (
                    result["task"]["type"]
                    and result["dataset"]["name"]
                    and result["dataset"]["type"]
                ):
                    errors.append("model-index: a result lacks its task or dataset")
                errors += [
                    f"metric {m}"
                    for m in result["metrics"]
                    if not (m["type"] and isinstance(m["value"], (int, float)))
                ]
        self.send(
            400 if errors else 200, {"errors": [{"message": e} for e in errors], "warnings": []}
        )

    def on_info(self, repo: str, rev: str = "main") -> None:
        commit = self.at(repo, rev)
        files = [{"rfilename": path} for path in sorted(commit.files)]
        self.send(
            200,
            {
                "id": repo,
                "modelId": repo,
                "sha": commit.oid,
                "private": False,
                "tags": [],
                "siblings": files,
            },
        )

    def on_refs(self, repo: str) -> None:
        found = self.repo(repo)
        tags = [
            {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
            for tag, oid in found.tags.items()
        ]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.head.oid}
        self.send(200, {"branches": [main], "converts": [], "tags": tags})

    def on_tree(self, repo: str, rev: str, path: str = "") -> None:
        files = {
            name: entry
            for name, entry in self.at(repo, rev).files.items()
            if not path or name.startswith(f"{path}/")
        }
        if path and not files:
            raise Refused(404, f"{path} does not exist on {rev}", "EntryNotFound")
        self.send(200, [entry.info(name) for name, entry in sorted(files.items())])

    def on_commits(self, repo: str, rev: str) -> None:
        head = self.at(repo, rev)
        history = self.repo(repo).commits[: self.repo(repo).commits.index(head) + 1]
        self.send(
            200,
            [
                {"id": c.oid, "title": c.title, "message": "", "date": WHEN, "authors": []}
                for c in reversed(history)
            ],
        )

    def on_tag(self, repo: str, rev: str) -> None:
        tag = self.json()["tag"]
        commit = self.at(repo, rev)
        with self.hub.lock:
            if tag in self.repo(repo).tags:
                raise Refused(409, f"Tag reference exists already: {tag}")
            self.repo(repo).tags[tag] = commit.oid
        self.send(200, {})

    def on_preupload(self, repo: str, rev: str) -> None:
        files = self.at(repo, rev).files
        answers = []
        for asked in self.json()["files"]:
            large = bool(LFS_NAMES.fullmatch(asked["path"])) or asked["size"] > LFS_FROM
            there = files.get(asked["path"])
            oid = None if there is None else there.sha256 if there.lfs else there.oid
            answers.append(
                {
                    "path": asked["path"],
                    "uploadMode": "lfs" if large else "regular",
                    "shouldIgnore": False,
                    "oid": oid,
                }
            )
        self.send(200, {"files": answers})

    def on_batch(self, repo: str) -> None:
        self.repo(repo)
        objects = []
        for asked in self.json()["objects"]:
            url = f"{self.hub.url}/lfs/{asked['oid']}"
            actions = {
                "upload": {"href": url, "header": {}},
                "verify": {"href": f"{url}/verify", "header": {}},
            }
            objects.append(
                asked | ({} if asked["oid"] in self.hub.uploads else {"actions": actions})
            )
        self.send(
            200,
            {"transfer": "basic", "objects": objects},
            {"Content-Type": "application/vnd.git-lfs+json"},
        )

    def on_lfs_put(self, oid: str) -> None:
        body = self.body or b"".join(self.chunked())
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, "the content does not match its sha256")
        self.hub.uploads[oid] = body
        self.send(200, b"")

    def chunked(self) -> Iterator[bytes]:
        while self.headers.get("Transfer-Encoding") == "chunked" and (
            size := int(self.rfile.readline(), 16)
        ):
            yield self.rfile.read(size)
            self.rfile.readline()
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.rfile.readline()

    def on_lfs_verify(self, oid: str) -> None:
        if len(self.hub.uploads.get(oid, b"")) != self.json()["size"]:
            raise Refused(404, "not uploaded")
        self.send(200, {})

    def on_commit(self, repo: str, rev: str) -> None:
        if rev != "main":
            raise Refused(400, "commits go to main")
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = lines[0]["value"]
        if self.hub.before_commit is not None:
            before, self.hub.before_commit = self.hub.before_commit, None
            before()
        with self.hub.lock:
            found = self.repo(repo)
            if header.get("parentCommit", found.head.oid) != found.head.oid:
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            files = dict(found.head.files)
            for line in lines[1:]:
                self.apply(files, line["key"], line["value"])
            made = self.hub.commit(found, header["summary"], files)
        self.send(
            200,
            {
                "success": True,
                "commitOid": made.oid,
                "commitUrl": f"{self.hub.url}/{repo}/commit/{made.oid}",
                "hookOutput": "",
            },
        )

    def apply(self, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            files[value["path"]] = Entry(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile":
            if value["oid"] not in self.hub.uploads:
                raise Refused(400, f"LFS object {value['oid']} was never uploaded")
            files[value["path"]] = Entry(self.hub.uploads[value["oid"]], lfs=True)
        elif key == "deletedFile":
            del files[value["path"]]
        else:
            raise Refused(400, f"unknown operation {key}")

    def on_resolve(self, repo: str, rev: str, path: str) -> None:
        commit = self.at(repo, rev)
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound")
        entry = commit.files[path]
        common = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if not entry.lfs:
            self.content(entry, common | {"ETag": f'"{entry.oid}"'})
            return
        linked = {
            "X-Linked-Etag": f'"{entry.sha256}"',
            "X-Linked-Size": str(len(entry.data)),
            "Location": f"{self.hub.cdn}/cdn/{entry.oid}",
        }
        self.send(302, b"", common | linked)

    def on_cdn(self, oid: str) -> None:
        entries = (
            e
            for repo in self.hub.repos.values()
            for commit in repo.commits
            for e in commit.files.values()
        )
        entry = next((entry for entry in entries if entry.oid == oid), None)
        if entry is None:
            raise Refused(404, "no such object")
        self.content(entry, {"ETag": f'"{entry.sha256}"', "Accept-Ranges": "bytes"})

    def content(self, entry: Entry, headers: dict[str, str]) -> None:
        data, status = entry.data, 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
            if first >= len(data):
                raise Refused(416, "nothing there")
            headers = headers | {
                "Content-Range": f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
            }
            data, status = data[first : last + 1], 206
        cut, self.hub.interrupt_after = (
            (self.hub.interrupt_after, None)
            if entry.lfs and self.command == "GET"
            else (None, self.hub.interrupt_after)
        )
        if cut is None:
            self.send(status, data, headers)
            return
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data[:cut])
        self.wfile.flush()
        self.close_connection = True


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Start an empty Hub for one test."""
    made = Hub()
    thread = threading.Thread(
        target=made.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()
