"""Options that several of these verbs share, spelled once."""

from pathlib import Path
from typing import Annotated

import typer

Manifests = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[M]...", help="Manifests. Default: manifests/*.yaml", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", "-v", metavar="V", help="Only this variant; may be repeated."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="REF", help="Only variants whose plan changed since this git commit."
    ),
]
