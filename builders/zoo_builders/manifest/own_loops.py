"""Where a training loop of the user comes from (`base.train.trainer`), and whether it can be one.

Pure but for the tree it reads.

    ./loops/slow.py[:function]      a Python file, relative to the manifest; the function defaults
                                    to the file's name
    python:package.module:function  in the project, or installed

The file, and what it imports from its project, are part of the fingerprint of every stage that
trains. It is parsed while planning, and run only by the stage.
"""

import ast
from pathlib import Path

from zoo_builders.networks import lookup
from zoo_builders.networks.lookup import Network
from zoo_registry.model.errors import WrongUse

_WRITE = (
    "def {name}(training): …   # see docs/guides/model-engineer.md, 'Training loops of your own'"
)


def locate(trainer: str, folder: Path, path: Path | None) -> Network:
    """Find the file and function; `path` is what a file resolves to.

    Raises:
        WrongUse: it is neither a Python file nor python:module:function, or the module cannot be
            found.
    """
    found = (
        lookup.locate(trainer, folder, path, lambda _: False)
        if path is None or path.suffix == ".py"
        else None
    )
    if found is None or found.kind not in {"source", "module"}:
        raise WrongUse(
            f"{trainer!r} is no training loop: expected a Python file or a module's function",
            hint="write trainer: ./loop.py:function, or python:package.module:function",
        )
    return found


def check(source: bytes, found: Network) -> None:
    """Insist that the file defines the function, for one argument.

    Raises:
        WrongUse: it does not parse, or has no such function, or one that takes something else.
    """
    name = found.function.rpartition(":")[2]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise WrongUse(
            f"{found.file.name} does not parse: {error}", hint=f"python {found.file.name}"
        ) from error
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        have = ", ".join(sorted(key for key in functions if not key.startswith("_"))) or "none"
        raise WrongUse(
            f"{found.file.name} has no function {name!r}; its functions: {have}",
            hint=_WRITE.format(name=name),
        )
    arguments = functions[name].args
    needed = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    if needed > 1 or (needed == 0 and not arguments.args and not arguments.vararg):
        raise WrongUse(
            f"{name} takes {needed} arguments; a training loop is called with one",
            hint=_WRITE.format(name=name),
        )
