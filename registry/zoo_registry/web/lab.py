"""What a page needs to measure files in the visitor's own browser.

It says which files, against what, and what it costs. The module is pure.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo_registry.model import formatting
from zoo_registry.model.dataset import DataSet
from zoo_registry.model.evaluate import main_metric
from zoo_registry.model.platform import told
from zoo_registry.model.query import Query
from zoo_registry.model.submitted import VISITORS
from zoo_registry.model.summary import Summary
from zoo_registry.web import urls

DEVICE = VISITORS.removesuffix(":")

_MOST, _MOST_BYTES = 8, 40_000_000  # what is ticked beforehand: a visitor may pay for the download


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the browser finds LiteRT.js: its version, and the bytes it loads once."""

    version: str
    download: int


@dataclass(frozen=True, slots=True)
class Lab:
    """What the page holds for its script.

    `runtime` is None where LiteRT.js is not installed, and then there is nothing to press.
    """

    runtime: Runtime | None
    data: dict[str, Any]


def lab(
    chosen: Sequence[Summary],
    family: Sequence[Summary],
    runtime: Runtime | None,
    *,
    needs_token: bool,
) -> Lab | None:
    """Choose what can be measured: the releases a page is about first, then their relatives.

    The ratio is to the plain float release of the same model, which takes part in any case.
    Relatives are ticked beforehand while the download stays small. None where there is nothing to
    measure.
    """
    if not chosen:
        return None
    entries = list(
        {item.file_sha256: item for item in [*chosen, *_floats(family), *family]}.values()
    )
    ticked = _ticked(chosen, entries)
    device = _published_on(entries)
    on = Counter(t.platform for item in entries for t in item.timings if t.device == device)
    place = (device, min(on, key=lambda key: (-on[key], key), default=None))
    metric = main_metric(Query(), list(chosen))
    where = next((s.dataset for item in chosen for s in item.scored if s.metric == metric), None)
    data = {
        "runtime": (
            runtime and {"base": f"/static/litertjs/{runtime.version}/", "bytes": runtime.download}
        ),
        "needs_token": needs_token,
        "metric": metric,
        "metric_name": formatting.metric_name(metric),
        "device": device,
        "machine": told(place[1]) if place[1] else "",
        "entries": [
            _entry(_seen(item, where), metric, place, ticked=item.file_sha256 in ticked)
            for item in entries
        ],
    }
    return Lab(runtime, data)


def _floats(family: Sequence[Summary]) -> list[Summary]:
    return [item for item in family if not item.techniques]


def _ticked(chosen: Sequence[Summary], entries: Sequence[Summary]) -> set[str]:
    """Tick what the page is about and the baselines.

    Then as many others as a visitor would hardly notice.
    """
    found = {
        item.file_sha256: item.size for item in entries if item in chosen or not item.techniques
    }
    if len(chosen) > 1:
        return set(found)
    for item in sorted(entries, key=lambda item: item.size):
        if (
            len(found) < _MOST
            and item.file_sha256 not in found
            and sum(found.values()) + item.size <= _MOST_BYTES
        ):
            found[item.file_sha256] = item.size
    return set(found)


def _published_on(entries: Sequence[Summary]) -> str:
    """Name the device whose published latencies stand beside the visitor's.

    The same kind if there is one, else the most measured.
    """
    devices = sorted(timing.device for item in entries for timing in item.timings)
    return (
        DEVICE if DEVICE in devices else max(dict.fromkeys(devices), key=devices.count, default="")
    )


def _seen(item: Summary, where: DataSet | None) -> Summary:
    """Show an item as it stands on one data set, so that no two metrics differ in theirs."""
    return item if where is None else item.within(where)


def _entry(
    item: Summary, metric: str, place: tuple[str, str | None], *, ticked: bool
) -> dict[str, Any]:
    device, key = place
    timing = item.timing(device, 1, key) or item.timing(device, None, key)
    return {
        "sha256": item.file_sha256,
        "name": item.name,
        "version": item.version,
        "model": item.model,
        "variant": item.variant,
        "float": not item.techniques,
        "size": item.size,
        "macs": item.macs,
        "metric": item.metrics.get(metric),
        "ci95": item.metrics_ci95.get(metric),
        "published": (
            timing
            and {
                "median_ms": timing.median_ms,
                "ratio": timing.ratio,
                "ci95": timing.ratio_ci95,
                "verdict": timing.verdict,
                "noisy": timing.noisy,
                "aa": timing.aa_ratio,
            }
        ),
        "href": urls.artifact(item.name, item.version),
        "pull": urls.pull_command(item.name, item.version),
        "record": f"/v1{urls.artifact(item.name, item.version)}",
        "ticked": ticked,
    }
