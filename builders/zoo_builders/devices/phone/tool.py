"""Which `benchmark_model` is sent to a phone.

The one the user names, or the one kept in the cache; its digest known, its kind fitting.

<cache>/tools/<abi>/benchmark_model     kept there by hand, or by `ZOO_BENCHMARK_MODEL`'s first use
                                        only as a digest:
<cache>/tools/<abi>/sha256              the digest it had when it was first used; another one is
                                        refused from then on
"""

from dataclasses import dataclass
from pathlib import Path

from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, Unsupported
from zoo_registry.model.files import digest_file, write_bytes

NAME = "benchmark_model"
SOURCE = "https://developers.google.com/edge/litert/models/measurement"
"""Where Google keeps its builds of it, by ABI (`android_aarch64_benchmark_model` and others).

Of the two tools of that name it is the Interpreter's (tflite/tools/benchmark). That of the
CompiledModel API writes no outputs to compare.
"""

WHICH = (
    "it must be the Interpreter's benchmark_model (android_aarch64_benchmark_model), not that of"
    " the CompiledModel API; docs/latency.md"
)

_MACHINES = {"arm64-v8a": 183, "armeabi-v7a": 40, "x86_64": 62, "x86": 3, "riscv64": 243}
"""`e_machine` of an ELF file, by ABI (System V ABI, elf.h)."""
_ELF, _SCRIPT = b"\x7fELF", b"#!"
_MACHINE_AT = slice(18, 20)


@dataclass(frozen=True, slots=True)
class Tool:
    """A program for a phone, and its digest."""

    file: Path
    sha256: Digest


def find(settings: Settings, abi: str) -> Tool:
    """Find the one for phones of this ABI.

    Raises:
        Unsupported: there is none, or it is no program for this ABI.
        DigestMismatch: it is not the one that was stated, or that was used before.
    """
    named, _, stated = (settings.benchmark_model or "").partition("#sha256:")
    kept = settings.cache / "tools" / abi
    file = Path(named).expanduser() if named else kept / NAME
    if not file.is_file():
        raise missing(abi, file)
    _fits(file, abi)
    tool = Tool(file, digest_file(file))
    _is_the_same(tool, stated, kept / "sha256")
    return tool


def missing(abi: str, file: Path) -> Unsupported:
    """Say that there is none, where it comes from and where it goes."""
    return Unsupported(
        f"Google's {NAME} for {abi or 'the phone'} is not here: no such file: {file}",
        hint=(
            f"download it from {SOURCE}, then: export ZOO_BENCHMARK_MODEL=/path/to/{NAME}#sha256:…"
        ),
    )


def _fits(file: Path, abi: str) -> None:
    with file.open("rb") as source:
        head = source.read(20)
    if head.startswith(_SCRIPT):
        return
    if not head.startswith(_ELF):
        raise Unsupported(
            f"{file} is no program: it begins with {head[:15]!r}",
            hint=f"download it again from {SOURCE}",
        )
    machine, wanted = int.from_bytes(head[_MACHINE_AT], "little"), _MACHINES.get(abi)
    if wanted is not None and machine != wanted:
        name = next(
            (name for name, number in _MACHINES.items() if number == machine), f"machine {machine}"
        )
        raise Unsupported(
            f"{file} is a program for {name}, the phone wants {abi}",
            hint=f"download the one for {abi} from {SOURCE}",
        )


def _is_the_same(tool: Tool, stated: str, record: Path) -> None:
    """Hold it against the stated digest, or else the recorded one; record the first."""
    if stated:
        if stated != tool.sha256:
            raise DigestMismatch(
                str(tool.file),
                expected=stated,
                actual=tool.sha256,
                hint="sha256sum the file you trust",
            )
        return
    if not record.is_file():
        write_bytes(record, f"{tool.sha256}\n".encode())
        return
    before = record.read_text(encoding="ascii", errors="replace").strip()
    if before != tool.sha256:
        hint = f"if you replaced it on purpose: rm {record}"
        raise DigestMismatch(
            f"{tool.file} is not the one used before",
            expected=before,
            actual=tool.sha256,
            hint=hint,
        )
