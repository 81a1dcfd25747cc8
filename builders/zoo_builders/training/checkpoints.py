"""Checkpoints inside a stage.

The variables of a training and how far it is, in one file that appears whole or not at all.

    <note>-<identity>.npz
        about        JSON {identity, epoch, step, history}, as bytes
        0, 1, …      the variables' values, in the order they were given
        m0, m1, …    the sums of the metrics so far in this epoch

The identity is a digest of the training's settings and of every variable's name, shape, type and
first value: only the same training, started from the same bits, finds a checkpoint. What a model
keeps outside variables (the constants of a wrapper, its mode) is made again by making the model
again from the same seed; a checkpoint never holds it.
"""

import hashlib
import json
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from zoo_builders import tf
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.files import appearing

EVERY_S = 15.0
"""Seconds between two checkpoints; at an epoch's end a third of that is enough."""

SHARE = 0.01
"""Part of the time that checkpoints may take: a slow disk or a large model makes them rarer."""

_BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)


class Position(BaseModel):
    """How far a training is: steps done in an epoch, and what the epochs before it gave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = []


class _About(Position):
    identity: str


@dataclass(slots=True)
class Checkpoint:
    """The checkpoint of one training.

    Attributes:
        folder: where it is kept; None keeps nothing.
        note: what is trained, as people read it.
        identity: see the module.
        say: told why a checkpoint that is there is not used.
    """

    folder: Path | None
    note: str
    identity: str
    say: Callable[[str], None]
    _saved: float = field(default_factory=time.monotonic)
    _cost: float = 0.0

    @property
    def path(self) -> Path | None:
        """The file."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.note.lower()).strip("-")
        return None if self.folder is None else self.folder / f"{slug}-{self.identity[:16]}.npz"

    def due(self, *, epoch_ends: bool = False) -> bool:
        """Whether it is time to save again."""
        wait = max(EVERY_S / 3 if epoch_ends else EVERY_S, self._cost / SHARE)
        return self.folder is not None and time.monotonic() - self._saved >= wait

    def save(self, variables: Sequence[Any], metrics: Sequence[Any], position: Position) -> None:
        """Keep the variables as they are now.

        A failing disk costs the checkpoint, not the training.
        """
        import numpy as np

        if self.path is None:
            return
        began = time.monotonic()
        about = json.dumps({**position.model_dump(), "identity": self.identity}).encode()
        values = {str(at): variable.numpy() for at, variable in enumerate(variables)}
        values |= {f"m{at}": metric.numpy() for at, metric in enumerate(metrics)}
        try:
            with appearing(self.path) as stream:
                np.savez(stream, about=np.frombuffer(about, np.uint8), **values)
        except OSError as error:
            self.say(f"{self.note}: no checkpoint could be written: {error}")
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def load(self, variables: Sequence[Any]) -> tuple[Position, list[Any]]:
        """Set the variables to what was kept; give how far that was and the metrics' sums.

        Without a fitting checkpoint no variable changes.
        """
        if self.path is None or not self.path.is_file():
            return Position(), []
        try:
            position, values, metrics = _read(self.path, self.identity, variables)
        except _BROKEN as error:
            self.say(
                f"{self.note}: the checkpoint {self.path.name} is not used:"
                f" {error or type(error).__name__}; starting over"
            )
            return Position(), []
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return position, metrics


def _read(
    path: Path, identity: str, variables: Sequence[Any]
) -> tuple[Position, list[Any], list[Any]]:
    import numpy as np

    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
        about = _About.model_validate_json(held["about"].tobytes())
        if about.identity != identity:
            raise ValueError("it belongs to another training")
        values = [held[str(at)] for at in range(len(variables))]
        metrics = [held[f"m{at}"] for at in range(sum(name.startswith("m") for name in held.files))]
    for variable, value in zip(variables, values, strict=True):
        expected = (tuple(variable.shape), variable.dtype.as_numpy_dtype)
        if (value.shape, value.dtype) != expected:
            raise ValueError(
                f"{variable.name} is {value.dtype}{list(value.shape)}, expected"
                f" {expected[1].__name__}{list(expected[0])}"
            )
    return Position(epoch=about.epoch, step=about.step, history=about.history), values, metrics


def identity(settings: Mapping[str, Any], variables: Sequence[Any]) -> str:
    """Digest a training: its settings, and name, shape, type and first value of each variable."""
    hasher = hashlib.sha256(digest_of(settings).encode())
    for variable in variables:
        value = variable.numpy()
        hasher.update(f"{variable.name} {value.dtype} {value.shape}\n".encode())
        hasher.update(value.tobytes())
    return hasher.hexdigest()


def variables_of(model: Any, others: Sequence[Any] = ()) -> list[Any]:
    """List every variable that training a compiled model can change, each once, metrics aside.

    Weights and what wrappers keep beside them, the optimizer's (which must be built), the
    generators' of random layers (dropout), and those of `others` (anything with `variables`).
    """
    found = [*model.variables, *model.optimizer.variables]
    found += [state for layer in model.submodules for state in _random_state(layer)]
    found += [
        node
        for node in tf.tensorflow.train.TrackableView(model).descendants()
        if isinstance(node, tf.tensorflow.Variable)
    ]
    found += [variable for other in others for variable in other.variables]
    return list({id(variable): variable for variable in found}.values())


def _random_state(layer: Any) -> list[Any]:
    """Give the state of a random layer's generator, if it has one.

    Keras keeps it out of the weights on purpose, and has no public way to it.
    """
    generator = getattr(getattr(layer, "_random_generator", None), "_generator", None)
    return [] if generator is None else [generator.state]
