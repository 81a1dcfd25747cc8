"""`audio-folder`: recordings as `.wav` files, in folders named after their classes.

    FOLDER/CLASS/*.wav           one split, called `all`
    FOLDER/SPLIT/CLASS/*.wav     one split a folder (train, test, …), when every folder of the first
                                 level holds folders

Files are uncompressed, as `wav` reads them: PCM of 8, 16, 24 or 32 bits, or floats, any number of
channels, 1 to 768 kHz.
Channels are averaged, the rate is brought to `sample_rate` by a polyphase filter (SciPy's
`resample_poly`), the length to `seconds`: a longer recording is cropped to its middle, a shorter
one put in the middle of silence. Files are taken in the order of class, then file name, then mixed
within each split by a permutation that is always the same, so that any slice holds all classes.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zoo_builders.data import untrusted, wav
from zoo_builders.data.audio_features import Seconds, fitted
from zoo_builders.data.examples import BadData, Dataset, Report, Survey
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.data.tally import Tally
from zoo_builders.data.untrusted import ClassList
from zoo_builders.spec import Sha256, Spec

_SUFFIXES = frozenset({".wav", ".wave"})


class AudioFolderArgs(Spec):
    """What `data.args` says about `audio-folder`."""

    path: str = Field(description="the folder: relative to the manifest, or ${ZOO_DATA}/…")
    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = Field(
        default=16_000, description="samples a second of every example"
    )
    seconds: Seconds = Field(
        default=1.0,
        description=(
            "length of every example: longer ones are cropped, shorter ones padded, centred"
        ),
    )
    classes: ClassList = None
    sha256: Sha256 | None = Field(
        default=None, description="digest of the folder as `zoo plan` prints it"
    )

    @property
    def samples(self) -> int:
        """Length of every example in samples."""
        return round(self.seconds * self.sample_rate)


def load(args: AudioFolderArgs, files: Mapping[str, Path], report: Report) -> Dataset:
    """Read all recordings.

    Raises:
        BadData: no recordings, or a file that is no uncompressed wav; the message names it and why.
    """
    import numpy as np

    root = files["path"]
    found = untrusted.find(root, _SUFFIXES)
    classes = untrusted.listed(found.splits, files.get("classes"))
    if not classes:
        raise BadData(
            "; ".join((f"{root.name} holds no .wav files in class folders", *found.notes)),
            hint="FOLDER/CLASS/FILE.wav or FOLDER/SPLIT/CLASS/FILE.wav",
        )
    like = np.empty((args.samples, 1, 1), np.int16)

    tally = Tally("recording")

    def one(file: Path) -> Any:
        return recording(file, args.sample_rate, args.samples, tally)[:, None, None]

    splits = untrusted.read(found.splits, classes, like, one, report, "read recordings")
    return Dataset(
        splits, classes, (-32768.0, 32767.0), args.sample_rate, (*found.notes, *tally.notes)
    )


def survey(_args: AudioFolderArgs, files: Mapping[str, Path]) -> Survey:
    """Count the recordings by their folders; none is opened."""
    found = untrusted.find(files["path"], _SUFFIXES)
    return found.survey(untrusted.listed(found.splits, files.get("classes")))


def recording(file: Path, sample_rate: int, samples: int, tally: Tally) -> Any:
    """Read one file as int16 [samples]: one channel, resampled, its length fitted.

    Raises:
        BadData: it is not an uncompressed wav, is empty, cut short, or longer than ten minutes.
    """
    import numpy as np

    values, rate = wav.read(file, f"{file.parent.name}/{file.name}", tally)
    mono = values.mean(axis=1)
    if values.shape[1] > 1:
        tally.add("several channels, averaged")
    if rate != sample_rate:
        from scipy.signal import resample_poly

        tally.add(f"of another rate, resampled to {sample_rate} Hz")
        shared = math.gcd(sample_rate, rate)
        mono = resample_poly(mono, sample_rate // shared, rate // shared)
    return fitted(np.clip(np.rint(mono), -32768, 32767).astype(np.int16), samples)


SOURCES.add(
    "audio-folder",
    Source(
        AudioFolderArgs,
        load,
        untrusted.files_of,
        shape=lambda args: (args.samples, 1, 1),
        sample_rate=lambda args: args.sample_rate,
        survey=survey,
        tools=("numpy", "scipy"),
        doc="wav files, one folder a class",
    ),
)
