"""Write a .tflite model, as the runtime's own schema has it, as bytes."""

from typing import Any

from zoo_builders.flatbuffer import IDENTIFIER


def pack(model: Any) -> bytes:
    """Give the bytes of a `ModelT`."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
