"""The files that a manifest names: found, hashed, held against the digests it gives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zoo_builders.data.examples import Survey
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.manifest import own_loops, paths
from zoo_builders.manifest.diagnostics import Mistakes, validate
from zoo_builders.manifest.schema import Manifest
from zoo_builders.manifest.source_tree import Tree
from zoo_builders.manifest.yaml_lines import Key
from zoo_builders.networks import lookup, own_imports
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.lookup import Network
from zoo_builders.pretrained.sources import TRAIN, WEIGHTS
from zoo_builders.pretrained.wanted import Wanted
from zoo_builders.stage import SourceFile
from zoo_builders.tasks import TASKS
from zoo_builders.tflite import base_file
from zoo_builders.tflite.tflite_file import BadFile, TfliteFile
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, ZooError

if TYPE_CHECKING:
    from zoo_builders.networks.keras_config import Finished


@dataclass(frozen=True, slots=True)
class Found:
    """Everything a manifest names.

    Attributes:
        network: where the base network comes from; None when it could not be found.
        graph: the network as data; None when it cannot be known before the build.
        network_file: the file whose bytes decide the network.
        weights: the weights file, with `weights.source: file`.
        data: role → data file.
        tflite: the finished file that is the base instead of a network.
        file: what that file says; None where it cannot be read here.
        choice: the part of it that is meant.
        remarks: what a user should know of the weights although nothing is wrong.
        told: the same of the data.
        survey: what the source has on disk; None where only loading tells.
        trainer: the user's own training loop, if the manifest names one.
        trainer_file: the file whose bytes decide it.
        model: the finished Keras model that is the base, if it is one.
    """

    network: Network | None
    graph: Graph | None
    network_file: SourceFile | None
    weights: SourceFile | None
    data: Mapping[str, SourceFile] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    trainer: Network | None = None
    trainer_file: SourceFile | None = None
    tflite: SourceFile | None = None
    told: tuple[str, ...] = ()
    survey: Survey | None = None
    file: TfliteFile | None = None
    choice: base_file.Choice | None = None
    model: "Finished | None" = None

    @property
    def stored_already(self) -> str:
        """Why the weights of the file cannot be stored in another way; empty where they can."""
        return "" if self.file is None else base_file.stored_already(self.file.main)

    @property
    def takes(self) -> tuple[int, ...]:
        """The shape that the file's input takes, -1 where a size is open; empty where unknown."""
        if self.file is None or self.choice is None:
            return ()
        found = base_file.ports(self.file, self.choice.subgraph, inputs=True)
        return found[0][1].shape if len(found) == 1 else ()

    @property
    def gives(self) -> tuple[int, ...]:
        """The shape of the scores for one example, without the batch; empty where unknown."""
        if self.graph is not None:
            return self.graph.output_shape
        if self.file is None or self.choice is None or self.choice.output is None:
            return ()
        found = base_file.ports(self.file, self.choice.subgraph, inputs=False)
        shape = found[self.choice.output][1].shape[1:]
        return shape if all(size > 0 for size in shape) else ()

    @property
    def ships_graph(self) -> bool:
        """Whether the graph says all there is to know of the network.

        It does when the network ships with the zoo and could be called.
        """
        return (
            self.graph is not None and self.network is not None and self.network.kind == "shipped"
        )


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds and hashes the files that a manifest names.

    It notes those that are missing or are not what they should be.
    """

    spec: Manifest
    folder: Path
    tree: Tree
    env: Mapping[str, str]
    mistakes: Mistakes
    need_data: bool = True

    def find(self, *, with_graph: bool) -> Found:
        """Find everything; parts that are wrong are None and noted."""
        if self.spec.base.tflite:
            return self._of_file()
        network = self._network()
        file = self._source(network, ("base", "network")) if network else None
        known = with_graph or (network is not None and self._ships_unchanged(network))
        model = self._finished(network) if network and file and known else None
        graph = self._graph(network) if network and file and known else None
        graph = model.graph if model else graph
        weights, remarks = self._weights(graph, brought=model is not None)
        remarks = (*remarks, *(_remarks(model) if model else ()))
        return Found(
            network, graph, file, weights, self._data(), remarks, *self._trainer(), model=model
        )

    def _tflite(self) -> SourceFile | None:
        base = self.spec.base
        if not base.tflite.endswith(".tflite"):
            self.mistakes.add(
                ("base", "tflite"),
                f"{base.tflite!r} is not called .tflite",
                "write tflite: folder/model.tflite",
            )
        return self._file(base.tflite, ("base", "tflite"), base.sha256)

    def _of_file(self) -> Found:
        source = self._tflite()
        file = None if source is None else self._read(Path(source.path))
        choice = None if file is None else self._choice(file)
        found = Found(None, None, None, None, self._data(), tflite=source, file=file, choice=choice)
        return replace(found, remarks=tuple(_as_it_came(found)))

    def _read(self, path: Path) -> TfliteFile | None:
        """Open the file and see what it is; a file that this machine lacks is not looked into."""
        from zoo_builders.tflite.flatbuffer import read

        try:
            data = self.tree.read(path)
        except NotFound:
            return None
        try:
            return read(data)
        except BadFile as error:
            self.mistakes.add(("base", "tflite"), f"{path.name}: {error.message}", error.hint)
            return None

    def _choice(self, file: TfliteFile) -> base_file.Choice | None:
        base, task = self.spec.base, self.spec.task
        scored = task in TASKS.names() and bool(TASKS.get(task).metrics)
        choice = base_file.choose(file, base.signature, base.output, scored=scored)
        found = (
            [choice] if isinstance(choice, base_file.Problem) else base_file.problems(file, choice)
        )
        for problem in found:
            key = problem.key if problem.key in base.model_fields_set else "tflite"
            self.mistakes.add(("base", key), problem.message, problem.hint)
        return None if isinstance(choice, base_file.Problem) else choice

    def _network(self) -> Network | None:
        name, key = self.spec.base.network, ("base", "network")
        try:
            path = self._placed(name) if lookup.is_path(name) else None
            return lookup.locate(name, self.folder, path, self.tree.exists)
        except ZooError as error:
            self.mistakes.add(key, error.message, error.hint)
            return None

    def _placed(self, name: str) -> Path:
        """Place a path behind whose `.py` a function may be named."""
        bare, colon, _ = name.partition(".py:")
        return paths.place(f"{bare}.py" if colon else name, self.folder, self.env)

    def _trainer(self) -> tuple[Network | None, SourceFile | None]:
        """Find the user's training loop and look whether it can be one; it is not run."""
        name, key = self.spec.base.train.trainer, ("base", "train", "trainer")
        if name is None:
            return None, None
        try:
            path = None if name.startswith("python:") else self._placed(name)
            found = own_loops.locate(name, self.folder, path)
            file = self._source(found, key)
            if file is not None:
                own_loops.check(self.tree.read(found.file), found)
        except ZooError as error:
            self.mistakes.add(key, error.message, error.hint)
            return None, None
        return found, file

    def _ships_unchanged(self, network: Network) -> bool:
        """Whether this tree holds a network of the zoo as it is installed.

        Calling the installed one then says what the tree's would say.
        """
        return (
            network.kind == "shipped" and self.tree.read(network.file) == network.file.read_bytes()
        )

    def _finished(self, network: Network) -> "Finished | None":
        """Open a finished model; None of other networks, and where it cannot be used."""
        if network.kind != "model":
            return None
        from zoo_builders.networks.keras_config import finished

        try:
            return finished(network.file)
        except ZooError as error:
            self.mistakes.add(("base", "network"), error.message, error.hint)
            return None

    def _graph(self, network: Network) -> Graph | None:
        if network.kind == "model":
            return None
        try:
            if lookup.is_light(self.tree.read(network.file)):
                return lookup.graph(network, self.spec.base.args)
        except ZooError as error:
            self.mistakes.add(
                ("base", "args") if "argument" in error.hint else ("base", "network"),
                error.message,
                error.hint,
            )
        return None

    def _weights(
        self, graph: Graph | None, *, brought: bool
    ) -> tuple[SourceFile | None, tuple[str, ...]]:
        """Ask the source of weights whether it can serve.

        The result is the user's file that it names, and what should be known of it. A model that
        brought its weights is trained on from them (`finished_bases`).
        """
        weights, key = self.spec.base.weights, ("base", "weights")
        if refusal := WEIGHTS.refusal(weights.source):
            self.mistakes.add((*key, "source"), refusal.message, refusal.hint)
            return None, ()
        source = WEIGHTS.get(weights.source)
        try:
            params = validate(source.params, weights.args)
        except ValidationError as error:
            self.mistakes.add_validation(error, source.params, key)
            return None, ()
        wanted = Wanted(
            params, self.spec.base.network, self.spec.base.args, graph, weights.fine_tune
        )
        trained_on = brought and weights.source == TRAIN
        for complaint in source.check(wanted) if self.need_data and not trained_on else ():
            self.mistakes.add(
                (*key, complaint.key) if complaint.key else key, complaint.message, complaint.hint
            )
        path = source.path(params)
        file = (
            None
            if path is None
            else self._file(path, (*key, "path"), getattr(params, "sha256", None))
        )
        return file, tuple(source.remarks(wanted))

    def _data(self) -> Mapping[str, SourceFile]:
        spec = self.spec.data
        if refusal := SOURCES.refusal(spec.source):
            self.mistakes.add(("data", "source"), refusal.message, refusal.hint)
            return {}
        source = SOURCES.get(spec.source)
        args = self._args(source)
        files = source.files(args) if args is not None else {}
        found = {
            role: self._file(arg.path, ("data", "args", role), arg.sha256)
            for role, arg in files.items()
        }
        return {role: file for role, file in found.items() if file is not None}

    def _args(self, source: Source) -> Any:
        try:
            return validate(source.params, self.spec.data.args)
        except ValidationError as error:
            self.mistakes.add_validation(error, source.params, ("data", "args"))
            path = self.spec.data.args.get("path")
            if isinstance(path, str) and "path" in source.params.model_fields:
                self._file(
                    path, ("data", "args", "path"), None
                )  # what is wrong with it is told along
            return None

    def _source(self, network: Network, key: Key) -> SourceFile | None:
        """Hash a file, and of a user's Python what it imports from the project with it."""
        file = self._hashed(network.file, key, None)
        if file is None or network.kind not in {"source", "module"}:
            return file
        whole = own_imports.digest(network.file, self.folder, self.tree.read, self.tree.exists)
        return file.model_copy(update={"sha256": whole})

    def _file(self, text: str, key: Key, sha256: str | None) -> SourceFile | None:
        try:
            path = paths.place(text, self.folder, self.env)
        except ZooError as error:
            if sha256 is not None and not self.need_data and text.startswith(paths.VARIABLE):
                return SourceFile(path=text, sha256=Digest(sha256))
            self.mistakes.add(key, error.message, error.hint)
            return None
        return self._hashed(path, key, sha256)

    def _hashed(self, path: Path, key: Key, sha256: str | None) -> SourceFile | None:
        try:
            digest = self.tree.digest(path)
        except NotFound:
            if sha256 is not None and not self.need_data:
                return SourceFile(path=str(path), sha256=Digest(sha256))
            self.mistakes.add(
                key,
                f"no such file: {path}",
                "paths are relative to the manifest's folder, or start with ${ZOO_DATA}/",
            )
            return None
        if sha256 is not None and digest != sha256:
            key = (*key[:-1], "sha256")
            self.mistakes.add(
                key,
                f"{path.name}: expected sha256 {sha256}, found {digest}",
                f"fetch the right file, or write sha256: {digest}",
            )
        return SourceFile(path=str(path), sha256=digest)


def _as_it_came(found: Found) -> Iterator[str]:
    """What should be known of a file whose weights no recipe can store in another way."""
    reason = found.stored_already
    if not reason:
        return
    yield (
        f"the file is taken as it came: {reason}; there is no float32 file to hold it against, so"
        " nothing is said of fidelity"
    )
    if found.takes[:1] == (-1,) and -1 not in found.takes[1:]:
        yield (
            "its batch stays open (-1): LiteRT takes it as 1; LiteRT.js needs a fixed one, and"
            " refuses the file"
        )


def _remarks(model: "Finished") -> Iterator[str]:
    """Say what becomes of a finished model that a user may not expect."""
    if model.policy:
        yield f"the model's policy {model.policy} is not kept: it is computed in float32"
    if model.wrapped:
        yield (
            f"TFMOT's wrappers ({model.wrapped}) are taken off: the layers within, with their"
            " weights, are the base"
        )
    if model.graph is None and model.why is not None:
        yield f"the model is taken as a function, without recipes that train: {model.why.message}"
