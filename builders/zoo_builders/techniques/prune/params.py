"""What a manifest may say about `prune`, and what does not go together."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from zoo_builders.networks.layer_selection import Rule
from zoo_builders.spec import Spec
from zoo_builders.techniques.prune.schedule import Window, timing
from zoo_builders.techniques.prune.selection import target

ShareOfZeros = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Start = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Steps = Annotated[int, Field(ge=1, le=100_000_000)]
Side = Annotated[int, Field(ge=1, le=1024)]


POWER = 3.0
"""Exponent of the polynomial where a manifest does not say one: that of Zhu & Gupta."""


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Block = Annotated[tuple[Side, Side], BeforeValidator(_as_tuple, json_schema_input_type=list[int])]
Groups = Annotated[str, StringConstraints(pattern=r"^[1-9]\d?:[1-9]\d?$")]


class LayerRule(Rule):
    """One rule of `layers`: which layers, and what is different there."""

    final: ShareOfZeros | None = Field(
        default=None, description="share of zeros at the end in these layers; default: the step's"
    )
    initial: Start | None = Field(
        default=None, description="share of zeros their schedule starts with; default: the step's"
    )
    bias: bool | None = Field(default=None, description="prune their bias too; default: the step's")
    block: Block | None = Field(
        default=None, description="blocks in these layers; default: the step's"
    )
    pattern: Groups | None = Field(
        default=None, description="m:n in these layers; default: the step's"
    )


class Params(Spec):
    """What a manifest may say about `prune`."""

    final: ShareOfZeros = Field(
        default=0.5, description="share of zeros at the end, in every pruned tensor"
    )
    initial: Start = Field(
        default=0.0, description="share of zeros a polynomial schedule starts with"
    )
    schedule: Literal["constant", "polynomial"] = Field(
        default="polynomial", description="all at once, or growing from `initial` to `final`"
    )
    power: Annotated[float, Field(gt=0, le=100)] = Field(
        default=POWER, description="exponent of the polynomial: higher prunes earlier"
    )
    policy: Literal["xnnpack", "whole-model"] = Field(
        default="whole-model",
        description=(
            "xnnpack: 1x1 convolutions only, and only in networks XNNPACK runs sparse; whole-model:"
            " every Conv2D and Dense"
        ),
    )
    layers: list[LayerRule] = Field(
        default=[],
        description="prune only layers that a rule picks, each as its first rule says; empty = all",
    )
    skip: list[Rule] = Field(default=[], description="layers to leave as they are")
    bias: bool = Field(default=False, description="prune biases too, each to `final`")
    block: Block = Field(
        default=(1, 1),
        description=(
            "[outputs, inputs] of blocks that are zero as a whole, as TFLite stores kernels: of a"
            " Dense, [1, 4] is stored as blocks in float32, [1, 16] in int8, all others weight by"
            " weight; Dense and 1x1 convolutions only"
        ),
    )
    pooling: Literal["avg", "max"] = Field(
        default="avg", description="what decides about a block: its mean or its largest magnitude"
    )
    pattern: Groups | None = Field(
        default=None, description='"2:4": 2 zeros in every 4 consecutive inputs; decides `final`'
    )
    start: Literal["trained", "scratch"] = Field(
        default="trained",
        description=(
            "fine-tune the weights that came in, or prune while training anew from the seed"
        ),
    )
    epochs: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=10,
        description="epochs of fine-tuning, pruning included; 0 prunes at once without any",
    )
    prune_from_epoch: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0, description="epochs before pruning begins"
    )
    prune_until_epoch: Epochs | None = Field(
        default=5, description="when the target is reached; default: half of `epochs`"
    )
    prune_every_epoch: Epochs | None = Field(
        default=None, description="epochs between renewals of the masks; default: see frequency"
    )
    begin_step: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="the same in steps, instead of prune_from_epoch"
    )
    end_step: Steps | None = Field(
        default=None, description="the same in steps, instead of prune_until_epoch"
    )
    frequency: Steps | None = Field(
        default=None, description="steps between renewals of the masks; default: 50 renewals in all"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="default: the base's"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="default: the base's"
    )

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: Any) -> Any:
        """Half of the epochs unless an end is said; a pattern's own share of zeros."""
        if not isinstance(given, dict):
            return given
        epochs = given.get("epochs", 10)
        filled: dict[str, Any] = {}
        if "prune_until_epoch" not in given and isinstance(epochs, int):
            stepwise = given.get("end_step") is not None or epochs == 0
            filled["prune_until_epoch"] = None if stepwise else max(1, (epochs + 1) // 2)
        pattern = given.get("pattern")
        if "final" not in given and isinstance(pattern, str) and pattern.replace(":", "").isdigit():
            zeros, _, size = pattern.partition(":")
            filled |= {"final": int(zeros) / int(size)} if int(zeros) < int(size or 0) else {}
        return {**given, **filled}

    @model_validator(mode="after")
    def _in_order(self) -> "Params":
        if self.initial > self.final:
            raise ValueError(f"initial: {self.initial} is more than final: {self.final}")
        if self.schedule == "constant" and self.initial:
            raise ValueError("initial: goes with schedule: polynomial only")
        return self

    @model_validator(mode="after")
    def _in_time(self) -> "Params":
        twice = [
            (
                "begin_step",
                "prune_from_epoch",
                self.begin_step is not None and self.prune_from_epoch > 0,
            ),
            (
                "end_step",
                "prune_until_epoch",
                self.end_step is not None and self.prune_until_epoch is not None,
            ),
            (
                "frequency",
                "prune_every_epoch",
                self.frequency is not None and self.prune_every_epoch is not None,
            ),
        ]
        for one, other, both in twice:
            if both:
                raise ValueError(f"{one} and {other} say the same thing twice; keep one")
        timed = [
            self.begin_step,
            self.end_step,
            self.frequency,
            self.prune_until_epoch,
            self.prune_every_epoch,
            self.prune_from_epoch or None,
        ]
        if not self.epochs and (
            any(value is not None for value in timed) or self.start == "scratch"
        ):
            raise ValueError(
                "epochs: 0 prunes at once: no schedule and no start: scratch goes with it"
            )
        if self.prune_until_epoch is not None and self.prune_until_epoch > self.epochs:
            raise ValueError(
                f"prune_until_epoch: {self.prune_until_epoch} lies after the last of {self.epochs}"
                " epochs"
            )
        window = timing(self).in_steps()
        wrong, fix = problem(window) if window else ("", "")
        if wrong:
            raise ValueError(f"{wrong}: {fix}")
        return self

    @model_validator(mode="after")
    def _in_shape(self) -> "Params":
        for rule in (None, *self.layers):
            found = target(self, rule)
            if found.groups and (found.block != (1, 1) or found.bias):
                raise ValueError("pattern: goes with neither block nor bias")
            if found.groups and not math.isclose(found.final, found.groups[0] / found.groups[1]):
                raise ValueError(
                    f"final: {found.final} contradicts pattern"
                    f" {found.groups[0]}:{found.groups[1]}; drop final"
                )
            if found.initial > found.final:
                raise ValueError(f"initial: {found.initial} is more than final: {found.final}")
        return self

    @model_validator(mode="after")
    def _in_use(self) -> "Params":
        wrong = next((words for broken, words in _without_effect(self) if broken), "")
        if wrong:
            raise ValueError(wrong)
        return self

    @property
    def biases(self) -> bool:
        """Whether it prunes any bias."""
        return any(target(self, rule).bias for rule in self.layers or (None,))


def problem(window: Window) -> tuple[str, str]:
    """Say why the masks will not reach the target, and what to change.

    Two empty texts when they will.
    """
    if window.asked > window.last:
        return (
            f"the schedule ends at step {window.asked}, but the training at step {window.last}",
            f"write end_step: {window.last} or less",
        )
    if window.asked <= window.begin:
        return (
            f"the schedule begins at step {window.begin} and ends at step {window.asked}",
            f"write begin_step: {max(0, window.asked - 1)}",
        )
    if window.end <= window.begin:
        span = window.asked - window.begin
        return (
            f"the masks are renewed every {window.every} steps, but the schedule lasts {span}",
            f"write frequency: {span} or less",
        )
    return "", ""


def _without_effect(p: Params) -> list[tuple[bool, str]]:
    """List what would be read and change nothing, each with whether it is so."""
    targets = [target(p, rule) for rule in p.layers or (None,)]
    own = any(rule.initial for rule in p.layers)
    curve = "power" if p.power != POWER else "initial" if p.initial or own else ""
    grouped = [target.groups is not None for target in targets]
    started = any(rule.initial and target(p, rule).groups for rule in p.layers)
    trained = [
        key
        for key, value in (("batch_size", p.batch_size), ("learning_rate", p.learning_rate))
        if value is not None
    ]
    return [
        (bool(curve) and p.schedule == "constant", f"{curve}: goes with schedule: polynomial only"),
        (
            bool(curve) and all(grouped),
            (
                f"{curve}: a pattern has no in-between: every group holds its zeros from the first"
                " renewal on"
            ),
        ),
        (started, "initial: a pattern has no in-between: drop it from the rule with the pattern"),
        (bool(curve) and not p.epochs, f"{curve}: epochs: 0 prunes at once: there is no schedule"),
        (bool(trained) and not p.epochs, f"{', '.join(trained)}: epochs: 0 trains nothing"),
        (
            p.pooling == "max" and all(target.block == (1, 1) for target in targets),
            "pooling: goes with block only",
        ),
    ]
