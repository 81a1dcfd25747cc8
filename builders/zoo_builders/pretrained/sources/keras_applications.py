"""`keras-applications`: ImageNet weights as Keras publishes them, for the networks that both have.

They fit `variant: stock` exactly. In `variant: xnnpack` the same weights see other pixels at every
stride: a remark names the layers, and `fine_tune` mends it. Keras downloads the file, from
`ZOO_KERAS_WEIGHTS` instead of its own address if that is set.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field

from zoo_builders import tf
from zoo_builders.pretrained import padding, weight_files
from zoo_builders.pretrained.download import IMAGENET, folder, verified
from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Complaint, Report, Wanted
from zoo_builders.spec import Sha256, Spec
from zoo_client.settings import Settings
from zoo_registry.model.errors import Unreachable

ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"

Args = Mapping[str, Any]
_KERNELS = "weights_tf_dim_ordering_tf_kernels"


class KerasParams(Spec):
    """What `weights` says about `keras-applications`."""

    sha256: Sha256 = Field(
        description="what `sha256sum` says of the file; `zoo validate` names its address"
    )


def _among(args: Args, name: str, default: Any, allowed: Sequence[Any]) -> Any:
    value = args.get(name, default)
    if value not in allowed:
        raise ValueError(
            f"there are weights for {name} {', '.join(map(str, allowed))}, not for {value}"
        )
    return value


def _v1(args: Args) -> str:
    width = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
    alpha, side = (
        _among(args, "alpha", 1.0, list(width)),
        _among(args, "resolution", 224, (128, 160, 192, 224)),
    )
    return f"mobilenet/mobilenet_{width[alpha]}_{side}_tf.h5"


def _v2(args: Args) -> str:
    alpha = _among(args, "alpha", 1.0, (0.35, 0.5, 0.75, 1.0, 1.3, 1.4))
    side = _among(args, "resolution", 224, (96, 128, 160, 192, 224))
    return f"mobilenet_v2/mobilenet_v2_{_KERNELS}_{float(alpha)}_{side}.h5"


def _v3(args: Args) -> str:
    minimal = args.get("minimalistic", True)
    alpha = _among(args, "alpha", 1.0, (1.0,) if minimal else (0.75, 1.0))
    size = f"{args.get('size', 'small')}{'_minimalistic' if minimal else ''}"
    return f"mobilenet_v3/weights_mobilenet_v3_{size}_224_{float(alpha)}_float.h5"


def _resnet(args: Args) -> str:
    return f"resnet/resnet{args.get('depth', 50)}v2_{_KERNELS}.h5"


def _inception(_: Args) -> str:
    return f"inception_v3/inception_v3_{_KERNELS}.h5"


_FILES: Mapping[str, Callable[[Args], str]] = {
    "mobilenet_v1": _v1,
    "mobilenet_v2": _v2,
    "mobilenet_v3": _v3,
    "resnet_v2": _resnet,
    "inception_v3": _inception,
}
"""Network → file below the address, by the network's arguments."""


def check(wanted: Wanted) -> list[Complaint]:
    """Refuse networks, widths and classes that no published weights are for."""
    if wanted.network not in _FILES:
        fix = f"networks Keras has weights for: {', '.join(sorted(_FILES))}"
        return [
            Complaint("source", f"keras.applications has no weights for {wanted.network!r}", fix)
        ]
    try:
        _FILES[wanted.network](wanted.args)
    except ValueError as error:
        return [
            Complaint(
                "source", f"{wanted.network}: {error}", "change base.args, or train: source: train"
            )
        ]
    classes = wanted.args.get("classes", IMAGENET)
    if classes != IMAGENET and not wanted.fine_tune:
        return [
            Complaint(
                "fine_tune",
                f"a classifier of {classes} classes starts from random weights",
                "add fine_tune: 5",
            )
        ]
    return []


def remarks(wanted: Wanted) -> list[str]:
    """Say where the file is, and what it was trained on.

    These are its inputs, and the layers that see other pixels here than in training.
    """
    if check(wanted):
        return []
    read = "preprocess: [{rescale: [-1, 1]}]"
    told = [f"weights from {_address(wanted)}, trained on RGB in [-1, 1]: {read}"]
    return told + (
        padding.remarks(wanted, "tensorflow") if wanted.network.startswith("mobilenet") else []
    )


def _address(wanted: Wanted) -> str:
    root = (Settings.read().keras_weights or ADDRESS).rstrip("/")
    return f"{root}/{_FILES[wanted.network](wanted.args)}"


def bring(wanted: Wanted, report: Report) -> Path:
    """Let Keras fetch the file once, into the project's folder.

    Raises:
        Unreachable: it cannot be fetched.
        DigestMismatch: it is another file than the manifest demands.
    """
    address, sha256 = _address(wanted), wanted.params.sha256
    kept = folder() / "keras" / PurePosixPath(address).name
    kept.parent.mkdir(
        parents=True, exist_ok=True
    )  # Keras goes to /tmp where its folder is not there yet
    report(0, 1, f"fetching {kept.name}")
    try:
        tf.keras.utils.get_file(
            kept.name,
            address,
            cache_dir=str(folder()),
            cache_subdir="keras",
            file_hash=sha256,
            hash_algorithm="sha256",
        )
    # Keras raises bare Exceptions for what the network does, and ValueError for another file
    except Exception as error:
        if not kept.exists():
            raise Unreachable(
                f"{address}: {str(error).strip()[:300]}",
                hint=f"curl -L {address} | sha256sum   # what is there",
            ) from error
    return verified(kept, sha256)


WEIGHTS.add(
    "keras-applications",
    WeightsSource(
        KerasParams,
        doc="ImageNet weights of keras.applications, by sha256",
        check=check,
        remarks=remarks,
        bring=bring,
        read=weight_files.read,
        module=__name__,
    ),
)
