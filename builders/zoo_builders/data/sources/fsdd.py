"""`fsdd`: the Free Spoken Digit Dataset in one `.npz`.

3,000 recordings of ten digits by six speakers, 8 kHz mono, 16 bit.

Jackson and others, github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0. Its official test
set is what every speaker said of every digit with index 0 to 4: 300 recordings; the other 2,700 are
`train`.

    pcm      int16, all recordings end to end
    offsets  integers [N+1]; recording i = pcm[offsets[i]:offsets[i+1]]
    digit    integers [N], 0 to 9: the label
    speaker  names [N]
    index    integers [N]: which take of that digit by that speaker

Recordings are of many lengths (0.14 to 2.3 seconds): each is brought to `seconds`, a longer one
cropped to its middle, a shorter one put in the middle of silence. Both splits are mixed by a
permutation that depends on their length alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from zoo_builders.data import untrusted
from zoo_builders.data.audio_features import Seconds, fitted
from zoo_builders.data.examples import BadData, Dataset, Examples, Report
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.spec import Sha256, Spec

RATE = 8000
TEST_TAKES = 5
DIGITS = 10
LIMIT = 1 << 30
_KEYS = ("pcm", "offsets", "digit", "speaker", "index")


class FsddArgs(Spec):
    """What `data.args` says about `fsdd`."""

    path: str = Field(description="the .npz file: relative to the manifest, or ${ZOO_DATA}/…")
    sha256: Sha256 = Field(
        description="its sha256: what a build is bound to, wherever the file lies"
    )
    seconds: Seconds = Field(
        default=1.0,
        description="length of every example; 99 % of the recordings are shorter than 1",
    )


def load(args: FsddArgs, files: Mapping[str, Path], report: Report) -> Dataset:
    """Read the recordings.

    Raises:
        BadData: it is not an .npz of this layout, or its parts do not fit together.
    """
    import numpy as np

    arrays = _checked(untrusted.arrays(files["path"], LIMIT))
    count, samples = len(arrays["digit"]), round(args.seconds * RATE)
    pcm, offsets = arrays["pcm"], arrays["offsets"]
    recordings = np.stack(
        [fitted(pcm[offsets[i] : offsets[i + 1]], samples) for i in range(count)]
    )[..., None, None]
    labels, is_test = arrays["digit"].astype(np.int64), arrays["index"] < TEST_TAKES
    report(count, count, "read recordings")
    splits = {
        name: Examples(recordings[mask], labels[mask]).mixed()
        for name, mask in (("train", ~is_test), ("test", is_test))
    }
    return Dataset(splits, tuple(str(digit) for digit in range(DIGITS)), (-32768.0, 32767.0), RATE)


def _checked(arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    import numpy as np

    missing = [name for name in _KEYS if name not in arrays]
    if missing:
        raise BadData(f"expected {', '.join(_KEYS)}; {', '.join(missing)} is missing")
    pcm, offsets, digit, index = (arrays[name] for name in ("pcm", "offsets", "digit", "index"))
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise BadData(f"pcm: expected int16 [samples], found {pcm.dtype} {pcm.shape}")
    for name, array in (("offsets", offsets), ("digit", digit), ("index", index)):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise BadData(
                f"{name}: expected integers in one dimension, found {array.dtype} {array.shape}"
            )
    if not len(digit) or len(offsets) != len(digit) + 1 or len(index) != len(digit):
        raise BadData(
            f"{len(offsets)} offsets, {len(digit)} digits, {len(index)} indices: expected N+1, N"
            " and N"
        )
    offsets = offsets.astype(np.int64)
    if offsets[0] < 0 or offsets[-1] > len(pcm) or (np.diff(offsets) <= 0).any():
        raise BadData(f"offsets must rise strictly within 0..{len(pcm)}")
    if not (0 <= int(digit.min()) <= int(digit.max()) < DIGITS):
        raise BadData(f"digits {digit.min()}..{digit.max()}; expected 0 to 9")
    return {**arrays, "offsets": offsets}


SOURCES.add(
    "fsdd",
    Source(
        FsddArgs,
        load,
        untrusted.files_of,
        splits=("train", "test"),
        shape=lambda args: (round(args.seconds * RATE), 1, 1),
        sample_rate=lambda _args: RATE,
        tools=("numpy",),
        doc="spoken digits: the Free Spoken Digit Dataset in one .npz",
    ),
)
