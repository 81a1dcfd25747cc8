"""Which layers a technique shall change, said by name pattern, class or position.

Pure, on a `Graph`.

A technique has a list of rules and the layers it can change at all, its candidates. The first rule
that picks a candidate decides; candidates no rule picks are left alone; an empty list of rules
means all of them.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.verdicts import Objection
from zoo_builders.spec import Spec
from zoo_registry.model.suggest import nearest

Slice = Annotated[str, StringConstraints(pattern=r"^-?\d*:-?\d*$")]


def _listed(value: Any) -> Any:
    """A text alone is a list of one; tuples because manifests are read strictly."""
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


Words = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]


class Rule(Spec):
    """One rule. What is said of name, type and position must hold together.

    A technique's own rule adds what to do there.
    """

    name: Words = Field(
        default=(),
        description="pattern of layer names (* and ?), or a list of them: block*_pointwise",
    )
    type: Words = Field(default=(), description="Keras class, or a list of them: Conv2D")
    position: int | Literal["first", "last"] | Slice | None = Field(
        default=None,
        description=(
            "among the layers the technique can change: first, last, a number from 0 (or -1 from"
            " the end), or 1:-1"
        ),
    )

    @model_validator(mode="after")
    def _says_something(self) -> "Rule":
        if not self.name and not self.type and self.position is None:
            raise ValueError("a rule without name, type and position picks nothing in particular")
        return self

    def picks(self, candidates: Sequence[Node]) -> tuple[str, ...]:
        """Name the candidates (in graph order) that fit."""
        placed = _at(self.position, len(candidates))
        return tuple(
            node.name
            for index, node in enumerate(candidates)
            if index in placed and self._fits(node)
        )

    def _fits(self, node: Node) -> bool:
        named = not self.name or any(fnmatchcase(node.name, pattern) for pattern in self.name)
        return named and (not self.type or node.op in self.type)


R = TypeVar("R", bound=Rule)


def chosen(rules: Sequence[R], candidates: Sequence[Node]) -> Mapping[str, R | None]:
    """Give each layer that shall be changed (in graph order) with the rule that decides.

    No rules: every candidate, with None.
    """
    if not rules:
        return dict.fromkeys((node.name for node in candidates), None)
    picked = [(frozenset(rule.picks(candidates)), rule) for rule in rules]
    decided = {
        node.name: next((rule for names, rule in picked if node.name in names), None)
        for node in candidates
    }
    return {name: rule for name, rule in decided.items() if rule is not None}


def objections(
    technique: str, rules: Sequence[Rule], graph: Graph, candidates: Sequence[Node]
) -> list[Objection]:
    """Say of each rule that picks no candidate why, with the nearest names.

    Nothing of a graph that nobody can read yet.
    """
    return [
        _objection(technique, rule, graph, candidates)
        for rule in rules
        if graph.nodes and not rule.picks(candidates)
    ]


def idle(
    rules: Sequence[Rule], skip: Sequence[Rule], graph: Graph, candidates: Sequence[Node]
) -> list[Objection]:
    """Say of each rule that picks candidates and decides about none why.

    Earlier rules decide, or `skip` leaves them out.
    """
    left = {name for rule in skip for name in rule.picks(candidates)}
    decided = chosen(rules, candidates) if rules and graph.nodes else {}
    found = []
    for rule in rules if graph.nodes else ():
        own = {name for name, deciding in decided.items() if deciding is rule}
        if own and own <= left:
            found.append(
                Objection(
                    spell(rule),
                    "skip leaves out every layer it decides about",
                    "drop it from layers, or skip less",
                )
            )
        elif not own and rule.picks(candidates):
            found.append(
                Objection(
                    spell(rule),
                    "earlier rules decide about every layer it picks",
                    "put it before them: the first one decides",
                )
            )
    return found


def _objection(technique: str, rule: Rule, graph: Graph, candidates: Sequence[Node]) -> Objection:
    said, can = spell(rule), [node.name for node in candidates]
    others = [
        node
        for node in graph.nodes
        if node.name not in can and rule.position is None and rule.picks([node])
    ]
    if others:
        names = ", ".join(f"{node.name} ({node.op})" for node in others[:3])
        return Objection(
            said,
            f"{technique} cannot change {names}",
            f"pick among: {', '.join(can) or 'nothing here'}",
        )
    if rule.type and not any(node.op in rule.type for node in candidates):
        return Objection(
            said,
            f"no layer {technique} can change has this type",
            nearest(rule.type[0], sorted({n.op for n in candidates})),
        )
    return Objection(
        said,
        f"no layer {technique} can change matches",
        nearest(rule.name[0] if rule.name else "", can),
    )


def spell(rule: Rule) -> str:
    """Write a rule as a manifest does: `{name: block*, type: Conv2D}`."""
    words = [
        ("name", ", ".join(rule.name)),
        ("type", ", ".join(rule.type)),
        ("position", rule.position),
    ]
    return (
        "{" + ", ".join(f"{key}: {value}" for key, value in words if value not in {"", None}) + "}"
    )


def _at(position: int | str | None, count: int) -> range:
    """Give the indices that a position means among `count` layers."""
    everything = range(count)
    if position is None:
        return everything
    if isinstance(position, str) and ":" in position:
        start, stop = (int(end) if end else None for end in position.split(":"))
        return everything[start:stop]
    index = {"first": 0, "last": -1}.get(str(position), position)
    index = int(index) + (count if int(index) < 0 else 0)
    return range(index, index + 1) if index in everything else range(0)
