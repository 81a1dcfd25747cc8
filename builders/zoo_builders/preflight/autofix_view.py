"""What `zoo preflight --fix` prints."""

from rich.text import Text

from zoo_builders.preflight.autofix import Repaired
from zoo_client.output import console


def show_repair(repaired: Repaired, manifest: str) -> None:
    """Print what --fix changed (or, of code, the lines to change), and where the result lies.

    It also prints what would change the function.
    """
    if repaired.ships:
        _show_ready(repaired, manifest)
        return
    changes, left = repaired.rewritten.changes, repaired.rewritten.left
    verb = "to change" if repaired.file is None else "changed"
    _say(f"\n{verb} in {repaired.source}, function unchanged: {len(changes) or 'nothing'}")
    for change in changes:
        console().print(Text(f"  {change.layer}: {change.what}", style="green"))
    if repaired.file is not None:
        _say(
            f"wrote {repaired.file}: outputs agree to {repaired.difference:.1g} of the largest on"
            " random inputs"
        )
        _say(f"to use it, write into {manifest}: ", repaired.line)
    if left:
        _say(f"left as it is, because the function would change: {len(left)}")
    for objection in left:
        _say(f"  {objection.layer}: {objection.reason}", f" → {objection.fix}")


def _say(text: str, to_do: str = "") -> None:
    console().print(Text(text).append(to_do, style="cyan"))


def _show_ready(repaired: Repaired, manifest: str) -> None:
    """Say which variant of a network of the zoo to take, instead of what to change in its code."""
    source, left = repaired.source, len(repaired.rewritten.changes) + len(repaired.rewritten.left)
    if repaired.line:
        ships = f"\n{source} ships in a variant for the sparse path; write into {manifest}: "
        _say(ships, repaired.line)
        _say(
            "its strided layers pad evenly: weights of the other variant fit, and need fine-tuning"
            " afterwards (base.train)"
        )
    elif left:
        _say(
            f"\n{source} ships as it is, and {left} of its layers keep the sparse path shut: take"
            " another network"
        )
        _say("", "  zoo list networks   # or copy its code, and name the copy in base.network")
    else:
        _say(f"\n{source}: nothing keeps the sparse path shut, nothing to change")
