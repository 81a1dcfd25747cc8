"""What `zoo preflight --fix` prints."""

from rich.text import Text

from zoo_builders.preflight.autofix import Repaired
from zoo_client.output import console


def show_repair(repaired: Repaired, manifest: str) -> None:
    """Print what --fix changed (or, of code, the lines to change), where the result lies.

    And what would change the function.
    """
    if repaired.ships:
        _show_ready(repaired, manifest)
        return
    out, code = console(), repaired.file is None
    changes, left = repaired.rewritten.changes, repaired.rewritten.left
    out.print(
        Text(
            f"\n{'to change' if code else 'changed'} in {repaired.source}, function unchanged:"
            f" {len(changes) or 'nothing'}"
        )
    )
    for change in changes:
        out.print(Text(f"  {change.layer}: {change.what}", style="green"))
    if repaired.file is not None:
        out.print(
            Text(
                f"wrote {repaired.file}: outputs agree to {repaired.difference:.1g} of the largest"
                " on random inputs"
            )
        )
        out.print(Text(f"to use it, write into {manifest}: ").append(repaired.line, style="cyan"))
    if left:
        out.print(Text(f"left as it is, because the function would change: {len(left)}"))
    for objection in left:
        out.print(
            Text(f"  {objection.layer}: {objection.reason}").append(
                f" → {objection.fix}", style="cyan"
            )
        )


def _show_ready(repaired: Repaired, manifest: str) -> None:
    """Say which variant of a network of the zoo to take, instead of what to change in its code."""
    out, left = console(), len(repaired.rewritten.changes) + len(repaired.rewritten.left)
    if repaired.line:
        out.print(
            Text(
                f"\n{repaired.source} ships in a variant for the sparse path; write into"
                f" {manifest}: "
            ).append(repaired.line, style="cyan")
        )
        out.print(
            Text(
                "its strided layers pad evenly: weights of the other variant fit, and need"
                " fine-tuning afterwards (base.train)"
            )
        )
    elif left:
        out.print(
            Text(
                f"\n{repaired.source} ships as it is, and {left} of its layers keep the sparse path"
                " shut: take another network"
            )
        )
        out.print(
            Text(
                "  zoo list networks   # or copy its code, and name the copy in base.network",
                style="cyan",
            )
        )
    else:
        out.print(
            Text(f"\n{repaired.source}: nothing keeps the sparse path shut, nothing to change")
        )
