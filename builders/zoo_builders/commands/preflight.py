"""`zoo preflight`: what each technique can and cannot do to each layer.

It also shows what every variant will be worth.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo_builders.commands.options import Json, Variants
from zoo_builders.manifest.reader import Resolved
from zoo_builders.preflight import autofix_view, tflite_report, view
from zoo_builders.preflight import layer_report as core
from zoo_builders.preflight.autofix import repair
from zoo_builders.preflight.latency_forecast import Here
from zoo_builders.running.project import Project, default_manifests
from zoo_client.output import console, emit_json
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.suggest import nearest

VERB = {
    "group": "Model engineer",
    "rank": 40,
    "help": "Show what each technique can do to each layer, and what to change.",
    "extra": "build",
}

Manifests = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[M]...", help="Manifests. Default: manifests/*.yaml", show_default=False
    ),
]
Fix = Annotated[
    bool,
    typer.Option(
        "--fix",
        help=(
            "Write Keras files anew for XNNPACK's sparse path, where their function stays the same."
        ),
    ),
]


def preflight(
    manifests: Manifests = None, *, variant: Variants = None, fix: Fix = False, json: Json = False
) -> int:
    """Show, layer by layer, what each technique can do, why not where it cannot.

    A "no" comes with what to change; sizes and latency are predicted.

    Without --variant: every technique at its defaults, then a line a variant. Exit code 1 when a
    recipe cannot be built.
    """
    project = Project()
    read = [
        (path, project.reader(need_data=False, refuse=False).read(path, str(path)))
        for path in default_manifests(manifests)
    ]
    project.digests.save()
    _demand(read, variant or ())
    here = view.this_machine()
    shown = [
        _one(path, resolved, variant or (), here, json=json, fix=fix) for path, resolved in read
    ]
    if json:
        emit_json({"manifests": [document for document, _ in shown]})
    return max((code for _, code in shown), default=0)


def _demand(read: Sequence[tuple[Path, Resolved]], variants: Sequence[str]) -> None:
    known = list(dict.fromkeys(name for _, resolved in read for name in resolved.recipes))
    unknown = next((name for name in variants if name not in known), None)
    if unknown is not None:
        raise WrongUse(f"no variant is called {unknown!r}", hint=nearest(unknown, known))


def _unread(
    resolved: Resolved, about: Mapping[str, Any], variants: Sequence[str], here: Here, *, json: bool
) -> dict[str, Any]:
    """Say why layers cannot be judged; of a finished .tflite file also what it tells itself.

    It is given as JSON too.
    """
    base, file = resolved.spec.base, resolved.found.tflite
    recipes = {
        name: steps for name, steps in resolved.recipes.items() if not variants or name in variants
    }
    told = tflite_report.look(Path(file.path), recipes) if file is not None else None
    if not json:
        console().print(view.unknown(base))
        if told is not None:
            view.show_file(told, here)
    return {**about, "why_unknown": view.unknown(base), "file": told.plain(here) if told else None}


def _one(
    path: Path, resolved: Resolved, variants: Sequence[str], here: Here, *, json: bool, fix: bool
) -> tuple[Mapping[str, Any], int]:
    """Show one manifest; give it as JSON too, and the exit code."""
    graph = resolved.found.graph
    about = {
        "manifest": str(path),
        "network": resolved.spec.base.network or resolved.spec.base.tflite,
        "graph_known": graph is not None,
    }
    if graph is None:
        return _unread(resolved, about, variants, here, json=json), 0
    recipes = [
        core.recipe(graph, name, steps)
        for name, steps in resolved.recipes.items()
        if not variants or name in variants
    ]
    offered = None if variants else core.offer(graph)
    if not json:
        view.show(str(path), resolved, graph, offered, recipes, here=here)
    repaired = repair(resolved, graph) if fix else None
    if repaired is not None and not json:
        autofix_view.show_repair(repaired, str(path))
    document = {
        **about,
        "layers": len(graph.nodes),
        "parameters": graph.parameters,
        "techniques": view.plain(offered, here) if offered else None,
        "variants": [view.plain(report, here) for report in recipes],
        "fix": repaired.plain() if repaired else None,
    }
    return document, int(any(report.refused for report in recipes))
