"""`zoo import`: a finished .tflite file enters the zoo: a manifest for it, then its build."""

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from zoo_builders.commands import build, init
from zoo_builders.commands.options import Json
from zoo_builders.commands.publish import To
from zoo_builders.data.sources import SOURCES
from zoo_builders.manifest import drafts, yaml_lines
from zoo_builders.manifest.drafts import Draft, Examples, Wanted
from zoo_builders.manifest.paths import VARIABLE
from zoo_builders.running.project import MANIFESTS, Project
from zoo_builders.tasks import TASKS
from zoo_builders.tflite import attachments, base_file
from zoo_builders.tflite.tflite_file import BadFile, TfliteFile
from zoo_client.output import remark
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidManifest, WrongUse
from zoo_registry.model.files import digest_file, write_bytes
from zoo_registry.model.part import explain

VERB = {
    "name": "import",
    "call": "import_file",
    "group": "Model engineer",
    "rank": 15,
    "help": "Take a finished .tflite file into the zoo.",
    "extra": "build",
}

FILES = "files"
"""Folder beside the manifests for files that lay outside the project."""


def import_file(  # noqa: PLR0913  the options of a command
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .tflite file.")],
    *,
    name: Annotated[str, typer.Option(help="Name of the model: lower case, digits and '-'.")],
    data: Annotated[
        str,
        typer.Option(
            metavar="SOURCE[:PATH]",
            help=(
                "Examples to judge it on: digits, npz-images:FILE, image-folder:FOLDER, …, or"
                " 'SOURCE: {arguments}'. Without: numbers are drawn, and nothing is scored."
            ),
        ),
    ] = "",
    labels: Annotated[
        Path | None,
        typer.Option(help="Names of the classes in the order of its scores, one a line."),
    ] = None,
    task: Annotated[str, typer.Option(help="What its outputs mean; see zoo list tasks.")] = "",
    signature: Annotated[str, typer.Option(help="Of several signatures, the one meant.")] = "",
    output: Annotated[str, typer.Option(help="Of several outputs, the one with scores.")] = "",
    rescale: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Where the lowest and highest value of the data go, as in training."),
    ] = None,
    version: Annotated[str, typer.Option(help="Of the release.")] = "1.0.0",
    license: Annotated[str, typer.Option(help="Licence of the file.")] = "unknown",  # noqa: A002
    publish: Annotated[bool, typer.Option("--publish", help="Publish it too.")] = False,
    to: To = None,
    benchmark: Annotated[
        bool, typer.Option("--benchmark/--no-benchmark", help="Measure latency.")
    ] = True,
    json: Json = False,
) -> int:
    """Write manifests/NAME.yaml for a finished .tflite file, build and measure it as it is.

    A file outside the project is copied to manifests/files. What cannot be known is assumed, and
    said.
    """
    _demand_name(name)
    folder, project = Path(MANIFESTS), Project()
    seen, choice = _seen(file, signature, output, scored=_is_scored(task, data))
    new = _New(folder, name, file, _labels(labels, seen))
    wanted = Wanted(
        name=name,
        path=new.file_path,
        sha256=str(digest_file(file)),
        version=version,
        license=license,
        task=task,
        signature=signature,
        output=output,
        rescale=rescale,
        publish=tuple(to or ("registry",)),
    )
    drafted = drafts.draft(seen, choice, wanted, _examples(data, seen, choice, new))
    manifest = new.write(project, drafted)
    for line in (*drafted.assumed, f"wrote {manifest}"):
        remark(f"note: {line}")
    return build.build([manifest], publish=publish, to=to, benchmark=benchmark, json=json)


def _demand_name(name: str) -> None:
    if not init.NAME.fullmatch(name):
        raise WrongUse(
            f"not a model name: {name!r} (lower-case letters, digits and '-')",
            hint="zoo import FILE --name my-model",
        )


def _is_scored(task: str, data: str) -> bool:
    return bool(TASKS.get(task).metrics) if task else bool(data)


def _seen(
    file: Path, signature: str, output: str, *, scored: bool
) -> tuple[TfliteFile, base_file.Choice]:
    """Read the file, and find the part of it that is meant."""
    from zoo_builders.tflite.flatbuffer import read

    try:
        seen = read(file.read_bytes())
    except OSError as error:
        raise WrongUse(f"{file}: {error.strerror}", hint="zoo import FILE --name NAME") from error
    except BadFile as error:
        raise BadFile(f"{file.name}: {error.message}", hint=error.hint) from error
    number = int(output) if output.isdigit() else output or None
    choice = base_file.choose(seen, signature, number, scored=scored)
    if isinstance(choice, base_file.Problem):
        options = choice.hint.replace("write ", "zoo import … --").replace(": ", " ")
        raise WrongUse(f"{file.name}: {choice.message}", hint=options.partition(" below")[0])
    for problem in base_file.problems(seen, choice):
        raise WrongUse(f"{file.name}: {problem.message}", hint=problem.hint)
    return seen, choice


def _labels(given: Path | None, seen: TfliteFile) -> tuple[str, ...]:
    """Names of the classes: those given, else those that the file carries."""
    if given is None:
        return attachments.labels(seen.data)
    try:
        return tuple(given.read_text(encoding="utf-8-sig").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"--labels {given}: {error}", hint="a text, one class a line") from error


@dataclass(frozen=True, slots=True)
class _New:
    """What is written: the manifest; beside it the file and its labels where they lay elsewhere."""

    folder: Path
    name: str
    file: Path
    labels: tuple[str, ...]
    written: list[Path] = field(default_factory=list)

    @property
    def is_inside(self) -> bool:
        """Whether the file lies in the project, so that the manifest can name it where it is."""
        return self.file.resolve().is_relative_to(Path.cwd().resolve())

    @property
    def file_path(self) -> str:
        """The file as the manifest names it."""
        if self.is_inside and self.file.suffix == ".tflite":
            return os.path.relpath(self.file.resolve(), self.folder.resolve())
        return f"{FILES}/{self.name}.tflite"

    @property
    def labels_path(self) -> str:
        """The names of the classes as the manifest names them."""
        return f"{FILES}/{self.name}.labels.txt"

    def write(self, project: Project, drafted: Draft) -> Path:
        """Write everything, or nothing: what does not validate is taken away again."""
        manifest = self.folder / f"{self.name}.yaml"
        content = drafted.text.encode()
        if manifest.exists() and manifest.read_bytes() != content:
            raise WrongUse(
                f"{manifest} is there already and says something else",
                hint=f"zoo build {manifest}, or another --name",
            )
        if self.file_path.startswith(f"{FILES}/"):
            self._keep(self.file_path, self.file.read_bytes())
        if self.labels_path in drafted.text:
            self._keep(self.labels_path, ("\n".join(self.labels).strip("\n") + "\n").encode())
        self._keep(manifest.name, content)
        try:
            project.read(manifest)
        except InvalidManifest:
            for path in self.written:
                path.unlink(missing_ok=True)
            raise
        return manifest

    def _keep(self, path: str, content: bytes) -> None:
        place = self.folder / path
        if not place.exists() or place.read_bytes() != content:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(place, content)
            self.written.append(place)


def _examples(data: str, seen: TfliteFile, choice: base_file.Choice, new: _New) -> Examples:
    """Turn `--data` into a source with arguments, as far as the file can fill them in."""
    if not data:
        _demand_sizes(seen, choice)
        return Examples()
    name, args = _spelled(data)
    if refusal := SOURCES.refusal(name):
        raise WrongUse(refusal.message, hint=refusal.hint)
    source = SOURCES.get(name)
    known = source.params.model_fields
    own = str(args.get("path", ""))
    if own:
        args["path"] = _relative(own, new.folder)
        if known["sha256"].is_required() and "sha256" not in args:
            args["sha256"] = str(_digest(Path(os.path.expandvars(own))))
    args |= {key: value for key, value in _sized(seen, choice).items() if key in known} | args
    if new.labels and "classes" in known:
        args.setdefault("classes", new.labels_path)
    try:
        checked = source.params.model_validate(args)
    except ValidationError as error:
        raise WrongUse(f"--data {name}: {explain(error)}", hint=f"zoo list data {name}") from error
    return Examples(
        name,
        args,
        source.splits or _on_disk(Path(os.path.expandvars(own))),
        source.shape(checked),
        sized="size" in known,
        heard=bool(source.sample_rate(checked)),
    )


def _demand_sizes(seen: TfliteFile, choice: base_file.Choice) -> None:
    """See that numbers can be drawn: no size but that of the batch may be open."""
    [(name, entry)] = base_file.ports(seen, choice.subgraph, inputs=True)
    if -1 in entry.shape[1:]:
        raise WrongUse(
            f"the input {name!r} has the shape {list(entry.shape)}: its sizes are open, so no"
            " numbers can be drawn for it",
            hint="--data 'drawn: {shape: [16000, 1, 1]}', or data that say how large an example is",
        )


def _spelled(data: str) -> tuple[str, dict[str, Any]]:
    """Read SOURCE, SOURCE:PATH or SOURCE: {arguments}."""
    said = yaml_lines.read(data.encode(), "--data").data
    if isinstance(said, dict) and len(said) == 1:
        ((name, args),) = said.items()
        return name, dict(args) if isinstance(args, dict) else {"path": str(args)} if args else {}
    name, _, path = str(said).partition(":")
    return name, {"path": path} if path else {}


def _relative(path: str, folder: Path) -> str:
    """Give a path as a manifest may name it."""
    place, root = Path(os.path.expandvars(path)).resolve(), os.environ.get("ZOO_DATA")
    if path.startswith(VARIABLE):
        return path
    if root and place.is_relative_to(Path(root).resolve()):
        return f"{VARIABLE}/{place.relative_to(Path(root).resolve()).as_posix()}"
    return Path(os.path.relpath(place, folder.resolve())).as_posix()


def _digest(path: Path) -> Digest:
    try:
        return digest_file(path)
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}", hint="--data SOURCE:PATH") from error


def _sized(seen: TfliteFile, choice: base_file.Choice) -> dict[str, Any]:
    """Size and channels of pictures, where the file takes pictures."""
    [(_, entry)] = base_file.ports(seen, choice.subgraph, inputs=True)
    sizes = entry.shape[1:]
    if len(sizes) != len(("height", "width", "channels")) or -1 in sizes:
        return {}
    return {"size": [sizes[0], sizes[1]], "channels": 1 if sizes[2] == 1 else 3}


def _on_disk(path: Path) -> tuple[str, ...]:
    """Name the splits that a folder or an archive holds; empty where that cannot be seen."""
    if path.is_dir():
        inner = [one for one in sorted(path.iterdir()) if one.is_dir()]
        nested = bool(inner) and all(any(f.is_dir() for f in one.iterdir()) for one in inner)
        return tuple(one.name for one in inner) if nested else ("all",)
    if zipfile.is_zipfile(path):
        names = zipfile.ZipFile(path).namelist()
        plain = tuple(n[2:].removesuffix(".npy") for n in names if n.startswith("x_"))
        return plain or ("train", "test")
    return ()
