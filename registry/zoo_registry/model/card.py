"""The model card of a repository, generated from records. Pure: records in, text out.

A repository of the Hugging Face Hub holds one model with its variants; in a registry's Hub layout
each artifact is one by itself.

The front matter follows https://huggingface.co/docs/hub/model-cards and its `model-index` (Papers
with Code format).
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from zoo_registry.model.platform import told
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.summary import Timing

OWNER = "zoo"  # of every repository in a registry's Hub layout
_METRIC_TYPES = {"top1": "accuracy", "top5": "top_5_accuracy"}


def metadata(records: Sequence[Record]) -> dict[str, Any]:
    """Fill the card's front matter from the records of one model's variants."""
    first = records[0]
    techniques = sorted({step.technique for record in records for step in record.recipe})
    return {
        "license": first.license.lower(),
        "library_name": "litert",
        "pipeline_tag": first.task,
        "tags": ["tflite", "litert", "on-device", "edgezoo", *techniques],
        "metrics": sorted(
            {_METRIC_TYPES.get(m.metric, m.metric) for record in records for m in record.metrics}
        ),
        "model-index": [
            {"name": record.name, "results": _results(record)}
            for record in records
            if record.metrics
        ],
    }


def _results(record: Record) -> list[dict[str, Any]]:
    def metric(name: str, value: float, size: int) -> dict[str, Any]:
        return {
            "type": _METRIC_TYPES.get(name, name),
            "name": f"{name} ({size} examples)",
            "value": value,
        }

    task = {"type": record.task, "name": record.task.replace("-", " ")}
    sets = dict.fromkeys((m.dataset, m.split) for m in record.metrics)
    return [
        {
            "task": task,
            "dataset": {"name": dataset, "type": dataset, "split": split},
            "metrics": [
                metric(m.metric, m.value, m.examples)
                for m in record.metrics
                if (m.dataset, m.split) == (dataset, split)
            ],
        }
        for dataset, split in sets
    ]


def for_hub(records: Iterable[Record], url: str) -> str:
    """Write the card of a repository on the Hub, which holds one model.

    Args:
        records: its variants.
        url: address for `zoo pull --from`, such as hub://org/repo.
    """
    ordered = sorted(records, key=lambda record: record.variant)
    return _card(ordered[0].model, ordered, _use_from_hub(ordered, url))


def for_registry(record: Record) -> str:
    """Write the card of one artifact in a registry.

    The same record gives the same text, whatever the registry's address.
    """
    return _card(record.name, [record], _use_from_registry(record))


def _card(title: str, records: Sequence[Record], use: Sequence[str]) -> str:
    """Put the card together; JSON is YAML, so the front matter needs no YAML writer."""
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in metadata(records).items())
    about = _plain(records[0].description)
    heard = dict.fromkeys(
        f"Input: {_plain(record.signature.sound.words)}."
        for record in records
        if record.signature.sound
    )
    parts = [
        f"# {title}",
        about,
        *heard,
        "## Variants",
        _table(records),
        *_conditions(records),
        "## Use",
        *use,
    ]
    return f"---\n{front}\n---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _table(records: Sequence[Record]) -> str:
    places = sorted(
        {(m.device, m.threads, m.on.key) for record in records for m in record.measurements}
    )
    several = len({(device, threads) for device, threads, _ in places}) < len(places)
    metrics = list(dict.fromkeys(m.metric for record in records for m in record.metrics))
    heads = [
        "variant",
        "version",
        *metrics,
        "raw",
        "gzip",
        *(
            f"{d}{f', {told(key)}' if several else ''}, {t} thread{'s'[: t > 1]}: median, ratio"
            for d, t, key in places
        ),
    ]
    rules = ["---", "---", *["---:"] * (len(heads) - 2)]
    rows = [_row(record, metrics, places) for record in records]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))


def _row(
    record: Record, metrics: Iterable[str], places: Iterable[tuple[str, int, str]]
) -> list[str]:
    scores = [_score(record, name) for name in metrics]
    timings = [_timing(record, place) for place in places]
    sizes = [f"{record.file.size:,}", f"{record.file.size_gzip:,}"]
    return [f"`{record.variant}`", record.version, *scores, *sizes, *timings]


def _score(record: Record, name: str) -> str:
    found = record.metric(name)
    return f"{found.value:.4f} [{found.ci95[0]:.4f}, {found.ci95[1]:.4f}]" if found else "-"


def _timing(record: Record, place: tuple[str, int, str]) -> str:
    found = next((m for m in record.measurements if (m.device, m.threads, m.on.key) == place), None)
    if found is None:
        return "-"
    timing = Timing.of(found)
    noisy = ", noisy" if timing.noisy else ""
    low, high = timing.ratio_ci95
    return (
        f"{timing.median_ms:.4g} ms, {timing.ratio:.3f} [{low:.3f}, {high:.3f}]"
        f" ({timing.verdict}{noisy})"
    )


def _conditions(records: Sequence[Record]) -> list[str]:
    seen: dict[str, None] = {}
    for record in records:
        seen |= {_condition(m): None for m in record.measurements}
    quality = dict.fromkeys(
        f"- {m.metric} on {m.dataset}, split {m.split}, {m.examples:,} examples"
        for r in records
        for m in r.metrics
    )
    lines = [*quality, *seen]
    note = (
        "Sizes are bytes. Brackets are 95 % intervals; a ratio is to the float baseline, run in"
        " turns with it in one session."
    )
    return ["## Conditions", "\n".join(lines), note] if lines else []


def _condition(m: Measurement) -> str:
    threads = f"{m.threads} thread(s) {'pinned' if m.pinned else 'not pinned'}"
    return (
        f"- {m.device}: {_plain(m.host.cpu)} ({m.on.arch} {m.on.isa}), {m.runtime}"
        f" {m.runtime_version}, {m.delegate}, {threads}, {m.rounds} rounds of {m.runs} runs,"
        f" protocol {m.protocol}, baseline {m.baseline.name}"
    )


def _use_from_hub(records: Sequence[Record], url: str) -> list[str]:
    last = records[-1]
    with_zoo = f"""pip install 'edgezoo[hub]'
zoo search --from {url} --sort size_gzip
zoo pull {last.name}@{last.version} --from {url}     # verified against its record"""
    without = (
        f"hf download {url.removeprefix('hub://')} {last.variant}/model.tflite --revision"
        f" {last.variant}-v{last.version}"
    )
    return [
        _shell(with_zoo),
        "Or without it:",
        _shell(without),
        f"Each variant's folder holds the model{_beside(records)}.",
    ]


def _use_from_registry(record: Record) -> list[str]:
    with_zoo = (
        f"zoo pull {record.name}@{record.version}     # verified against its record; ZOO_REGISTRY"
        " names the registry"
    )
    without = (
        f"hf download {OWNER}/{record.name} --revision v{record.version}     # HF_ENDPOINT names"
        " the registry"
    )
    return [
        _shell(with_zoo),
        "Or without it:",
        _shell(without),
        f"Beside this card are the model{_beside([record])}.",
    ]


def _beside(records: Sequence[Record]) -> str:
    golden = (
        " and `golden.npz` (inputs, outputs)" if any(record.golden for record in records) else ""
    )
    return f", `record.json` (all numbers above with their conditions){golden}"


def _shell(commands: str) -> str:
    return f"```sh\n{commands}\n```"


def _plain(text: str) -> str:
    """Take what would be markup out of text that somebody wrote."""
    return re.sub(r"[<>|`\[\]]", " ", text).strip()
