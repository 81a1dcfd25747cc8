"""A conversation with an agent (see `agent`).

A process gets orders and gives answers, with deadlines and with failures that say their kind.

The process may run here or, through `ssh` or an emulator, elsewhere: all that is asked of it is a
stdin, a stdout and an end.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from zoo_registry.model.errors import MeasureFailed

_LAST_WORDS = 400
_PIECE = 1 << 16
_LONGEST_ANSWER = 64 << 20
_GOODBYE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code (negative: a signal) and its last words on stderr."""

    code: int | None
    words: str

    @property
    def how(self) -> str:
        """The code, and of a signal its name."""
        number = -(self.code or 0)
        if number <= 0:
            return str(self.code)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"{self.code} ({name}{', as when memory runs out' if name == 'SIGKILL' else ''})"


@dataclass(slots=True)
class Conversation:
    """Orders and answers, one JSON object a line; started on `__enter__`, killed on `__exit__`.

    Attributes:
        command: the process to start.
        about: what the talk is about; failures begin with it.
        timeout_s: how long an answer may take, and how long sending may stand still; may be changed
            while it runs.
        environment: the process's environment; None = this process's own.
    """

    command: Sequence[str]
    about: str
    timeout_s: float
    environment: Mapping[str, str] | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _words: IO[bytes] | None = field(default=None, init=False)
    _unread: bytearray = field(default_factory=bytearray, init=False)

    def __enter__(self) -> Self:
        """Start the process without waiting for it: it imports its libraries while others start.

        Raises:
            MeasureFailed: (kind `device`) the command cannot be started.
        """
        self._words = tempfile.TemporaryFile()
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe, stderr=self._words, env=self.environment
            )
        except OSError as error:
            self._words.close()
            raise MeasureFailed(
                f"{self.about}: {self.command[0]} cannot be started: {error.strerror}",
                kind="device",
            ) from error
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the process and collect it."""
        if self._process is not None:
            self._process.kill()
            self._collect(self._process)
        if self._words is not None:
            self._words.close()

    def part(self, within_s: float = _GOODBYE_S) -> None:
        """Close its stdin and give it time to put things away by itself.

        This happens before `__exit__` kills it.
        """
        if self._process is None or self._process.stdin is None:
            return
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=within_s)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process behind it.

        Raises:
            MeasureFailed: it was not started.
        """
        if self._process is None:
            raise MeasureFailed(f"{self.about}: the measuring process was not started", kind="died")
        return self._process

    def ask(self, what: str, **order: Any) -> dict[str, Any]:
        """Send an order and give its answer.

        Raises:
            MeasureFailed: the answer is an error, none came in time, it is none of ours, or the
                process ended.
        """
        self._send(json.dumps({"do": what, **order}).encode() + b"\n")
        return self.answer()

    def hand_over(self, file: Path, sha256: str) -> str:
        """Have the agent keep `file`, which has this digest, for as long as it lives.

        Give its path there.

        Raises:
            MeasureFailed: as `ask`; also when what arrived there has another digest.
        """
        with file.open("rb") as source:
            self._send(
                json.dumps({"do": "store", "sha256": sha256, "size": file.stat().st_size}).encode()
                + b"\n"
            )
            while piece := source.read(_PIECE):
                self._send(piece)
        return str(self.answer()["file"])

    def answer(self) -> dict[str, Any]:
        """Read one line, for as long as `timeout_s` allows.

        Raises:
            MeasureFailed: as `ask`.
        """
        deadline = time.monotonic() + self.timeout_s
        while b"\n" not in self._unread:
            self._unread += self._more(deadline)
            if len(self._unread) > _LONGEST_ANSWER:
                raise MeasureFailed(
                    f"{self.about}: an answer of more than {_LONGEST_ANSWER} bytes", kind="device"
                )
        line, _, self._unread = self._unread.partition(b"\n")
        return self._understood(bytes(line))

    def _understood(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise MeasureFailed(
                f"{self.about}: not an answer of the agent:"
                f" {line[:80].decode('utf-8', 'replace')!r}",
                kind="device",
            )
        if "error" in answer:
            raise MeasureFailed(
                f"{self.about}: {answer['error']}", kind=str(answer.get("kind", "runtime"))
            )
        return answer

    def _send(self, data: bytes) -> None:
        """Write all of `data`.

        The other side may be slow, but may not stand still for longer than `timeout_s`.
        """
        process, rest = self.process, memoryview(data)
        if process.stdin is None or process.stdin.closed:
            raise self._died()
        stream = process.stdin.fileno()
        while rest:
            if not select.select([], [stream], [], self.timeout_s)[1]:
                raise self._silent()
            try:
                rest = rest[os.write(stream, rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._died() from None

    def _more(self, deadline: float) -> bytes:
        process = self.process
        if process.stdout is None:
            raise self._died()
        stream = process.stdout.fileno()
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise self._silent()
        piece = os.read(stream, 1 << 20)
        if not piece:
            raise self._died()
        return piece

    def _silent(self) -> MeasureFailed:
        return MeasureFailed(
            f"{self.about}: no answer within {self.timeout_s:g} s; the process was ended",
            kind="hang",
        )

    def _died(self) -> MeasureFailed:
        ended = self.ended()
        reason = ended.words or "without a word"
        return MeasureFailed(
            f"{self.about}: the measuring process ended with code {ended.how}: {reason}",
            kind="died",
        )

    def ended(self) -> Ended:
        """Wait for a process that said it ends (or kill it), and say how it did."""
        try:
            code = self.process.wait(timeout=_GOODBYE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return Ended(code, self._last_words())

    def _last_words(self) -> str:
        if self._words is None or self._words.closed:
            return ""
        self._words.seek(0)
        return self._words.read()[-_LAST_WORDS:].decode("utf-8", "replace").strip()

    @staticmethod
    def _collect(process: subprocess.Popen[bytes]) -> None:
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        process.wait()
