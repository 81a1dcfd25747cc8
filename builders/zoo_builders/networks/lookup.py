"""Where a base network comes from, and its graph.

`base.network` of a manifest is looked up in this order:

    name                           models/NAME.py beside the manifest, else a network that ships
                                   with the zoo
    ./nets/foo.py[:function]       a Python file, relative to the manifest; the function defaults to
                                   the file's name
    python:package.module:function in the manifest's folder, in one above it, or installed
    ./x.keras  ./x.h5  ./saved/    a finished Keras file or SavedModel folder, relative to the
               manifest or ${ZOO_DATA}/…

A Python network is a function that gives a `Graph` (or a tf_keras model); planning calls it, so
validating a manifest runs its network file. Files that import TensorFlow are not called before the
build.
"""

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo_builders.networks import own_imports
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.shipped import NETWORKS
from zoo_registry.model.errors import WrongUse, ZooError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEAVY = frozenset(
    {"tensorflow", "tf_keras", "keras", "torch", "jax", "tensorflow_model_optimization"}
)
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True, slots=True)
class Network:
    """A network that was found.

    Attributes:
        kind: `shipped`, `source` (a Python file of the user), `module` (python:…) or `model` (a
            finished Keras file).
        file: whose bytes decide what it is.
        function: what to call; empty for `model`.
    """

    kind: Literal["shipped", "source", "module", "model"]
    file: Path
    function: str = ""


def is_path(network: str) -> bool:
    """Whether `base.network` names a file: a Python file, a Keras file or a SavedModel folder."""
    bare = network.partition(":")[0] if ".py:" in network else network
    return not network.startswith("python:") and (
        "/" in network or "\\" in network or bare.endswith((".py", *MODEL_SUFFIXES))
    )


def locate(
    network: str, folder: Path, path: Path | None, exists: Callable[[Path], bool]
) -> Network:
    """Find the network a manifest in `folder` names.

    `path` is what it resolves to when it is a path.

    Raises:
        UnknownPlugin: no network is called that; the hint names the nearest.
        WrongUse: a module that cannot be found, or a name that cannot be one.
    """
    if path is not None:
        return _at(network, path)
    if network.startswith("python:"):
        return _module(network)
    beside = folder / "models" / f"{network.replace('-', '_')}.py"
    if _NAME.fullmatch(network.replace("-", "_")) and exists(beside):
        return Network("source", beside, beside.stem)
    file = inspect.getsourcefile(NETWORKS.get(network))
    return Network("shipped", Path(file or ""), network)


def _at(network: str, path: Path) -> Network:
    function = network.partition(".py:")[2]
    if function or path.suffix == ".py":
        return Network("source", path, function or path.stem)
    return Network("model", path)


def _module(network: str) -> Network:
    module, _, function = network.removeprefix("python:").partition(":")
    hint = "write python:package.module:function, of a module in the project or an installed one"
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise WrongUse(f"cannot import {module!r}: {error}", hint=hint) from error
    if spec is None or not spec.origin or not function:
        raise WrongUse(
            f"cannot find {network!r}" if function else f"{network!r} names no function", hint=hint
        )
    return Network("module", Path(spec.origin), f"{module}:{function}")


def is_light(source: bytes) -> bool:
    """Whether a Python file can be called while planning.

    It parses, and imports no deep-learning framework.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return True  # calling it gives the better message
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return not any(name.partition(".")[0] in _HEAVY or name == "zoo_builders.tf" for name in names)


def function_of(network: Network) -> Callable[..., Any]:
    """Give the function of a Python network.

    Raises:
        WrongUse: the file does not run, or has no such function.
    """
    if network.kind == "shipped":
        return NETWORKS.get(network.function)
    if network.kind == "module":
        module, _, name = network.function.partition(":")
        return _attribute(
            _importing(module, lambda: vars(importlib.import_module(module))), name, network
        )
    with NETWORKS.collecting() as registered:
        found = _importing(network.file.name, lambda: _run(network.file))
    return _attribute(
        {**_only_function(found, network), **found, **registered}, network.function, network
    )


def _only_function(scope: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """Let a file with a single function of its own be used without saying which."""
    home = scope["__name__"]
    own = [
        value
        for key, value in scope.items()
        if inspect.isfunction(value) and value.__module__ == home and not key.startswith("_")
    ]
    return {network.file.stem: own[0]} if len(own) == 1 else {}


def definitions(file: Path) -> dict[str, Any]:
    """Run a user's Python file and give what it defines.

    Raises:
        WrongUse: it does not run.
    """
    with NETWORKS.collecting():
        return _importing(file.name, lambda: _run(file))


def _run(file: Path) -> dict[str, Any]:
    own_imports.reach(file.parent)
    scope: dict[str, Any] = {"__name__": f"zoo_network_{file.stem}", "__file__": str(file)}
    # a network file is code the user wrote to be run
    exec(compile(file.read_bytes(), str(file), "exec"), scope)  # noqa: S102
    return scope


def _importing(what: str, load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return load()
    except ZooError:
        raise
    except Exception as error:
        raise WrongUse(
            f"{what} does not run: {type(error).__name__}: {error}", hint=f"python {what}"
        ) from error


def _attribute(scope: Mapping[str, Any], name: str, network: Network) -> Callable[..., Any]:
    found = scope.get(name)
    if not callable(found):
        have = sorted(
            key
            for key, value in scope.items()
            if inspect.isfunction(value) and not key.startswith("_")
        )
        raise WrongUse(
            f"{network.file.name} has no function {name!r}",
            hint=f"its functions: {', '.join(have) or 'none'}",
        )
    # a user's function gives what it gives; `graph` checks
    return found  # type: ignore[no-any-return]


def call(network: Network, args: Mapping[str, Any]) -> Any:
    """Call a Python network with the manifest's arguments; gives a `Graph` or a tf_keras model.

    Raises:
        WrongUse: an argument is unknown or missing, with the signature; or the function raised.
    """
    function = function_of(network)
    signature = inspect.signature(function)
    try:
        signature.bind(**args)
    except TypeError as error:
        raise WrongUse(
            f"{network.function}: {error}", hint=f"its arguments: {_spelled(signature)}"
        ) from error
    try:
        return function(**args)
    except Exception as error:
        message = f"{network.function} raised {type(error).__name__}: {error}"
        raise WrongUse(message, hint=f"its arguments: {_spelled(signature)}") from error


def _spelled(signature: inspect.Signature) -> str:
    return ", ".join(str(parameter) for parameter in signature.parameters.values()) or "none"


def graph(network: Network, args: Mapping[str, Any]) -> Graph:
    """Call a Python network and insist on a `Graph`.

    Raises:
        WrongUse: it gave something else or a layer without elements, or one of the reasons of
            `call`.
    """
    made = call(network, args)
    if not isinstance(made, Graph):
        raise WrongUse(
            f"{network.function} gave a {type(made).__name__}; expected a"
            " zoo_builders.networks.graph.Graph",
            hint="return Net(...).graph()",
        )
    wrong = next((node for node in made.nodes if not _sized(node)), None)
    if wrong is not None:
        weights = f" and weights {dict(wrong.weights)}" if wrong.weights else ""
        raise WrongUse(
            f"{network.function}: layer {wrong.name} has shape {wrong.shape}{weights}; every size"
            " must be a whole number of at least 1",
            hint=f"its arguments: {_spelled(inspect.signature(function_of(network)))}",
        )
    return made


def _sized(node: Node) -> bool:
    """Whether every size is one.

    What a manifest gives as an argument can be text, a fraction or less than nothing.
    """
    sizes = [size for shape in (node.shape, *node.weights.values()) for size in shape]
    return all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes)
