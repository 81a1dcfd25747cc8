"""`zoo plan`: what would be built, what is cached, what changed since a commit."""

import json as json_module
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from zoo_builders.commands.options import Json, Manifests, Since, Variants
from zoo_builders.planning.plan import Plan
from zoo_builders.preflight import layer_report
from zoo_builders.running.pipeline import ordered
from zoo_builders.running.project import Project, default_manifests
from zoo_builders.running.since import Change, changes, matrix
from zoo_builders.stage import Stage
from zoo_builders.tflite.proof import Promise
from zoo_client import machine
from zoo_client.output import console, emit_json, remark, table
from zoo_registry.model.rebuilt import expected

VERB = {
    "group": "Model engineer",
    "rank": 30,
    "help": "Show what would be built, what is cached, what changed.",
    "extra": "build",
}

Format = Literal["text", "json", "github"]


def plan(
    manifests: Manifests = None,
    *,
    variant: Variants = None,
    since: Since = None,
    format: Annotated[  # noqa: A002
        Format, typer.Option("--format", help="text, json, or github (a matrix for Actions).")
    ] = "text",
    benchmark: Annotated[
        bool, typer.Option("--benchmark/--no-benchmark", help="Plan the measurements too.")
    ] = True,
    json: Json = False,
) -> None:
    """Show every stage with its fingerprint, settings and whether it is cached.

    With --since, it shows only what changed.
    """
    project = Project()
    shape: Format = "json" if json else format
    if since is None:
        plans = project.plans(default_manifests(manifests), variant or (), benchmark=benchmark)
        _show(project, plans, shape)
        return
    paths = list(manifests or sorted(Path("manifests").glob("*.yaml")))
    found = changes(project, since, paths, deleted=not manifests)
    project.digests.save()
    _show_changes(
        [change for change in found if not variant or change.variant in variant], since, shape
    )


def _show(project: Project, plans: Sequence[Plan], shape: Format) -> None:
    if shape == "github":
        _line(
            {
                "include": [
                    {"manifest": p.manifest, "variant": p.variant, "name": p.name} for p in plans
                ]
            }
        )
    elif shape == "json":
        emit_json({"plans": [_plain(project, made) for made in plans]})
    else:
        _text(project, plans)


def _line(value: Any) -> None:
    sys.stdout.write(json_module.dumps(value, separators=(",", ":")) + "\n")


def _plain(project: Project, plan: Plan) -> dict[str, Any]:
    data = plan.model_dump(mode="json", exclude={"stages"})
    stages = [
        stage.model_dump(mode="json")
        | {"fingerprint": stage.fingerprint, "cached": project.cache.has(stage.fingerprint)}
        for stage in plan.stages
    ]
    return data | {"name": plan.name, "reproducible": plan.reproducible, "stages": stages}


def _text(project: Project, plans: Sequence[Plan]) -> None:
    """Print every stage once, under the first variant that needs it."""
    out, seen, left = console(), set[str](), _left_alone(project, plans)
    for made in plans:
        recipe = " → ".join(step.technique for step in made.recipe) or "as trained"
        out.print(
            Text(f"{made.name} {made.version}", style="bold"),
            Text(f"{recipe}; built again: {_again(made)}", style="dim"),
        )
        fresh = [stage for stage in made.stages if stage.fingerprint not in seen]
        shared = [_called(made, stage) for stage in made.stages if stage.fingerprint in seen]
        seen |= {stage.fingerprint for stage in fresh}
        if shared:
            out.print(Text(f"  shares {', '.join(shared)}", style="dim"))
        if fresh:
            out.print(_rows(project, made, fresh))
        for promise in made.promises:
            out.print(Text(f"  proves {_promised(promise)}", style="dim"))
        for remark_ in (*made.remarks, *(line for line in made.told if line not in seen)):
            out.print(Text(f"  note: {remark_}", style="yellow"))
        seen |= set(made.told)
        for line in left.get(made.name, ()):
            out.print(
                Text(
                    f"  {line}; each layer: zoo preflight {made.manifest} --variant {made.variant}",
                    style="dim",
                )
            )
    stages = ordered(plans)
    todo = [stage for stage in stages if not project.cache.has(stage.fingerprint)]
    out.print(
        f"{len(plans)} variants, {len(stages)} stages: {len(stages) - len(todo)} cached,"
        f" {len(todo)} to run",
        highlight=False,
    )


def _left_alone(project: Project, plans: Sequence[Plan]) -> dict[str, list[str]]:
    """Say of each artifact which steps leave layers as they are.

    An artifact whose network cannot be read is left out.
    """
    found: dict[str, list[str]] = {}
    for manifest in dict.fromkeys(made.manifest for made in plans):
        resolved = project.read(Path(manifest))
        if (graph := resolved.found.graph) is not None:
            for name, steps in resolved.recipes.items():
                found[f"{resolved.spec.model}-{name}"] = layer_report.summary(
                    layer_report.recipe(graph, name, steps)
                )
    return found


def _again(plan: Plan) -> str:
    """Say what a build here gives when it is made again."""
    return expected(plan.reproducible, (machine.here().key,))


def _called(plan: Plan, stage: Stage) -> str:
    return {
        plan.parts["baseline"]: "convert fp32 (baseline)",
        plan.parts["baseline_evaluate"]: "evaluate (baseline)",
    }.get(stage.fingerprint, stage.name)


def _rows(project: Project, plan: Plan, stages: Sequence[Stage]) -> Table:
    rows = table("stage", "fingerprint", "cached", "settings")
    for stage in stages:
        cached = (
            Text("yes", style="green")
            if project.cache.has(stage.fingerprint)
            else Text("no", style="yellow")
        )
        shown = "" if stage.kind == "inspect" else settings(stage)
        rows.add_row(_called(plan, stage), stage.fingerprint.short, cached, Text(shown))
    return rows


def _promised(promise: Promise) -> str:
    """Spell a promise as a person would say it."""
    if promise.kind in {"parameters_at_most", "macs_at_most"}:
        return (
            f"{promise.technique}: {promise.kind.replace('_', ' ')} {int(float(promise.value)):,}"
        )
    blocks = (
        f" of {promise.block[0]}x{promise.block[1]}" if promise.kind == "blocks_at_least" else ""
    )
    if promise.layers:
        named = ", ".join(tensor.layer for tensor in promise.layers)
        return (
            f"{promise.technique}: {promise.kind.replace('_', ' ')} {promise.value}{blocks} in each"
            f" of {named}"
        )
    where = (
        " 1x1 CONV_2D"
        if promise.pointwise_only
        else f" {', '.join(promise.operators)}"
        if promise.operators
        else ""
    )
    least = (
        f" of {promise.at_least_elements:,} elements or more" if promise.at_least_elements else ""
    )
    return (
        f"{promise.technique}: {promise.kind.replace('_', ' ')} {promise.value} in every{where}"
        f" {promise.per}{least}"
    )


def settings(stage: Stage) -> str:
    """Everything that configures a stage, defaults included, on one line."""
    return _spell(stage.params)


def _spell(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(
            (
                f"{name}={_spell(inner)}"
                if not isinstance(inner, Mapping)
                else f"{name}({_spell(inner)})"
            )
            for name, inner in value.items()
        )
    if isinstance(value, list):
        return f"[{', '.join(map(_spell, value))}]"
    return "none" if value is None else str(value)


def _show_changes(found: Sequence[Change], ref: str, shape: Format) -> None:
    if shape == "github":
        _line(matrix(found))
    elif shape == "json":
        emit_json({"since": ref, "changes": [_change(change) for change in found]})
    elif not found:
        console().print(f"nothing changed since {ref}", markup=False)
    else:
        rows = table("variant", "what", "version", "manifest", "")
        for change in found:
            version = " → ".join(
                dict.fromkeys(filter(None, (change.before, change.now if change.to_build else "")))
            )
            rows.add_row(change.name, change.why, version, change.manifest, _note(change))
        console().print(rows)
    for manifest in dict.fromkeys(change.manifest for change in found if change.version_unchanged):
        remark(
            f"warning: {manifest}: content changed, the version did not; before publishing: zoo"
            f" bump {manifest}"
        )


def _note(change: Change) -> str:
    return f"zoo bump {change.manifest}" if change.version_unchanged else change.remark


def _change(change: Change) -> dict[str, Any]:
    return {
        "name": change.name,
        "manifest": change.manifest,
        "variant": change.variant,
        "why": change.why,
        "before": change.before,
        "now": change.now,
        "version_unchanged": change.version_unchanged,
        "remark": change.remark,
        "hint": f"zoo bump {change.manifest}" if change.version_unchanged else "",
    }
