"""`train`: no weights from elsewhere; the network is trained from a seed on the manifest's data."""

from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Complaint, Wanted
from zoo_builders.spec import Spec


class TrainParams(Spec):
    """What `weights` says about `train`: nothing more."""


def check(wanted: Wanted) -> list[Complaint]:
    """Refuse to tune what is not borrowed."""
    fix = "write base.train.epochs, or a source of weights"
    return (
        [Complaint("fine_tune", "a network trained from scratch is not fine-tuned", fix)]
        if wanted.fine_tune
        else []
    )


WEIGHTS.add(
    "train",
    WeightsSource(TrainParams, doc="trained here, from a seed", check=check, module=__name__),
)
