"""`keyword-spotting`: one score per keyword; the highest names what was said."""

from zoo_builders.tasks import TASKS
from zoo_builders.tasks.image_classification import ImageClassification


class KeywordSpotting(ImageClassification):
    """Share of recordings whose keyword is the highest score (top1).

    Beside it: how that is spread over the keywords.

    `macro_recall` counts every keyword the same, `worst_recall` is the keyword that is missed most:
    a device that does not understand "stop" is of no use, however good its average.
    """

    name = "keyword-spotting"


TASKS.add(KeywordSpotting.name, KeywordSpotting())
