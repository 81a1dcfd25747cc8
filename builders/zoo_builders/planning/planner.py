"""A resolved manifest becomes one plan for each variant.

Pure: equal inputs give equal plans, and nothing here touches disk or TensorFlow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders.devices import DEVICES
from zoo_builders.manifest import finished_bases
from zoo_builders.manifest.reader import Resolved
from zoo_builders.manifest.recipes import graphs
from zoo_builders.manifest.schema import Base, Manifest, RatioGoal, Weights
from zoo_builders.manifest.yaml_lines import in_one_line
from zoo_builders.networks.graph import Graph
from zoo_builders.planning.plan import FLOAT, Plan
from zoo_builders.planning.toolchain import Toolchain, conversion
from zoo_builders.pretrained.sources import WEIGHTS, epochs
from zoo_builders.stage import Reproducible, SourceFile, Stage, StageKind
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.tflite.proof import Promise
from zoo_registry.model import record
from zoo_registry.model.digest import Digest


def plan(
    resolved: Resolved, toolchain: Toolchain, *, shown: str = "", benchmark: bool = True
) -> tuple[Plan, ...]:
    """Turn one manifest into the builds it asks for, one for each variant, in the manifest's order.

    Args:
        resolved: the manifest and everything it names.
        toolchain: versions and code by stage, gathered for this manifest.
        shown: path of the manifest as the user gave it.
        benchmark: plan the measurements too.
    """
    return tuple(
        _Planner(resolved, toolchain, shown, benchmark).variant(name)
        for name in resolved.spec.variants
    )


@dataclass(slots=True)
class _Planner:
    resolved: Resolved
    toolchain: Toolchain
    shown: str
    benchmark: bool
    stages: dict[Digest, Stage] = field(default_factory=dict)
    parts: dict[str, Digest] = field(default_factory=dict)

    @property
    def spec(self) -> Manifest:
        return self.resolved.spec

    def variant(self, name: str) -> Plan:
        self.stages, self.parts = {}, {}
        steps = self.resolved.recipes[name]
        promises, remarks = self._words(steps)
        remarks = (
            *self.resolved.found.remarks,
            *remarks,
            *self._closed(name, promises),
            *self._unjudged(name),
        )
        self._model(steps)
        self._file(name, steps, promises)
        self._judge()
        spec = self.spec
        return Plan(
            manifest=self.shown or str(self.resolved.path),
            manifest_sha256=self.resolved.sha256,
            model=spec.model,
            variant=name,
            version=spec.version,
            task=spec.task,
            license=spec.license,
            description=spec.description,
            seed=spec.base.train.seed,
            recipe=tuple(
                record.Step(technique=step.technique, params=_plain(step)) for step in steps
            ),
            preprocess=tuple(spec.data.preprocess),
            promises=promises,
            remarks=remarks,
            told=self.resolved.found.told,
            goals=_goals(spec, measured=self.benchmark),
            publish=tuple(spec.publish),
            stages=tuple(self.stages.values()),
            parts=dict(self.parts),
        )

    def _add(self, part: str, stage: Stage) -> Digest:
        fingerprint = stage.fingerprint
        self.stages.setdefault(fingerprint, stage)
        self.parts[part] = fingerprint
        return fingerprint

    def _stage(
        self, kind: StageKind, name: str, params: dict[str, Any], *, plugin: str = "", **rest: Any
    ) -> Stage:
        key = f"{kind} {plugin}".strip()
        inputs, files = rest.get("inputs", {}), rest.get("files", {})
        return Stage(
            kind=kind,
            name=name,
            params=params,
            files=files,
            inputs=inputs,
            code=self.toolchain.code[key],
            tools=dict(self.toolchain.tools[key]),
            reproducible=rest["reproducible"],
        )

    def _words(self, steps: Sequence[Step]) -> tuple[tuple[Promise, ...], tuple[str, ...]]:
        """What the techniques promise of the file and say of this network.

        One that cannot be read yet counts as unknown, not as exempt.
        """
        graph = self.resolved.found.graph or Graph("unknown", ())
        asked = [
            (TECHNIQUES.get(step.technique), met, step.params)
            for step, met in zip(steps, graphs(graph, steps), strict=True)
        ]
        promises = tuple(
            promise
            for technique, met, params in asked
            for promise in technique.promises(met, params, steps)
        )
        return promises, tuple(
            remark
            for technique, met, params in asked
            for remark in technique.remarks(met, params, steps)
        )

    def _unjudged(self, variant: str) -> Iterator[str]:
        for name, goal in self.spec.goals.items():
            if (
                not self.benchmark
                and isinstance(goal, RatioGoal)
                and variant in (goal.only_for or (variant,))
            ):
                yield f"the goal {name} is not judged: latency is not measured"

    def _closed(self, variant: str, promises: Sequence[Promise]) -> Iterator[str]:
        """Say which devices of the manifest will not take the file.

        It also says what its twin for them is.
        """
        types = {str(promise.value) for promise in promises if promise.kind == "interface_dtype"}
        for name in self.spec.benchmark.devices:
            device = DEVICES.get(name.partition(":")[0])
            refused = types - device.interface if device.interface is not None else ()
            for dtype in sorted(refused):
                yield (
                    f"cannot run on {name}: {device.runtime} takes no {dtype} at a file's"
                    " interface; its twin for that device, with the same weights and kernels, and"
                    f" float32 in and out: {self._float_twin(variant)}"
                )

    def _float_twin(self, variant: str) -> str:
        """Write the line of the manifest that makes the same file with floats at its interface."""
        recipe = [
            {name: _with_floats(params) for name, params in step.items()}
            for step in self.spec.variants[variant]
        ]
        return in_one_line({f"{variant}-float": recipe})

    def _model(self, steps: Sequence[Step]) -> None:
        """Plan data, base and every technique that changes the Keras model."""
        data, train = self.spec.data, self._train()
        params = {
            "source": data.source,
            "args": self._data_args(),
            "splits": dict(data.splits),
            "preprocess": list(data.preprocess),
            "max_overlap": data.max_overlap,
        }
        files = dict(self.resolved.found.data)
        data_print = self._add(
            "data",
            self._stage(
                "data", "data", params, plugin=data.source, files=files, reproducible="bitwise"
            ),
        )
        model = self._add("base", self._base(data_print, train))
        for step in steps:
            if TECHNIQUES.get(step.technique).work is not None:
                params = {
                    "technique": step.technique,
                    "params": _plain(step),
                    "train": train,
                    "seed": train["seed"],
                }
                inputs = {"model": model, "data": data_print}
                files = self._trainer()
                own = self.resolved.own.get(step.technique)
                if own is not None:
                    params["algorithm"], files = own.spelled, {**files, "algorithm": own.file}
                stage = self._stage(
                    "technique",
                    step.technique,
                    params,
                    plugin=step.technique,
                    inputs=inputs,
                    files=files,
                    reproducible="weights",
                )
                model = self._add(step.technique, stage)
        self.parts["model"] = model

    def _train(self) -> dict[str, Any]:
        """Training settings; of a loop of the user in a file, its function.

        What the file holds counts, not where it lies.
        """
        train, loop = self.spec.base.train.model_dump(mode="json"), self.resolved.found.trainer
        return train | (
            {"trainer": f"file:{loop.function}"}
            if loop is not None and loop.kind == "source"
            else {}
        )

    def _trainer(self) -> dict[str, SourceFile]:
        file = self.resolved.found.trainer_file
        return {} if file is None else {"trainer": file}

    def _data_args(self) -> dict[str, Any]:
        """Arguments of the source without its paths: what a file is counts, not where it lies."""
        files = self.resolved.found.data
        return {
            name: "file" if name in files else value
            for name, value in self.spec.data.args.items()
            if name != "sha256"
        } | ({"sha256": files["path"].sha256} if "path" in files else {})

    def _base(self, data: Digest, train: dict[str, Any]) -> Stage:
        base, found = self.spec.base, self.resolved.found
        if found.tflite is not None:
            return self._stage(
                "import",
                "import",
                {"signature": base.signature} if base.signature else {},
                files={"tflite": found.tflite},
                inputs={"data": data},
                reproducible="bitwise",
            )
        files = self._trainer()
        if found.network_file is not None and found.network is not None and not found.ships_graph:
            files["network" if found.network.kind == "model" else "network_source"] = (
                found.network_file
            )
        if found.weights is not None:
            files["weights"] = found.weights
        function = found.network.function if found.network else ""
        network = (
            base.network
            if found.network is None or found.network.kind in {"shipped", "module"}
            else f"file:{function}"
        )
        whole = found.network is not None and found.network.kind == "model"
        weights = (
            _whole(base)
            if whole and base.weights.source == "train"
            else _weights(base.weights, found.weights)
        )
        params: dict[str, Any] = {
            "network": network,
            "weights": weights,
            "train": train,
            "task": self.spec.task,
        }
        params |= {"args": base.args} | (
            {"graph": found.graph.digest} if found.graph and found.ships_graph else {}
        )
        trained: Reproducible = (
            "weights" if epochs(weights, self.spec.base.train.epochs) else "bitwise"
        )
        return self._stage(
            "base", "base", params, inputs={"data": data}, files=files, reproducible=trained
        )

    def _convert(self, name: str, model: Digest, steps: Sequence[Step]) -> Stage:
        inputs = {"model": model, "data": self.parts["data"]}
        made = conversion(steps, self.spec.task)
        return self._stage(
            "convert",
            f"convert {name}",
            made.params,
            plugin=made.plugin,
            inputs=inputs,
            reproducible="bitwise",
        )

    def _file(self, name: str, steps: Sequence[Step], promises: Sequence[Promise]) -> None:
        """Plan the float baseline, this variant's file, and the look into it."""
        plain = name if self.resolved.found.stored_already else FLOAT
        self._add("baseline", self._convert(plain, self.parts["base"], ()))
        file = self._add("convert", self._convert(name, self.parts["model"], steps))
        spelled = [promise.model_dump(mode="json") for promise in promises]
        self._add(
            "inspect",
            self._stage(
                "inspect",
                f"inspect {name}",
                {"promises": spelled},
                inputs={"file": file},
                reproducible="bitwise",
            ),
        )

    def _judge(self) -> None:
        """Plan evaluation and measurements.

        They are those of this variant and of the baseline it is compared with.
        """
        baseline, file = self.parts["baseline"], self.parts["convert"]
        golden_of_baseline = self._add("baseline_evaluate", self._evaluate(baseline))
        golden = self._add("evaluate", self._evaluate(file))
        if not self.benchmark:
            return
        settings = self.spec.benchmark
        inputs = {
            "file": file,
            "golden": golden,
            "baseline": baseline,
            "baseline_golden": golden_of_baseline,
        }
        for device in settings.devices:
            for threads in settings.threads:
                params = settings.model_dump(mode="json", include={"runs", "rounds", "warmup"})
                params |= {"device": device, "threads": threads, "host": self.toolchain.host}
                plugin = device.partition(":")[0]
                stage = self._stage(
                    "benchmark",
                    f"benchmark {device}",
                    params,
                    plugin=plugin,
                    inputs=inputs,
                    reproducible="metrics",
                )
                self._add(f"benchmark {device} {threads}", stage)

    def _evaluate(self, file: Digest) -> Stage:
        params: dict[str, Any] = {"task": self.spec.task, "split": "test"}
        params["calibration"] = "calibration"
        choice = self.resolved.found.choice
        if choice is not None and choice.output != 0:
            params["output"] = choice.output
        inputs = {"file": file, "data": self.parts["data"], "baseline": self.parts["baseline"]}
        return self._stage(
            "evaluate",
            "evaluate",
            params,
            plugin=self.spec.task,
            inputs=inputs,
            reproducible="bitwise",
        )


def _plain(step: Step) -> dict[str, Any]:
    return step.params.model_dump(mode="json", by_alias=True)


def _weights(weights: Weights, file: SourceFile | None) -> dict[str, Any]:
    """Where weights come from, as a stage's parameter.

    What a file of the user is counts, not where it lies.
    """
    if weights.source == "train":
        return {"source": "train"}
    params = WEIGHTS.get(weights.source).params.model_validate(weights.args).model_dump(mode="json")
    here = {"path": "file", "sha256": str(file.sha256)} if file else {}
    return {"source": weights.source, "fine_tune": weights.fine_tune, "params": params | here}


def _whole(base: Base) -> dict[str, Any]:
    """Say that a finished model brings its weights, and how long it is trained from there."""
    count = finished_bases.epochs(base)
    return {"source": "file"} | ({"fine_tune": count} if count else {})


def _with_floats(params: Any) -> Any:
    return (
        {**params, "interface": "float"}
        if isinstance(params, dict) and "interface" in params
        else params
    )


def _goals(spec: Manifest, *, measured: bool) -> dict[str, dict[str, Any]]:
    """Give the goals as plain data; those on latency only where it is measured."""
    judged = {
        name: goal
        for name, goal in spec.goals.items()
        if measured or not isinstance(goal, RatioGoal)
    }
    return {name: goal.model_dump(mode="json", by_alias=True) for name, goal in judged.items()}
