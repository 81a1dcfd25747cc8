"""Data sources, one file each: where examples come from.

A source is a `Source` object, added to `SOURCES`.

A source gives its own splits (`train`, `test`, …); the manifest's splits are slices of those (see
`splits`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_builders.data.examples import Dataset, FileArg, Report, Survey
from zoo_builders.spec import Spec
from zoo_registry.model.plugins import Kind


@dataclass(frozen=True, slots=True)
class Source:
    """One registered source.

    Attributes:
        params: what `data.args` may say.
        load: (arguments, role → path of each file, report) → dataset; raises BadData.
        files: role → file, from the arguments; none for sources that carry or fetch their own data.
        splits: the source's split names where they are known before reading, else empty.
        shape: arguments → shape of one example (H, W, C), or (samples, 1, 1) of a recording, where
            they say it; None where only the data do.
        sample_rate: arguments → samples a second, for sources of recordings; 0 for images.
        survey: (arguments, role → path of each file) → what is there, in a moment and without
            TensorFlow; raises BadData.
        tools: distributions whose version can change what it gives.
        doc: one line for `zoo list data`.
    """

    params: type[Spec]
    load: Callable[[Any, Mapping[str, Path], Report], Dataset]
    files: Callable[[Any], Mapping[str, FileArg]] = field(default=lambda _args: {})
    splits: tuple[str, ...] = ()
    shape: Callable[[Any], tuple[int, ...] | None] = field(default=lambda _args: None)
    sample_rate: Callable[[Any], int] = field(default=lambda _args: 0)
    survey: Callable[[Any, Mapping[str, Path]], Survey | None] = field(
        default=lambda _args, _files: None
    )
    tools: tuple[str, ...] = ()
    doc: str = ""


SOURCES: Kind[Source] = Kind("data source", "data", __name__, like=Source)
