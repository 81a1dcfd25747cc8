"""What a `.tflite` carries beside its network, and how it gets into a file that was made of it.

    metadata      entries of the model (`TFLITE_METADATA`: a flatbuffer of its own that describes
                  inputs and outputs by their order; `min_runtime_version`; …)
    signatures    keys and names of inputs and outputs
    a ZIP archive behind the flatbuffer, with the associated files that TFLITE_METADATA names, such
                  as `labels.txt`

The rules are those of the TFLite metadata library (`tflite_support.metadata`): the archive is
appended, its members stored uncompressed at offsets that count from the file's first byte; metadata
are found by the name of their entry.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_builders.tflite import litert
from zoo_builders.tflite.flatbuffer import pack, read, unpacked
from zoo_builders.tflite.tflite_file import Called, TfliteFile
from zoo_registry.model.errors import BuildFailed

OF_THE_MAKER = frozenset({"min_runtime_version", "CONVERSION_METADATA"})
"""Entries that speak of the very bytes: those of the program that wrote the new file count."""

_HINT = "keep the file as it came (a variant without steps), or take what it carries out of it"


def archive(data: bytes) -> zipfile.ZipFile | None:
    """Open the ZIP archive behind a flatbuffer; None where there is none."""
    try:
        found = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return None
    return found if found.filelist else None


def associated(data: bytes) -> Mapping[str, bytes]:
    """Read the associated files of a `.tflite`: name → bytes.

    Raises:
        BuildFailed: one of them cannot be read.
    """
    found = archive(data)
    if found is None:
        return {}
    try:
        return {name: found.read(name) for name in found.namelist()}
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise BuildFailed(
            f"the files behind the model cannot be read: {error}", hint=_HINT
        ) from error


def labels(data: bytes) -> tuple[str, ...]:
    """Read the names of classes that a file carries: its one associated text of labels, if any."""
    try:
        texts = [
            text
            for name, text in associated(data).items()
            if name.endswith(".txt") and "label" in name.lower()
        ]
        lines = texts[0].decode("utf-8-sig").splitlines() if len(texts) == 1 else []
    except (BuildFailed, UnicodeDecodeError):
        return ()
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(line.strip() for line in lines)


def carried(original: TfliteFile, made: TfliteFile) -> bytes:
    """Give the made file with all that the original carries.

    Raises:
        BuildFailed: something of it would be lost; the message names it.
    """
    data = made.data
    if _missing_metadata(original, made) or not _same_names(original, made):
        data = _written(original, made)
    data = _with_archive(original.data, data)
    _demand(original, read(data))
    return data


def carried_through(original: TfliteFile, made: bytes) -> bytes:
    """Give `made`, in which the original's flatbuffer was edited, with the archive behind it.

    Raises:
        BuildFailed: something of it would be lost; the message names it.
    """
    return made if made == original.data else _with_archive(original.data, made)


def _missing_metadata(original: TfliteFile, made: TfliteFile) -> list[tuple[str, bytes]]:
    there = dict(made.metadata)
    return [
        (name, value)
        for name, value in original.metadata
        if there.get(name) != value and not (name in OF_THE_MAKER and name in there)
    ]


def _placed(file: TfliteFile) -> list[tuple[str, int, dict[str, int], dict[str, int]]]:
    """Spell the signatures with places in a subgraph's inputs and outputs for its tensors."""
    return [_places(file, called) for called in file.signatures]


def _places(file: TfliteFile, called: Called) -> tuple[str, int, dict[str, int], dict[str, int]]:
    graph = file.subgraphs[called.subgraph]
    inputs = {n: graph.inputs.index(i) for n, i in called.inputs.items() if i in graph.inputs}
    outputs = {n: graph.outputs.index(i) for n, i in called.outputs.items() if i in graph.outputs}
    return called.key, called.subgraph, inputs, outputs


def _same_names(original: TfliteFile, made: TfliteFile) -> bool:
    return not original.signatures or _placed(original) == _placed(made)


def _written(original: TfliteFile, made: TfliteFile) -> bytes:
    schema = litert.schema()
    model = unpacked(made.data)
    missing = dict(_missing_metadata(original, made))
    model.metadata = [one for one in model.metadata or () if _text(one.name) not in missing]
    for name, value in missing.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = list(value)
        model.buffers.append(buffer)
        entry.name, entry.buffer = name, len(model.buffers) - 1
        model.metadata.append(entry)
    if original.signatures:
        model.signatureDefs = [_signature(schema, model, *one) for one in _placed(original)]
    return pack(model)


def _signature(
    schema: Any,
    model: Any,
    key: str,
    number: int,
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
) -> Any:
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = key, number
    if number < len(model.subgraphs):
        graph = model.subgraphs[number]
        made.inputs = [_entry(schema, name, graph.inputs, at) for name, at in inputs.items()]
        made.outputs = [_entry(schema, name, graph.outputs, at) for name, at in outputs.items()]
    return made


def _entry(schema: Any, name: str, tensors: Sequence[int], at: int) -> Any:
    entry = schema.TensorMapT()
    if at >= len(tensors):
        raise BuildFailed(f"the new file has no place for {name!r} of the signature", hint=_HINT)
    entry.name, entry.tensorIndex = name, int(tensors[at])
    return entry


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _with_archive(original: bytes, made: bytes) -> bytes:
    """Append the original's archive, as the metadata library does; equal inputs, equal bytes."""
    found = archive(original)
    if found is None:
        return made
    contents, out = associated(original), io.BytesIO(made)
    with zipfile.ZipFile(out, "a") as target:
        for info in found.infolist():
            target.writestr(info, contents[info.filename], info.compress_type)
    return out.getvalue()


def _demand(original: TfliteFile, made: TfliteFile) -> None:
    """See that nothing is lost."""
    lost = [f"the metadata {name}" for name, _ in _missing_metadata(original, made)]
    there = associated(made.data)
    lost += [
        f"the file {name}"
        for name, value in associated(original.data).items()
        if there.get(name) != value
    ]
    if not _same_names(original, made):
        lost.append(f"the signatures {', '.join(one.key for one in original.signatures)}")
    if lost:
        raise BuildFailed(
            f"the new file would lose {', '.join(lost)} of the file it is made of", hint=_HINT
        )
