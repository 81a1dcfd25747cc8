"""Which extra brings which package.

A missing one is named by the command that installs it.
"""

from zoo_registry.model.errors import MissingExtra

MODULES_OF = {
    "s3": ("boto3", "botocore"),
    "hub": ("huggingface_hub",),
    "registry": (
        "a2wsgi",
        "fastapi",
        "jinja2",
        "prometheus_client",
        "sqlalchemy",
        "starlette",
        "uvicorn",
    ),
    "tfds": ("tensorflow_datasets",),
    "weights": ("safetensors", "skimage"),
    "web-bench": ("playwright",),
    "bench": ("ai_edge_litert", "flatbuffers", "numpy"),
    "build": (
        "ai_edge_litert",
        "flatbuffers",
        "numpy",
        "PIL",
        "sklearn",
        "tensorflow",
        "tensorflow_model_optimization",
        "tf_keras",
        "yaml",
        "zstandard",
    ),
}
EXTRA_OF = {module: extra for extra, modules in MODULES_OF.items() for module in modules}


def missing_extra(error: ModuleNotFoundError, verb: str, extra: str = "") -> MissingExtra | None:
    """Say which extra would have brought the module that `verb` did not find.

    None when no extra has it.

    Args:
        error: what the import raised.
        verb: what the user typed, for the message.
        extra: the extra of the verb as a whole, preferred because it brings everything the verb
            needs.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRA_OF:
        return None
    return MissingExtra(
        f"{verb} needs {module}, which is not installed",
        hint=f"pip install 'edgezoo[{extra or EXTRA_OF[module]}]'",
    )
