"""`zoo validate`: find every mistake in manifests, before TensorFlow."""

from typing import Any

from zoo_builders.commands.options import Json, Manifests
from zoo_builders.running.project import Project, default_manifests
from zoo_client.output import console, emit_json
from zoo_registry.model.errors import InvalidManifest

VERB = {
    "group": "Model engineer",
    "rank": 20,
    "help": "Find every mistake in manifests.",
    "extra": "build",
}


def validate(manifests: Manifests = None, *, json: Json = False) -> int:
    """Find every mistake in manifests.

    Unknown keys, wrong values, missing files, recipes that cannot be applied.
    """
    project = Project()
    rows: list[dict[str, Any]] = []
    wrong: list[InvalidManifest] = []
    for path in default_manifests(manifests):
        try:
            read = project.read(path)
            rows.append(
                {
                    "manifest": str(path),
                    "valid": True,
                    "variants": list(read.recipes),
                    "mistakes": [],
                    "notes": list(read.found.told),
                }
            )
        except InvalidManifest as error:
            wrong.append(error)
            rows.append(
                {
                    "manifest": str(path),
                    "valid": False,
                    "variants": [],
                    "mistakes": _plain(error),
                    "notes": [],
                }
            )
    if json:
        emit_json({"manifests": rows})
        return wrong[0].exit_code if wrong else 0
    for row in rows:
        if row["valid"]:
            console().print(
                f"{row['manifest']}: valid, {len(row['variants'])} variants", markup=False
            )
        for note in row["notes"]:
            console().print(f"  note: {note}", markup=False)
    if wrong:
        raise (
            wrong[0]
            if len(wrong) == 1
            else InvalidManifest("\n".join(error.message for error in wrong), hint=wrong[0].hint)
        )
    return 0


def _plain(error: InvalidManifest) -> list[dict[str, Any]]:
    return [
        {"file": m.file, "line": m.line, "key": m.key, "message": m.reason, "hint": m.hint}
        for m in error.mistakes or (error,)
    ]
