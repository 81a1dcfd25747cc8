"""Data sets as metrics know them: two numbers are compared only within one. Pure."""

import re
from collections.abc import Iterable
from typing import Self

from zoo_registry.model.label_space import label_space
from zoo_registry.model.part import Value
from zoo_registry.model.record import Metric, Record

_SHORT = 8
_DIGEST = re.compile(r"(.*)#([0-9a-f]{4,64})", re.DOTALL)


class DataSet(Value):
    """What a metric was measured on: name and digest, split, how many examples, which labels.

    Metrics of two data sets do not compare: not where the bytes, the part that was taken, or the
    meaning of the labels differ. All but the name is empty in what an older program wrote.
    """

    name: str
    sha256: str = ""
    split: str = ""
    examples: int = 0
    labels: str = ""

    @classmethod
    def of(cls, metric: Metric, record: Record) -> Self:
        """Take it from a metric; labels that the metric does not name are those of the record."""
        return cls(
            name=metric.dataset,
            sha256=metric.dataset_sha256,
            split=metric.split,
            examples=metric.examples,
            labels=metric.labels or labels_of(record, metric.dataset),
        )

    @property
    def words(self) -> str:
        """The data set for people: `cifar10, split test, 10,000 examples`."""
        parts = (
            self.name,
            f"split {self.split}" if self.split else "",
            f"{self.examples:,} examples" if self.examples else "",
        )
        return ", ".join(part for part in parts if part)

    @property
    def order(self) -> tuple[str, str, str, int, str]:
        """Where it stands among others that have as many artifacts."""
        return (self.name, self.split, self.sha256, self.examples, self.labels)


class Score(Value):
    """One metric of a file on one data set."""

    metric: str
    value: float
    ci95: tuple[float, float] | None = None
    dataset: DataSet


def scores(record: Record) -> tuple[Score, ...]:
    """Give the metrics of a record in its order, one for each metric and data set."""
    found: dict[tuple[str, DataSet], Score] = {}
    for m in record.metrics:
        where = DataSet.of(m, record)
        score = Score(metric=m.metric, value=m.value, ci95=m.ci95, dataset=where)
        found.setdefault((m.metric, where), score)
    return tuple(found.values())


def same(metric: Metric, record: Record, other: Record) -> Metric | None:
    """Give the metric of `other` that compares with one of `record`: on the very same data set."""
    return next((found for found in other.metrics if _alike(metric, record, found, other)), None)


def _alike(one: Metric, of_one: Record, other: Metric, of_other: Record) -> bool:
    """Whether two metrics compare. Labels are derived only where one of the two names them."""
    fields = ("metric", "dataset", "dataset_sha256", "split", "examples")
    return all(getattr(one, name) == getattr(other, name) for name in fields) and (
        one.labels == other.labels
        or DataSet.of(one, of_one).labels == DataSet.of(other, of_other).labels
    )


def labels_of(record: Record, dataset: str = "") -> str:
    """Name what the outputs of a record's file mean; of old records, by all that they carry.

    Empty where the file is no classifier: it has no labels, and no metric that needs some.
    """
    if not record.signature.labels and not record.metrics:
        return ""
    said = next((metric.labels for metric in record.metrics if metric.labels), "")
    if said and not record.signature.labels:
        return said
    shape = record.signature.outputs[0].shape if record.signature.outputs else ()
    name = dataset or (record.metrics[0].dataset if record.metrics else "")
    outputs = shape[-1] if len(shape) > 1 else 0
    return label_space(record.signature.labels, dataset=name, outputs=outputs)


class Choice(Value):
    """Which data sets a question is about: `dataset=` and `labels=`.

    A data set is asked for by name (`cifar10`), by name and split (`cifar10:test`), and either with
    the first digits of its digest (`cifar10#1f2e3d4c`). Capitals count for nothing.
    """

    name: str | None = None
    sha256: str = ""
    labels: str | None = None

    @classmethod
    def read(cls, dataset: str | None, labels: str | None) -> Self:
        """Take the text of both parameters apart."""
        wanted = None if dataset is None else dataset.lower()
        digest = _DIGEST.fullmatch(wanted or "")
        name, sha256 = digest.groups() if digest else (wanted, "")
        return cls(name=name, sha256=sha256, labels=None if labels is None else labels.lower())

    @property
    def is_open(self) -> bool:
        """Whether every data set will do."""
        return self.name is None and self.labels is None

    def takes(self, dataset: DataSet) -> bool:
        """Whether a metric that was measured there is meant."""
        name, split = dataset.name.lower(), dataset.split.lower()
        return (
            (self.name is None or self.name in (name, f"{name}:{split}"))
            and dataset.sha256.startswith(self.sha256)
            and (self.labels is None or self.labels == dataset.labels.lower())
        )


def spelled(datasets: Iterable[DataSet]) -> dict[DataSet, str]:
    """Write each the shortest way in which `dataset=` tells it from the others.

    Two that differ in labels or examples only are written alike: a digest cannot tell them apart.
    """
    known = tuple(dict.fromkeys(datasets))
    return {one: _shortest(one, known) for one in known}


def _shortest(one: DataSet, known: Iterable[DataSet]) -> str:
    split, digest = f"{one.name}:{one.split}", f"#{one.sha256[:_SHORT]}"
    ways = [one.name, split]
    if one.sha256:
        ways += [f"{one.name}{digest}", f"{split}{digest}", f"{split}#{one.sha256}"]
    return next((text for text in ways if _tells(text, one, known)), ways[-1])


def _tells(text: str, one: DataSet, known: Iterable[DataSet]) -> bool:
    """Whether `text` takes `one`, and nothing else of another name, digest or split."""
    choice = Choice.read(text, None)
    taken = {(each.name, each.split, each.sha256) for each in known if choice.takes(each)}
    return taken == {(one.name, one.split, one.sha256)}
