"""The kinds of stages: the module whose `run(job)` does the work of each.

`TOOLS` names the libraries that decide its result.
"""

from collections.abc import Mapping

from zoo_builders.stage import StageKind

PACKAGE = "zoo_builders"
_TENSORFLOW = ("tensorflow", "tf_keras", "numpy")
TOOLS: Mapping[StageKind, tuple[str, ...]] = {
    "data": ("numpy",),
    "base": _TENSORFLOW,
    "import": ("ai-edge-litert", "flatbuffers", "numpy"),
    "technique": (*_TENSORFLOW, "tensorflow-model-optimization"),
    "convert": (*_TENSORFLOW, "ai-edge-litert"),
    "inspect": ("ai-edge-litert", "flatbuffers", "numpy"),
    "evaluate": ("ai-edge-litert", "numpy"),
    "benchmark": ("ai-edge-litert", "numpy"),
}
ENTRY: Mapping[StageKind, str] = {
    # `import` is no name for a module
    kind: f"{PACKAGE}.stages.{'import_file' if kind == 'import' else kind}"
    for kind in TOOLS
}
