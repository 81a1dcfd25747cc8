"""What an agent does for a session on another machine.

It keeps files by digest until the session ends, and describes the machine and its load.

Standard library only, until it is asked for the machine's description.
"""

import hashlib
import os
import select
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

from zoo_registry.model.errors import DigestMismatch, MeasureFailed, TooLarge

_PIECE = 1 << 16
_LAST_ORDERS_S = 5.0
_LARGEST = 4 << 30
_HEX = frozenset("0123456789abcdef")
_DIGEST_LENGTH = 64

Order = Mapping[str, Any]


class Keeper:
    """Files of one session, in a private folder that `__exit__` removes.

    `stream` is where orders, and the bytes of files, come from.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._folder = stream, ""
        self._since: Any = None

    def __enter__(self) -> Self:
        return self  # the folder is made when the first file comes

    def __exit__(self, *_: object) -> None:
        """Remove the files."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def end_when_alone(self) -> None:
        """From now on watch for the other side to leave.

        A run that never ends must not outlive the session, nor its files.
        """
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def _watch(self) -> None:
        """Sleep until nobody can write orders any more.

        Whoever is still busy some seconds later is ended.
        """
        watched = select.poll()
        watched.register(self._stream.fileno(), getattr(select, "POLLRDHUP", 0))
        watched.poll()
        time.sleep(_LAST_ORDERS_S)
        self.__exit__()
        os._exit(1)

    def orders(self) -> dict[str, Callable[[Order], dict[str, Any]]]:
        """List what it can do, by the order's name."""
        return {"store": self.store, "host": self.host, "busy": self.busy, "spent": self.spent}

    def store(self, order: Order) -> dict[str, Any]:
        """Keep the bytes that follow the order, under their digest.

        Raises:
            MeasureFailed: the stream ended before all bytes came; nothing is kept.
            DigestMismatch: they have another digest; nothing is kept.
            TooLarge: more than 4 GiB are announced.
        """
        sha256, size = str(order["sha256"]), int(order["size"])
        if len(sha256) != _DIGEST_LENGTH or not _HEX.issuperset(sha256):
            raise ValueError(f"not a sha256: {sha256[:80]!r}")
        if not 0 <= size <= _LARGEST:
            raise TooLarge(f"a file of {size} bytes, at most {_LARGEST} are taken")
        self._folder = self._folder or tempfile.mkdtemp(prefix="edgezoo-")
        target = Path(self._folder) / sha256
        self._copy(target.with_suffix(".part"), sha256, size)
        target.with_suffix(".part").replace(target)
        return {"file": str(target)}

    def _copy(self, target: Path, sha256: str, size: int) -> None:
        found, rest = hashlib.sha256(), size
        with target.open("wb") as sink:
            while rest and (piece := self._stream.read(min(rest, _PIECE))):
                sink.write(piece)
                found.update(piece)
                rest -= len(piece)
        if rest:
            target.unlink()
            raise MeasureFailed(f"the file ended {rest} of {size} bytes early", kind="device")
        if found.hexdigest() != sha256:
            target.unlink()
            raise DigestMismatch(
                "a file that came over the wire", expected=sha256, actual=found.hexdigest()
            )

    def host(self, order: Order) -> dict[str, Any]:
        """Describe the machine, and watch from now on how busy it is."""
        del order
        from zoo_builders.devices import host
        from zoo_builders.tflite import litert
        from zoo_client import machine

        self._since = host.Clock.look()
        return {
            "host": machine.describe().model_dump(mode="json"),
            "cores": host.usable_cores(),
            "runtime_version": litert.version(),
        }

    def busy(self, order: Order) -> dict[str, Any]:
        """Say how busy the machine was since `host`.

        This agent and the `own_s` CPU seconds of the session's other agents do not count.

        Raises:
            ValueError: asked before `host`.
        """
        from zoo_builders.devices import host

        if self._since is None:
            raise ValueError("busy before host")
        load = host.Clock.look().plus_own(float(order["own_s"])).since(self._since)
        return {"others": load.others, "stolen": load.stolen}

    def spent(self, order: Order) -> dict[str, Any]:
        """Say how much CPU time this agent took so far, and its process id."""
        del order
        times = os.times()
        return {
            "cpu_s": times.user + times.system + times.children_user + times.children_system,
            "pid": os.getpid(),
        }
