"""What `zoo preflight` prints, for people and as JSON."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from zoo_builders.manifest.reader import Resolved
from zoo_builders.manifest.schema import Base
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.preflight import latency_forecast
from zoo_builders.preflight.layer_report import PRESERVED, Column, Preflight
from zoo_builders.preflight.tflite_report import FileReport
from zoo_client.output import console, table
from zoo_registry.model import formatting

_LISTED = 4
"""How many layers a note names before it counts the rest: the table shows them all."""

_STYLES = {"faster": "green", "slower": "red", "unknown": "yellow"}


@dataclass
class _Notes:
    """Reasons with numbers: one for each technique, reason and fix.

    Each comes with the layers it holds for.
    """

    numbers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    layers: dict[int, list[str]] = field(default_factory=dict)

    def number(self, column: str, reason: str, fix: str, layer: str) -> int:
        number = self.numbers.setdefault((column, reason, fix), len(self.numbers) + 1)
        self.layers.setdefault(number, []).append(layer)
        return number


def show(
    shown: str,
    resolved: Resolved,
    graph: Graph,
    offered: Preflight | None,
    recipes: Sequence[Preflight],
    *,
    here: latency_forecast.Here,
) -> None:
    """Print one manifest: the techniques at their defaults or the variants asked for.

    It is printed layer by layer; then comes a line a variant.
    """
    out = console()
    head = (
        f"network {resolved.spec.base.network}: {len(graph.nodes)} layers, {graph.parameters:,}"
        " parameters"
    )
    out.print(Text(resolved.spec.model, style="bold"), Text(head, style="dim"))
    if offered is not None:
        _layers(offered, "every technique, alone and at its defaults")
        for report in recipes:
            _refusals(report)
            _kept(report)
    else:
        for report in recipes:
            _layers(report, f"{report.variant}: {_recipe(report)}")
    if recipes:
        _worth(recipes, here)
    if offered is not None and recipes:
        out.print(
            Text(
                f"layer by layer for one of them: zoo preflight {shown} --variant"
                f" {recipes[-1].variant}",
                style="dim",
            )
        )


def _recipe(report: Preflight) -> str:
    return (
        " → ".join(f"{step.technique}({_params(step.params)})" for step in report.steps)
        or "as trained"
    )


def _params(params: Any) -> str:
    """What differs from the defaults."""
    plain = type(params)().model_dump(mode="json")
    return ", ".join(
        f"{name}: {value}"
        for name, value in params.model_dump(mode="json").items()
        if plain.get(name) != value
    )


def _layers(report: Preflight, title: str) -> None:
    notes = _Notes()
    rows = table(
        "layer",
        "class",
        "weights",
        *(re.sub("[-_]", "\n", column.name) for column in report.columns),
    )
    for fixed in rows.columns[:3]:
        fixed.no_wrap = True
    for node in report.layers:
        rows.add_row(
            node.name,
            node.op.removesuffix("2D"),
            _weights(node),
            *(_cell(column, node.name, notes) for column in report.columns),
        )
    console().print(Text(f"\n{title}"))
    console().print(rows)
    for column in report.columns:
        for objection in column.refused:
            if objection.layer not in column.verdicts:
                notes.number(column.name, objection.reason, objection.fix, objection.layer)
        for remark in column.remarks:
            console().print(Text(f"note: {column.name}: {remark}", style="yellow"))
    _print_notes(notes)


def _weights(node: Node) -> str:
    kernel = next((shape for name, shape in node.weights.items() if name.endswith("kernel")), ())
    return "x".join(map(str, kernel)) or (f"{node.parameters:,}" if node.parameters else "")


def _cell(column: Column, layer: str, notes: _Notes) -> Text:
    verdict = column.verdicts.get(layer)
    if verdict is None:
        return Text("")
    number = notes.number(column.name, verdict.reason, verdict.fix, layer) if verdict.reason else 0
    note = f" [{number}]" if number else ""
    return (
        Text("yes", style="green").append(note, style="dim")
        if verdict.applies
        else Text("no", style="red").append(note, style="dim")
    )


def _print_notes(notes: _Notes) -> None:
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column(style="dim", no_wrap=True, justify="right")
    made.add_column(overflow="fold")
    for (column, reason, fix), number in notes.numbers.items():
        layers = notes.layers[number]
        more = f" and {len(layers) - _LISTED} more" if len(layers) > _LISTED else ""
        text = Text(f"{column}: ", style="bold").append(
            f"{', '.join(layers[:_LISTED])}{more}: {reason}", style="not bold"
        )
        made.add_row(
            f"[{number}]", text.append(f" → {fix}", style="cyan not bold") if fix else text
        )
    console().print(made)


def _refusals(report: Preflight) -> None:
    """Print every objection against a recipe: it will not be built."""
    for column in report.columns[: len(report.steps)]:
        for objection in column.refused:
            line = Text(f"{report.variant} cannot be built: ", style="red").append(
                f"{column.name}: {objection.layer}: {objection.reason}"
            )
            console().print(line.append(f" → {objection.fix}", style="cyan"))


def _kept(report: Preflight) -> None:
    """Say in a line whether later steps keep the zeros and shared values of earlier ones.

    Nothing is said where there is nothing to keep.
    """
    for column in report.columns:
        if column.name != PRESERVED:
            continue
        lost = {layer: verdict for layer, verdict in column.verdicts.items() if not verdict.applies}
        line = Text(
            f"{report.variant}: preserved in {len(column.verdicts) - len(lost)} of"
            f" {len(column.verdicts)} layers",
            style="dim",
        )
        for layer, verdict in list(lost.items())[:1]:
            line.append(f"; {layer}: {verdict.reason}", style="red").append(
                f" → {verdict.fix}", style="cyan"
            )
        console().print(line)


def show_file(told: FileReport, here: latency_forecast.Here) -> None:
    """Print what a finished .tflite file tells of itself and of its variants."""
    out, found = console(), told.structure
    told_of = (
        f"{told.operators} operators, {found.parameters:,} parameters, {found.macs:,}"
        " multiplications an inference"
    )
    out.print(
        Text(
            f"the file: {formatting.size(told.size)}, {told_of}; sparse path:"
            f" {found.xnnpack.reason}"
        )
    )
    rows = table("variant", ">weights", *_families(here))
    for one in told.variants:
        held = "unknown" if one.weights is None else formatting.size(one.weights)
        rows.add_row(one.name, held, *_words(one.chances))
    out.print(rows)
    known = (
        "weights: what they alone take; the size of the whole file is known when it is quantized"
    )
    for line in (known, *_in_words([(one.name, one.chances) for one in told.variants], here)):
        out.print(Text(line, style="dim"))


def _families(here: latency_forecast.Here) -> list[str]:
    """Head the columns of the families of devices."""
    families = latency_forecast.FAMILIES.items()
    return [f"{name}{' (here)' if family == here.family else ''}" for family, name in families]


def _words(chances: Iterable[latency_forecast.Chance]) -> list[Text]:
    """Fill those columns."""
    said = {chance.family: chance.word for chance in chances}
    words = (said[family] for family in latency_forecast.FAMILIES)
    return [Text(word, style=_STYLES.get(word, "")) for word in words]


def _worth(recipes: Sequence[Preflight], here: latency_forecast.Here) -> None:
    rows = table("variant", ">file", ">gzip", *_families(here))
    for report in recipes:
        if report.size is not None:
            raw = f"{formatting.size(report.size.raw)} ±{report.size.raw_error:.0%}"
            squeezed = f"{formatting.size(report.size.gzip)} ±{report.size.gzip_error:.0%}"
            rows.add_row(report.variant, raw, squeezed, *_words(report.chances))
    console().print(Text("\npredicted: size, and latency beside float32"))
    console().print(rows)
    for line in sentences(recipes, here):
        console().print(Text(line, style="dim"))


def sentences(recipes: Sequence[Preflight], here: latency_forecast.Here) -> list[str]:
    """Say in words what to expect where.

    Variants and families with the same answer share a sentence.
    """
    return _in_words([(report.variant, report.chances) for report in recipes if report.steps], here)


def _in_words(
    judged: Iterable[tuple[str, Iterable[latency_forecast.Chance]]], here: latency_forecast.Here
) -> list[str]:
    variants: dict[tuple[str, str], list[str]] = {}
    places: dict[tuple[str, str], list[str]] = {}
    for variant, chance in ((name, chance) for name, chances in judged for chance in chances):
        said = (chance.word, chance.reason)
        name = (
            "this machine"
            if chance.family == here.family
            else latency_forecast.FAMILIES[chance.family]
        )
        for group, member in ((variants, variant), (places, name)):
            group.setdefault(said, []).append(member)
    told = [
        f"{', '.join(dict.fromkeys(names))}: {word} on"
        f" {_and(list(dict.fromkeys(places[word, reason])))}: {reason}"
        for (word, reason), names in variants.items()
    ]
    return [*told, here.lacking] if told and here.lacking else told


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def plain(report: Preflight, here: latency_forecast.Here) -> dict[str, Any]:
    """Give one report as JSON: every layer with every verdict."""
    return {
        "variant": report.variant,
        "recipe": [
            {
                "technique": step.technique,
                "params": step.params.model_dump(mode="json", by_alias=True),
            }
            for step in report.steps
        ],
        "layers": [_row(node, report.columns) for node in report.layers],
        "refused": [
            {"technique": c.name, **asdict(o)}
            for c in report.columns
            if c.name != "XNNPACK-sparse"
            for o in c.refused
        ],
        "remarks": [remark for column in report.columns for remark in column.remarks],
        "size": asdict(report.size) if report.size else None,
        "latency": [
            {**asdict(chance), "here": chance.family == here.family} for chance in report.chances
        ],
    }


def _row(node: Node, columns: Sequence[Column]) -> Mapping[str, Any]:
    said = {
        column.name: asdict(column.verdicts[node.name])
        for column in columns
        if node.name in column.verdicts
    }
    return {"layer": node.name, "class": node.op, "parameters": node.parameters, "verdicts": said}


def unknown(base: Base) -> str:
    """Say why nothing can be said of a base layer by layer."""
    if base.tflite:
        return (
            f"{base.tflite}: a finished .tflite file is taken as it is: layer by layer nothing"
            " is judged, for which operators the quantizer takes is known when it has run;"
            " techniques that need a Keras model are refused when the manifest is read."
        )
    return (
        f"network {base.network}: its layers are known only when it is built (a SavedModel, or code"
        " that imports TensorFlow), so nothing can be said of them here; a build that cannot do"
        " what a recipe says still fails. Give it as a Graph or a .keras file to have it judged."
    )


def this_machine() -> latency_forecast.Here:
    """Give the class of this machine."""
    from zoo_client import machine

    return latency_forecast.Here.of(machine.here())
