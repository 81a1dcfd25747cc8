"""Plans through the real reader: what changes a fingerprint, and what does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.planning.code_digest import Code, meaning
from zoo_builders.planning.plan import Plan
from zoo_builders.planning.planner import plan
from zoo_builders.planning.toolchain import Toolchain, gather
from zoo_registry.model.digest import Digest

Planner = Callable[..., dict[str, Plan]]
NETWORK = """\
from zoo_builders.authoring import Graph
from zoo_builders.authoring import Net


def tiny(width: int = 4) -> Graph:
    net = Net("tiny", (8, 8, 1))
    net.conv(width, 3)
    net.global_pool(keepdims=False)
    net.dense(10)
    return net.graph()
"""


@pytest.fixture
def planned(zoo: Any) -> Planner:
    """Plan the tiny manifest after replacing texts in it."""

    def run(
        *changes: tuple[str, str],
        path: Path = zoo.folder / "manifests/tiny.yaml",
        benchmark: bool = True,
    ) -> dict[str, Plan]:
        text = (zoo.folder / "manifests/tiny.yaml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        made = path.with_name("changed.yaml")
        made.write_text(text)
        tree = WorkTree(Digests(zoo.folder / "digests.json"))
        resolved = Reader(tree, {"ZOO_DATA": str(zoo.folder)}).read(made)
        return {
            found.variant: found
            for found in plan(resolved, gather(resolved, Code(tree), "host"), benchmark=benchmark)
        }

    return run


def changed(before: dict[str, Plan], after: dict[str, Plan]) -> set[str]:
    return {name for name in after if before[name].key != after[name].key}


def test_variants_share_the_stages_they_have_in_common(planned: Planner) -> None:
    plans = planned()
    assert len({made.parts["base"] for made in plans.values()}) == 1
    assert plans["sparse"].parts["prune"] == plans["sparse-fp16"].parts["prune"]
    assert plans["fp32"].is_baseline
    assert {made.parts["baseline"] for made in plans.values()} == {plans["fp32"].key}
    assert len({made.key for made in plans.values()}) == len(plans)


def test_planning_twice_gives_equal_plans(planned: Planner) -> None:
    assert planned() == planned()


@pytest.mark.parametrize(
    "change",
    [
        ("version: 1.0.0", "version: 2.0.0"),
        ("license: apache-2.0", "license: mit # a comment"),
        ("benchmark:", "goals:\n  top1: {min: 0.1}\npublish: [registry]\nbenchmark:"),
        ("model: tiny", "model: other"),
        ("runs: 10", "runs: 20"),
    ],
)
def test_what_people_say_about_a_model_rebuilds_nothing(
    planned: Planner, change: tuple[str, str]
) -> None:
    assert changed(planned(), planned(change)) == set()


def test_the_seed_changes_everything_after_the_data(planned: Planner) -> None:
    before, after = planned(), planned(("seed: 3", "seed: 4"))
    assert changed(before, after) == set(before)
    assert before["fp32"].parts["data"] == after["fp32"].parts["data"]
    for name in before:
        kept = {stage.fingerprint for stage in before[name].stages} & {
            stage.fingerprint for stage in after[name].stages
        }
        assert kept == {before[name].parts["data"]}


def test_one_variants_epochs_change_that_variant(planned: Planner) -> None:
    old = "  sparse:\n    - prune: {final: 0.5, epochs: 1}"
    assert changed(planned(), planned((old, old.replace("epochs: 1", "epochs: 2")))) == {"sparse"}


def test_a_split_changes_all(planned: Planner) -> None:
    assert changed(planned(), planned(("test[:60]", "test[:61]"))) == set(planned())


def test_every_stage_stands_after_what_it_reads(planned: Planner) -> None:
    for made in planned().values():
        seen: set[Digest] = set()
        for stage in made.stages:
            assert set(stage.inputs.values()) <= seen
            seen.add(stage.fingerprint)


def test_promises_come_from_the_techniques(planned: Planner) -> None:
    kinds = [promise.kind for promise in planned()["sparse-fp16"].promises]
    assert "sparsity_at_least" in kinds
    assert "weights_dtype" in kinds


def test_a_network_beside_the_manifest_counts_by_its_bytes(zoo: Any, planned: Planner) -> None:
    use = (("network: digits_cnn", "network: tiny"), ("{width: 8}", "{width: 4}"))
    zoo.write("manifests/models/tiny.py", NETWORK)
    before = planned(*use)
    zoo.write("manifests/models/tiny.py", NETWORK.replace("conv(width, 3)", "conv(width, 5)"))
    assert changed(before, planned(*use)) == set(before)


def test_where_a_data_file_lies_does_not_count(zoo: Any, planned: Planner) -> None:
    zoo.write("a/x.py", NETWORK)
    zoo.write("b/x.py", NETWORK)
    plans = [planned(("network: digits_cnn", f"network: ../{folder}/x.py:tiny")) for folder in "ab"]
    assert changed(*plans) == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.sampled_from(["code", "tools"]), st.data())
def test_code_and_tools_reach_exactly_the_stages_they_decide(
    zoo: Any, what: str, data: st.DataObject
) -> None:
    tree = WorkTree(Digests(zoo.folder / "digests.json"))
    resolved = Reader(tree, {}).read(zoo.folder / "manifests/tiny.yaml")
    chain = gather(resolved, Code(tree), "host")
    key = data.draw(st.sampled_from(sorted(chain.code)))
    other = Toolchain(
        {**chain.code, key: Digest.of(b"other")} if what == "code" else chain.code,
        {**chain.tools, key: {"x": "2"}} if what == "tools" else chain.tools,
        "host",
    )
    for before, after in zip(plan(resolved, chain), plan(resolved, other), strict=True):
        fresh = {stage.fingerprint for stage in after.stages} - {
            stage.fingerprint for stage in before.stages
        }
        for stage in after.stages:
            decided = stage.kind == key.split()[0] and (
                stage.kind != "technique" or stage.name == key.split()[1]
            )
            below = any(source in fresh for source in stage.inputs.values())
            assert (stage.fingerprint in fresh) == (decided or below)


def test_comments_and_docstrings_are_no_code() -> None:
    plain = b"X = 1\n\ndef f(a):\n    return a + X\n"
    told = (
        b'"""Module."""\n\nX = 1  # one\n"""About X."""\n\n\ndef f(a):\n    """Doc."""\n\n    #'
        b" why\n    return a + X\n"
    )
    assert meaning(plain) == meaning(told)
    assert meaning(plain) != meaning(plain.replace(b"+", b"-"))


def test_a_file_that_a_device_will_not_take_is_remarked_with_what_to_write(
    planned: Planner,
) -> None:
    before = "variants:\n"
    added = (
        "variants:\n  integers: [{quantize: {dtype: int8, interface: int8}}]\n  eight: [{quantize:"
        " {dtype: int8}}]\n"
    )
    devices = planned(
        (before, added),
        ("benchmark: {runs: 10", "benchmark: {devices: [host-cpu, web-wasm], runs: 10"),
    )
    (said,) = devices["integers"].remarks
    assert said.startswith("cannot run on web-wasm")
    line = "integers-float: [{quantize: {dtype: int8, interface: float}}]"
    assert said.endswith(line)
    twin = planned(
        (before, f"{added}  {line}\n"),
        ("benchmark: {runs: 10", "benchmark: {devices: [web-wasm], runs: 10"),
    )
    assert not twin["integers-float"].remarks
    assert not devices["eight"].remarks, "float32 at its interface is taken everywhere"
    elsewhere = planned((before, added))
    assert not elsewhere["integers"].remarks


def test_goals_on_latency_are_judged_only_where_it_is_measured(planned: Planner) -> None:
    goal = (
        "variants:\n",
        "goals: {latency_ratio: {max: 0.9, for: sparse}, size: {max: 1 MB}}\nvariants:\n",
    )
    assert set(planned(goal)["sparse"].goals) == {"latency_ratio", "size"}
    unmeasured = planned(goal, benchmark=False)
    assert set(unmeasured["sparse"].goals) == {"size"}
    assert (
        "the goal latency_ratio is not judged: latency is not measured"
        in unmeasured["sparse"].remarks
    )
    assert not any("latency_ratio" in remark for remark in unmeasured["fp32"].remarks)
