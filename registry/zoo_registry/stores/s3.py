"""A store under an S3 prefix: `s3://bucket/prefix`.

Any server that honours conditional writes will do.

Where and as whom is botocore's own configuration: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
`AWS_PROFILE`, `AWS_REGION` and so on. New documents are written with `If-None-Match: *` and
replaced with `If-Match`; a server that ignores these headers would let two publishers write one
release, so it is found out by a probe before the first document and refused.
"""

import base64
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    Forbidden,
    MissingExtra,
    NotFound,
    TooLarge,
    Unreachable,
    Unsupported,
    WrongUse,
    ZooError,
)
from zoo_registry.model.files import CHUNK
from zoo_registry.stores import store
from zoo_registry.stores.base import (
    BLOB_LIMIT,
    DOCUMENT_LIMIT,
    BlobInfo,
    blob_key,
    checked_key,
    checked_prefix,
    checked_range,
    guarded,
    missing,
    verified,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_LOST: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_REFUSED: Final = frozenset(
    {
        "AccessDenied",
        "403",
        "Forbidden",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
    }
)
_NO_CONDITIONS: Final = frozenset({"NotImplemented", "501"})
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")  # what botocore takes before it asks anybody
_PROBE: Final = "probe.json"
_WRONG_ETAG: Final = '"00000000000000000000000000000000"'
_HEX_LENGTH = 64


@store("s3")
class S3Store:
    """Blobs and documents as objects below one prefix."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
            raise WrongUse(
                f"not an S3 address: {url!r} (expected s3://bucket or s3://bucket/prefix)"
            )
        self.bucket, prefix = parts.netloc, parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{self.bucket}/{prefix}".rstrip("/")
        self._lock = threading.Lock()
        self._client: S3Client | None = None
        self._probed = False

    @property
    def client(self) -> "S3Client":
        """The boto3 client, made when first needed; its own retries and time limits apply."""
        with self._lock:
            if self._client is None:
                self._client = _connect(self.url)
            return self._client

    @contextmanager
    def _adapting(self) -> Iterator[None]:
        """Let nothing of botocore past this file."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise self._answer(error.response) from error
        except BotoCoreError as error:
            raise self._failure(error) from error

    def _answer(self, response: Mapping[str, Any]) -> ZooError:
        """Turn an S3 error document into ours."""
        code, said = _code(response), response.get("Error", {}).get("Message", "")
        if code == "NoSuchBucket":
            return NotFound(
                f"{self.url}: NoSuchBucket: the bucket does not exist",
                hint=f"aws s3 mb s3://{self.bucket}",
            )
        if code in _REFUSED:
            return Forbidden(
                f"{self.url}: {code}: {said}",
                hint="aws sts get-caller-identity   # who am I; or set AWS_ACCESS_KEY_ID",
            )
        if code in _NO_CONDITIONS:
            return self._unconditional(f"it answers {code}")
        return Unreachable(f"{self.url}: {code}: {said}", hint=f"aws s3 ls {self.url}/")

    def _failure(self, error: Exception) -> ZooError:
        """Turn a failure before any answer into ours."""
        from botocore.exceptions import NoCredentialsError, PartialCredentialsError, ProfileNotFound

        if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
            return Forbidden(
                f"{self.url}: {error}",
                hint="export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…   # or AWS_PROFILE",
            )
        return Unreachable(
            f"{self.url}: {error}",
            hint="echo $AWS_ENDPOINT_URL   # is it the right server, and is it up?",
        )

    def _unconditional(self, how: str) -> Unsupported:
        return Unsupported(
            f"{self.url} does not honour conditional writes ({how}), so two publishers could both"
            " write one release",
            hint=(
                "use a server that honours If-None-Match and If-Match: AWS S3, MinIO, SeaweedFS,"
                " Ceph, Cloudflare R2"
            ),
        )

    def put(self, pieces: Iterable[bytes], digest: Digest, *, limit: int = BLOB_LIMIT) -> BlobInfo:
        """See `Store.put`. Hashed to a temporary file first, so that nothing wrong is ever sent."""
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        with verified(pieces, digest, limit=limit) as (body, size):
            found = self.stat(digest)
            if found is not None and found.size == size:
                return found
            with self._adapting():
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self._prefix + blob_key(digest),
                    Body=body,
                    ContentLength=size,
                    ChecksumSHA256=checksum,
                    ContentType="application/octet-stream",
                    CacheControl="public, max-age=31536000, immutable",
                )
        kept = self.stat(digest)
        if kept is None or kept.size != size:
            raise Unreachable(
                f"{self.url} took {digest.short} and does not have it",
                hint=f"aws s3 ls {self.url}/blobs/",
            )
        return kept

    def stat(self, digest: Digest) -> BlobInfo | None:
        """See `Store.stat`."""
        from botocore.exceptions import ClientError

        with self._adapting():
            try:
                found = self.client.head_object(
                    Bucket=self.bucket, Key=self._prefix + blob_key(digest)
                )
            except ClientError as error:
                if _code(error.response) in _ABSENT:
                    return None
                raise
        return BlobInfo(digest, found["ContentLength"], found["LastModified"].timestamp())

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Store.read`."""
        info = self.stat(digest)
        if info is None:
            raise missing(digest, self.url)
        first, last = checked_range(info, start, end)
        pieces = self._pieces(digest, first, last) if first < last else iter(())
        return guarded(pieces, digest) if (first, last) == (0, info.size) else pieces

    def _pieces(self, digest: Digest, start: int, end: int) -> Iterator[bytes]:
        with self._adapting():
            answer = self.client.get_object(
                Bucket=self.bucket,
                Key=self._prefix + blob_key(digest),
                Range=f"bytes={start}-{end - 1}",
            )
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(CHUNK)

    def delete(self, digest: Digest) -> None:
        """See `Store.delete`."""
        with self._adapting():
            self.client.delete_object(Bucket=self.bucket, Key=self._prefix + blob_key(digest))

    def _list(self, below: str) -> Iterator[tuple[str, int, float]]:
        """List the objects whose key starts with `below`.

        Key without the store's prefix, size, time stored.
        """
        with self._adapting():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._prefix + below
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    yield (
                        item["Key"].removeprefix(self._prefix),
                        item["Size"],
                        item["LastModified"].timestamp(),
                    )

    def digests(self) -> Iterator[BlobInfo]:
        """See `Store.digests`."""
        for key, size, modified in self._list("blobs/sha256/"):
            name = key.rpartition("/")[2]
            if len(name) == _HEX_LENGTH:
                yield BlobInfo(Digest(name), size, modified)

    def presign(self, digest: Digest, seconds: int) -> str | None:
        """See `Store.presign`."""
        with self._adapting():
            place = {"Bucket": self.bucket, "Key": self._prefix + blob_key(digest)}
            return self.client.generate_presigned_url("get_object", Params=place, ExpiresIn=seconds)

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`."""
        checked_key(key)
        self._probe()
        return self._write(key, data, IfNoneMatch="*")

    def load(self, key: str) -> tuple[bytes, str] | None:
        """See `Store.load`."""
        from botocore.exceptions import ClientError

        with self._adapting():
            try:
                answer = self.client.get_object(
                    Bucket=self.bucket, Key=self._prefix + checked_key(key)
                )
            except ClientError as error:
                if _code(error.response) in _ABSENT:
                    return None
                raise
            if answer["ContentLength"] > DOCUMENT_LIMIT:
                raise TooLarge(
                    f"{self.url}/{key}: {answer['ContentLength']} bytes; a document has at most"
                    f" {DOCUMENT_LIMIT}"
                )
            with closing(answer["Body"]) as body:
                return body.read(), answer["ETag"]

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """See `Store.replace`."""
        if etag is None:
            return self.create(key, data)
        checked_key(key)
        self._probe()
        return self._write(key, data, IfMatch=etag)

    def _write(self, key: str, data: bytes, **condition: str) -> bool:
        """Write one document under a condition; False when the condition does not hold."""
        from botocore.exceptions import ClientError

        put: Any = self.client.put_object  # the stub wants literal keyword arguments
        with self._adapting():
            try:
                put(
                    Bucket=self.bucket,
                    Key=self._prefix + key,
                    Body=data,
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                if _code(error.response) in (
                    _LOST if "IfNoneMatch" in condition else _LOST | _ABSENT
                ):
                    return False
                raise
        return True

    def _probe(self) -> None:
        """Find out once whether the server honours conditional writes.

        Raises:
            Unsupported: it wrote a document over one that must have been absent, or over one at
                another etag.
        """
        if self._probed:
            return
        if self._write(_PROBE, b"{}", IfNoneMatch="*") and self._write(
            _PROBE, b"{}", IfNoneMatch="*"
        ):
            raise self._unconditional("it ignored If-None-Match")
        if self._write(_PROBE, b"{}", IfMatch=_WRONG_ETAG):
            raise self._unconditional("it ignored If-Match")
        self._probed = True

    def remove(self, key: str) -> None:
        """See `Store.remove`."""
        with self._adapting():
            self.client.delete_object(Bucket=self.bucket, Key=self._prefix + checked_key(key))

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        found = (key for key, _, _ in self._list(checked_prefix(prefix)))
        return iter(
            sorted(
                key
                for key in found
                if key.endswith(".json") and not key.startswith("blobs/") and key != _PROBE
            )
        )


def _code(response: Mapping[str, Any]) -> str:
    return str(response.get("Error", {}).get("Code", "")) or str(
        response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    )


def _connect(url: str) -> "S3Client":
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingExtra(
            f"{url} needs boto3, which is not installed", hint="pip install 'edgezoo[s3]'"
        ) from error
    config = Config(
        connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 4}
    )
    try:
        session = boto3.session.Session()
        region = session.region_name or "us-east-1"
        return session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise Forbidden(
            f"{url}: {error}", hint="aws configure list   # what botocore finds, and where"
        ) from error
