"""`zoo publish`: send finished builds to remotes."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from zoo_builders.commands.options import Json, Manifests, Variants
from zoo_builders.running.project import Project, default_manifests
from zoo_builders.running.publish import Sent, load_bundle, send
from zoo_client.output import console, emit_json, table

VERB = {"group": "Model engineer", "rank": 60, "help": "Publish what was built.", "extra": "build"}

To = Annotated[
    list[str] | None,
    typer.Option(
        "--to", metavar="URL", help="Remote: registry, https://…, s3://…, hub://org/repo, file:///…"
    ),
]


def publish(
    manifests: Manifests = None, *, variant: Variants = None, to: To = None, json: Json = False
) -> None:
    """Publish what `zoo build` made of these manifests.

    Publishing the same bytes again changes nothing.
    """
    project = Project()
    plans = project.plans(default_manifests(manifests), variant or (), benchmark=False)
    bundles = [
        (plan, load_bundle(project.home / "builds" / plan.name / plan.version)) for plan in plans
    ]
    sent = [
        item
        for plan, bundle in bundles
        for item in send([bundle], to or plan.publish, project.settings)
    ]
    if json:
        emit_json({"published": [asdict(item) for item in sent]})
    else:
        show(sent)


def show(sent: Sequence[Sent]) -> None:
    """Print what went where."""
    rows = table("name", "version", "published", "where")
    for item in sent:
        rows.add_row(
            item.name, item.version, "now" if item.created else "was there already", item.url
        )
    console().print(rows)
