"""How people name an operator of a .tflite file: by its layer, by a pattern, by its type. Pure.

An operator with weights is known by its weight tensor's name, any other by the name of what it
gives. The TensorFlow converter writes `model/layer/operation`, several of them joined by `;` where
operators were fused; other tools write what they like.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

REGEX = "re:"
"""What starts a word that is a regular expression over the whole name."""

_READ = re.compile(r"(/ReadVariableOp(_\d+)?)+$")


def matches(word: str, operator: str, name: str) -> bool:
    """Whether `word` means the operator.

    Its type (`CONV_2D`), its name or a part of it (`block1_*`), or `re:` and an expression.
    """
    if word.startswith(REGEX):
        return re.search(word.removeprefix(REGEX), name) is not None
    return word == operator or any(fnmatchcase(part, word) for part in parts(name))


def parts(name: str) -> tuple[str, ...]:
    """Give a tensor's whole name and everything between its `/` and `;`."""
    return tuple(
        dict.fromkeys(
            (name, *(part for joined in name.split(";") for part in joined.split("/") if part))
        )
    )


def layer_of(name: str) -> str:
    """Guess the layer a tensor's name speaks of: of `model/conv1/Conv2D` that is `conv1`.

    A name of any other form is given back as it is.

    Where operators were fused the last one decides, and it may end in what an operation reads:
    `model/conv1/BiasAdd/ReadVariableOp`.
    """
    inner = _READ.sub("", name.rsplit(";", 1)[-1]).split("/")
    return inner[-2] if len(inner) > 1 and inner[-2] else name


def any_of(words: Sequence[str], operator: str, name: str) -> bool:
    """Whether one of the words means the operator."""
    return any(matches(word, operator, name) for word in words)


def mistake(word: str) -> str:
    """Say what is wrong with a word; empty when nothing is."""
    if not word.strip():
        return "an empty word names nothing"
    try:
        re.compile(word.removeprefix(REGEX) if word.startswith(REGEX) else "")
    except re.error as error:
        return f"{word!r} is no regular expression: {error}"
    return ""
