"""What quantizing did to each layer, as a chart and a table: pure, from a record's `Quantization`.

A row is a layer, in the order of the network. Two marks: the signal-to-noise ratio over all values,
and averaged over the channels. Where the second lies far left of the first, one large channel
stretches the grid and the others drown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zoo_registry.model import formatting
from zoo_registry.model.record import LayerError, Quantization, shorten
from zoo_registry.web.scales import Scale, fit, tick_text

MOST = 40
"""More layers than this: the chart shows the worst of them, the table all."""

_ROW, _TOP, _BELOW = 20, 8, 40
_RIGHT, _WIDTH = 66, 760
_LABEL_LENGTH, _LETTER = 30, 6.6
_BAD_DB = 10.0
"""Noise of a third of the signal: a layer below is drawn as bad."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer, spelled."""

    source: LayerError
    rmse: str
    sqnr: str
    channels: str
    tone: str


@dataclass(frozen=True, slots=True)
class LayerErrors:
    """What the page shows of a quantization.

    A chart, a table, and sentences on how it came about.
    """

    chart: Markup
    rows: tuple[LayerRow, ...]
    about: str
    search: str
    left_out: int


def layer_errors(quantization: Quantization | None) -> LayerErrors | None:
    """Spell a quantization for the page; None where nothing was measured."""
    if quantization is None or not quantization.layers:
        return None
    shown = _shown(quantization.layers)
    return LayerErrors(
        chart=chart(shown),
        rows=tuple(_row(error) for error in quantization.layers),
        about=_about(quantization),
        search=_search(quantization),
        left_out=len(quantization.layers) - len(shown),
    )


def _shown(errors: Sequence[LayerError]) -> list[LayerError]:
    worst = sorted(range(len(errors)), key=lambda index: errors[index].sqnr_channels_db)[:MOST]
    return [errors[index] for index in sorted(worst)]


def _row(error: LayerError) -> LayerRow:
    return LayerRow(
        error,
        f"{error.rmse_over_scale:.2f}",
        _db(error.sqnr_db),
        _db(error.sqnr_channels_db),
        tone(error),
    )


def tone(error: LayerError) -> str:
    """Class of a layer's marks: left in float, bad, or even."""
    return "kept" if error.kept_float else "bad" if error.sqnr_channels_db < _BAD_DB else "even"


def _db(value: float) -> str:
    return f"{value:.1f}"


def _about(quantization: Quantization) -> str:
    how = {
        "layer": "each operator computed in integers and in float from the same inputs",
        "network": "the quantized file beside the float one, so errors add up towards the output",
    }[quantization.mode]
    engine = {"tensorflow": "TensorFlow's converter", "litert": "litert-quantizer"}[
        quantization.engine
    ]
    examples = f"{formatting.count(quantization.examples)} examples of {quantization.split}"
    return f"{engine} {quantization.engine_version}; {how}; {examples}."


def _search(quantization: Quantization) -> str:
    kept = [error for error in quantization.layers if error.kept_float]
    if not kept:
        return ""
    names = ", ".join(error.layer for error in kept)
    if not quantization.search:
        return f"Left in float, as the recipe says: {names}."
    first = quantization.search[0]
    last = min(
        (trial for trial in quantization.search if trial.kept == len(kept)),
        key=lambda trial: trial.drop,
        default=first,
    )
    metric = formatting.metric_name(quantization.metric)
    fell = (
        f"{metric} falls by {_points(first.drop)} points with all layers in integers, by"
        f" {_points(last.drop)} with these in float"
    )
    return f"Left in float, found in {len(quantization.search)} trials: {names}. {fell}."


def _points(drop: float) -> str:
    return f"{max(drop, 0.0) * 100:.1f}"


def chart(errors: Sequence[LayerError]) -> Markup:
    """Draw the rows: no script, every text escaped, colours by class.

    The table beside it says the same in words.
    """
    if not errors:
        return Markup()
    values = [value for error in errors for value in (error.sqnr_db, error.sqnr_channels_db)]
    left = 20 + _LETTER * max(len(shorten(error.layer, _LABEL_LENGTH)) for error in errors)
    scale = fit([0.0, *values], left, _WIDTH - _RIGHT)
    height = _TOP + _ROW * len(errors) + _BELOW
    body = Markup().join(
        [_axis(scale, height), *(_marks(error, scale, index) for index, error in enumerate(errors))]
    )
    return Markup(
        '<svg class="errors" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"'
        ' aria-label="{t}">{body}</svg>'
    ).format(
        w=_WIDTH,
        h=height,
        t=f"signal to noise of {len(errors)} layers, in decibels: higher is better",
        body=body,
    )


def _axis(scale: Scale, height: int) -> Markup:
    bottom = height - _BELOW + 4
    ticks = [
        Markup(
            '<path class="grid" d="M{:.1f} {}V{}"/><text x="{:.1f}" y="{}"'
            ' text-anchor="middle">{}</text>'
        ).format(scale.at(tick), _TOP, bottom, scale.at(tick), bottom + 14, tick_text(tick))
        for tick in scale.ticks(8)
    ]
    title = Markup(
        '<text class="title" x="{}" y="{}" text-anchor="end">signal to noise, dB →</text>'
    ).format(_WIDTH - _RIGHT, bottom + 31)
    return Markup().join([*ticks, title])


def _marks(error: LayerError, scale: Scale, index: int) -> Markup:
    y = _TOP + _ROW * index + _ROW / 2
    note = (
        f"{error.layer} ({error.operator}): {error.sqnr_db:.1f} dB over all values,"
        f" {error.sqnr_channels_db:.1f} dB by channel"
    )
    note += ", left in float" if error.kept_float else ""
    kept = (
        Markup('<text class="kept" x="{}" y="{:.1f}">float</text>').format(
            _WIDTH - _RIGHT + 12, y + 4
        )
        if error.kept_float
        else Markup()
    )
    return Markup(
        '<g class="layer {tone}"><title>{note}</title><text class="name" x="{label}" y="{text:.1f}"'
        ' text-anchor="end">{name}</text><path class="gap" d="M{channels:.1f}'
        ' {y:.1f}H{whole:.1f}"/><circle class="whole" cx="{whole:.1f}" cy="{y:.1f}" r="3"/><circle'
        ' class="channels" cx="{channels:.1f}" cy="{y:.1f}" r="4.5"/>{kept}</g>'
    ).format(
        tone=tone(error),
        note=note,
        label=f"{scale.start - 12:.1f}",
        text=y + 4,
        name=shorten(error.layer, _LABEL_LENGTH),
        y=y,
        channels=scale.at(error.sqnr_channels_db),
        whole=scale.at(error.sqnr_db),
        kept=kept,
    )
