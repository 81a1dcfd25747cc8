"""`zoo build`: make what is missing, judge it, and publish it if asked."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from zoo_builders.commands.options import Json, Manifests, Since, Variants
from zoo_builders.commands.publish import To, show
from zoo_builders.manifest.targets import demand
from zoo_builders.planning.plan import Plan
from zoo_builders.planning.toolchain import version
from zoo_builders.running import build_view
from zoo_builders.running.bundles import Built, Finisher, with_references
from zoo_builders.running.pipeline import TENSORFLOW_KINDS, TRAINED_KINDS, missing
from zoo_builders.running.project import Project, chosen, default_manifests
from zoo_builders.running.publish import Sent, load_bundle, send
from zoo_builders.running.since import changes, demand_versions, resolved_variants
from zoo_client.output import console, emit_json, remark
from zoo_registry.model.errors import MissingExtra, ZooError

VERB = {
    "group": "Model engineer",
    "rank": 50,
    "help": "Train, optimize, convert, prove and measure.",
    "extra": "build",
}

STOPPED = 130


def build(  # noqa: PLR0913  the options of a command
    manifests: Manifests = None,
    *,
    variant: Variants = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish what was built.")] = False,
    to: To = None,
    since: Since = None,
    allow_missed: Annotated[
        bool,
        typer.Option("--allow-missed", help="Keep variants that miss a goal, marked as missed."),
    ] = False,
    benchmark: Annotated[
        bool, typer.Option("--benchmark/--no-benchmark", help="Measure latency.")
    ] = True,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", help="Write training curves and per-layer sparsity there."),
    ] = None,
    json: Json = False,
) -> int:
    """Train, optimize, convert, prove, evaluate and measure.

    Finished stages are taken from the cache.
    """
    project = Project()
    demand(to or ())
    paths = default_manifests(manifests)
    every = project.plans(paths, benchmark=benchmark)
    wanted = _wanted(
        project, every, chosen(every, variant or ()), since, strict=publish or bool(to)
    )
    try:
        results = _make(project, every, wanted, allow_missed=allow_missed, summaries=tensorboard)
    except KeyboardInterrupt:
        remark(
            f"stopped; finished stages are kept. Go on with: {shlex.join(['zoo', *sys.argv[1:]])}"
        )
        return STOPPED
    sent = _publish(project, results, to) if publish or to else []
    if json:
        emit_json(
            {
                "built": [build_view.plain(built) for built in results],
                "published": [asdict(item) for item in sent],
            }
        )
    else:
        _tell(results, sent, since)
    return _end(results)


def _wanted(
    project: Project,
    every: Sequence[Plan],
    named: Sequence[Plan],
    since: str | None,
    *,
    strict: bool,
) -> list[Plan]:
    """The variants to build: those named, of these those that changed.

    Refused before any work when a version stood still.
    """
    if since is None:
        return list(named)
    paths = list(dict.fromkeys(Path(plan.manifest) for plan in every))
    names = {plan.name for plan in named}
    found = [
        change for change in changes(project, since, paths, deleted=False) if change.name in names
    ]
    if strict:
        demand_versions(found)
    wanted = resolved_variants(found)
    return [plan for plan in named if (plan.manifest, plan.variant) in wanted]


def _make(
    project: Project,
    every: Sequence[Plan],
    wanted: Sequence[Plan],
    *,
    allow_missed: bool,
    summaries: Path | None,
) -> list[Built]:
    plans = with_references(wanted, every)
    todo = missing(plans, project.cache)
    if any(stage.kind in TENSORFLOW_KINDS for stage in todo) and version("tensorflow") == "missing":
        raise MissingExtra(
            "building needs tensorflow, which is not installed", hint="pip install 'edgezoo[build]'"
        )
    if summaries and not any(stage.kind in TRAINED_KINDS for stage in todo):
        remark(
            "note: every training is in the cache, so nothing is trained and nothing written to"
            f" {summaries}"
        )
    pipeline = project.pipeline()
    pipeline.summaries = summaries.absolute() if summaries else None
    with build_view.following(pipeline, len(todo)):
        outcome = pipeline.run(plans)
    return Finisher(project.cache, project.home / "builds", allow_missed).finish(
        plans, wanted, outcome
    )


def _publish(project: Project, results: Sequence[Built], to: Sequence[str] | None) -> list[Sent]:
    """Publish every variant that is there.

    A manifest's own list of targets holds when none was given.
    """
    sent = []
    for built in results:
        if built.ok and built.folder is not None:
            sent += send(
                [load_bundle(built.folder)], list(to or built.plan.publish), project.settings
            )
    return sent


def _tell(results: Sequence[Built], sent: Sequence[Sent], since: str | None) -> None:
    if not results:
        console().print(f"nothing changed since {since}: nothing to build", markup=False)
        return
    build_view.show(results)
    for built in results:
        for note in built.plan.remarks:
            remark(f"note: {built.plan.name}: {note}")
    if sent:
        show(sent)


def _end(results: Sequence[Built]) -> int:
    """Say what failed, each error once, and give the worst exit code."""
    errors = list(dict.fromkeys(built.error for built in results if built.error is not None))
    for error in errors:
        names = ", ".join(built.plan.name for built in results if built.error is error)
        remark(f"failed: {names}: {error}")
    return max(
        (error.exit_code if isinstance(error, ZooError) else 3 for error in errors), default=0
    )
