"""`zoo preflight`: every layer, every technique, every reason at once, before TensorFlow."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.manifest.recipes import objections
from zoo_builders.networks import sparse_path, verdicts
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.networks.verdicts import Verdict
from zoo_builders.preflight import layer_report, view
from zoo_builders.preflight.latency_forecast import Here
from zoo_builders.running.project import Project
from zoo_builders.spec import Spec
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.tflite.proof import Promise
from zoo_registry.model.platform import Platform

ROOT = Path(__file__).parents[3]
HEAVY = {"tensorflow", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert"}


def step(technique: str, **params: Any) -> Step:
    return Step(technique, TECHNIQUES.get(technique).params.model_validate(params))


def friendly() -> Graph:
    return NETWORKS.get("cifar10_cnn")()


def words(report: layer_report.Preflight) -> dict[str, str]:
    return {chance.family: chance.word for chance in report.chances}


def test_every_technique_has_a_column_and_every_kernel_a_row() -> None:
    report = layer_report.offer(friendly())
    assert {column.name for column in report.columns} == {
        *TECHNIQUES.names(),
        layer_report.SPARSE_PATH,
    }
    assert {node.name for node in report.layers} >= {
        node.name for node in friendly().nodes if "kernel" in " ".join(node.weights)
    }


def test_a_variant_is_judged_with_its_own_parameters() -> None:
    [column, *_] = layer_report.recipe(
        friendly(), "sparse", [step("prune", policy="xnnpack", final=0.75)]
    ).columns
    assert {name for name, verdict in column.verdicts.items() if verdict.applies} == {
        "block1_pointwise",
        "block2_pointwise",
    }


@pytest.mark.parametrize(
    ("final", "word", "reason"),
    [
        (0.75, "faster", "75% zeros in the 1x1 convolutions"),
        (
            0.5,
            "same",
            (
                "50% zeros in the 1x1 and fully connected layers that XNNPACK counts, which wants"
                " more than 2/3"
            ),
        ),
    ],
)
def test_a_sparse_file_is_faster_only_above_two_thirds_and_never_on_x86_with_avx(
    final: float, word: str, reason: str
) -> None:
    network = NETWORKS.get("mobilenet_v2")(alpha=0.35, resolution=32, classes=10)
    report = layer_report.recipe(network, "sparse", [step("prune", policy="xnnpack", final=final)])
    assert words(report) == {"avx512-vnni": "same", "avx2": "same", "arm": word, "wasm": word}
    assert reason in next(chance.reason for chance in report.chances if chance.family == "arm")


def test_int8_closes_the_sparse_path() -> None:
    steps = [step("prune", policy="xnnpack", final=0.75), step("quantize", dtype="int8")]
    assert words(layer_report.recipe(friendly(), "sparse-int8", steps))["wasm"] != "faster"


def test_what_runs_on_reference_kernels_is_said_to_be_slower() -> None:
    assert set(
        words(
            layer_report.recipe(friendly(), "int16x8", [step("quantize", dtype="int16x8")])
        ).values()
    ) == {"slower"}


def test_integers_are_promised_no_speed_where_overhead_decides() -> None:
    small, large = NETWORKS.get("digits_cnn")(), NETWORKS.get("mobilenet_v2")()
    for dtype, expected in (
        ("int8", {"avx512-vnni": "faster", "avx2": "slower", "arm": "unknown"}),
        ("dynamic", {"avx512-vnni": "slower", "avx2": "slower", "wasm": "slower"}),
    ):
        report = layer_report.recipe(small, dtype, [step("quantize", dtype=dtype)])
        assert set(words(report).values()) == {"unknown"}
        assert "92,160 multiplications" in report.chances[0].reason
        assert (
            words(layer_report.recipe(large, dtype, [step("quantize", dtype=dtype)])).items()
            >= expected.items()
        )


@pytest.mark.parametrize(
    ("arch", "isa", "family"),
    [
        ("x86-64", "avx512-vnni", "avx512-vnni"),
        ("x86-64", "avx2", "avx2"),
        ("x86-64", "avx2-vnni", None),
        ("x86-64", "avx512", None),
        ("x86-64", "unknown", None),
        ("arm64", "i8mm", "arm"),
        ("riscv", "rvv", None),
    ],
)
def test_a_class_that_nobody_measured_is_promised_nothing(
    arch: str, isa: str, family: str | None
) -> None:
    here = Here.of(Platform(kind="host-cpu", arch=arch, isa=isa, machine="M"))
    assert here.family == family
    report = layer_report.recipe(
        NETWORKS.get("mobilenet_v2")(), "int8", [step("quantize", dtype="int8")]
    )
    said = view.sentences([report], here)
    assert any("this machine" in line for line in said)
    assert any("nobody measured; zoo bench" in line for line in said) == (family is None)
    fast = [line for line in said if "faster on this machine" in line]
    assert bool(fast) == (family == "avx512-vnni")
    slow = "int8: slower on this machine: AVX2 has no 8-bit dot product"
    assert any(line.startswith(slow) for line in said) == (family == "avx2")


def test_dynamic_is_slower_by_its_depthwise_kernels_alone() -> None:
    report = layer_report.recipe(
        NETWORKS.get("resnet8")(), "dynamic", [step("quantize", dtype="dynamic")]
    )
    assert words(report) == {
        "avx512-vnni": "faster",
        "avx2": "same",
        "arm": "unknown",
        "wasm": "unknown",
    }


def test_nothing_is_said_of_dynamic_on_arm_which_nobody_measured() -> None:
    report = layer_report.recipe(
        NETWORKS.get("mobilenet_v2")(), "dynamic", [step("quantize", dtype="dynamic")]
    )
    [arm] = [chance for chance in report.chances if chance.family == "arm"]
    assert (arm.word, "nobody measured ARM" in arm.reason) == ("unknown", True)


class _Nothing(Spec):
    """Parameters of a technique that has none."""


@pytest.mark.parametrize(
    ("said", "promised", "remarks", "reason"),
    [
        (
            {"classifier": Verdict(applies=False, reason="too small")},
            True,
            [],
            "would change nothing: too small",
        ),
        (
            {"classifier": Verdict(applies=False, reason="too small")},
            True,
            ["changes nothing here"],
            "",
        ),
        ({"classifier": Verdict(applies=True)}, False, [], "promises nothing"),
        ({"classifier": Verdict(applies=True)}, True, [], ""),
    ],
)
def test_a_step_that_changes_nothing_in_silence_is_refused(
    said: dict[str, Verdict], promised: bool, remarks: list[str], reason: str
) -> None:
    promise = Promise(technique="idle", kind="weights_dtype", value="float32")

    class Idle(Technique):
        """Says what the case says."""

        name = "idle"
        params = _Nothing

        def promises(self, *_: object) -> list[Promise]:
            return [promise] if promised else []

        def remarks(self, *_: object) -> list[str]:
            return remarks

        def layers(self, *_: object) -> dict[str, Verdict]:
            return said

    with TECHNIQUES.collecting():
        TECHNIQUES.add("idle", Idle())
        found = objections(friendly(), Step("idle", _Nothing()), ())
    assert reason in (found[0].reason if found else "")
    assert bool(found) == bool(reason)
    assert all(objection.fix for objection in found)


def test_the_share_of_zeros_is_that_of_all_kernels_xnnpack_counts_the_classifier_among_them() -> (
    None
):
    assert sparse_path.share_of_zeros(friendly(), {"block2_pointwise": 0.9}) == pytest.approx(
        0.9 * 512 / (512 + 128 + 320)
    )


def test_a_dense_classifier_that_stays_dense_can_keep_the_sparse_path_shut() -> None:
    report = layer_report.recipe(
        friendly(), "sparse75", [step("prune", final=0.75, policy="xnnpack")]
    )
    arm = next(chance for chance in report.chances if chance.family == "arm")
    assert arm.word == "same"
    assert "50% zeros" in arm.reason


def test_what_an_earlier_step_made_is_said_to_be_kept_or_not() -> None:
    kept = layer_report.recipe(
        friendly(), "pc", [step("prune", final=0.5), step("cluster", preserve="sparsity")]
    )
    lost = layer_report.recipe(
        friendly(), "pc", [step("prune", final=0.5), step("cluster", preserve="none")]
    )
    column, broken = (
        {c.name: c for c in report.columns}[layer_report.PRESERVED] for report in (kept, lost)
    )
    assert column.verdicts["block1_pointwise"].applies
    assert not broken.verdicts["block1_pointwise"].applies
    assert "cluster" in broken.verdicts["block1_pointwise"].reason
    assert lost.refused


def test_what_is_preserved_is_said_without_asking_for_a_variant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = ROOT / "manifests/cifar10-cnn.yaml"
    resolved = Project(env={}).reader(need_data=False, refuse=False).read(path, "cifar10-cnn.yaml")
    good, bad = (
        layer_report.recipe(
            friendly(), name, [step("prune", final=0.5), step("cluster", preserve=name)]
        )
        for name in ("sparsity", "none")
    )
    view.show(
        "cifar10-cnn.yaml",
        resolved,
        friendly(),
        layer_report.offer(friendly()),
        [good, bad],
        here=Here("arm"),
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "sparsity: preserved in 4 of 4 layers" in said
    assert (
        "none: preserved in 0 of 4 layers; stem_conv: cluster trains on and moves the sparsity →"
        " set preserve: sparsity" in said
    )


def _behind(name: str, adjust: Callable[[Net], object]) -> Graph:
    net = Net(name, (32, 32, 3))
    net.zero_pad(1)
    net.conv(8, 3, 2)
    net.batch_norm()
    net.relu()
    adjust(net)
    net.conv(16, 1)
    net.global_pool(keepdims=True)
    net.flatten()
    net.dense(10)
    return net.graph()


@pytest.mark.parametrize(
    ("adjust", "why"),
    [
        (lambda net: net.batch_norm(), "cannot be folded"),
        (lambda net: net.relu(max_value=4), "clipped at 4"),
    ],
)
def test_what_xnnpack_refuses_although_the_policy_lets_it_pass_is_told(
    adjust: Callable[[Net], object], why: str
) -> None:
    assert not sparse_path.objections(_behind("plain", lambda net: net.relu(max_value=6)))
    [found] = sparse_path.objections(_behind("odd", adjust))
    assert why in found.reason


def _squeezed(*, loose: bool) -> Graph:
    net = Net("squeezed", (16, 16, 3))
    net.zero_pad(1, name="pad")
    net.conv(8, 3, 2, name="stem")
    entered = net.conv(32, name="enter")
    net.global_pool(name="squeeze")
    net.conv(32, name="excite")
    net.multiply(entered, net.last, name="weigh")
    net.conv(32, name="last")
    net.global_pool(name="pool")
    net.conv(4, name="classifier")
    net.reshape((4,), name="logits") if loose else net.global_pool(keepdims=False, name="logits")
    return net.graph()


def test_a_pooling_inside_ends_nothing() -> None:
    said = sparse_path.verdicts(_squeezed(loose=False))
    assert {name for name, verdict in said.items() if verdict.applies} == {
        "enter",
        "excite",
        "last",
        "classifier",
    }
    full = sparse_path.verdicts(NETWORKS.get("mobilenet_v3")(minimalistic=False))
    assert not [
        name for name, verdict in full.items() if "behind the last global pooling" in verdict.reason
    ]


def test_a_gain_that_the_file_would_deny_is_not_said_and_the_plan_says_why() -> None:
    sparse = [step("prune", policy="xnnpack", final=0.8)]
    good, bad = (
        layer_report.recipe(_squeezed(loose=loose), "sparse", sparse) for loose in (False, True)
    )
    assert words(good) == {"avx512-vnni": "same", "avx2": "same", "arm": "faster", "wasm": "faster"}
    assert set(words(bad).values()) == {"same"}
    assert good.columns[0].remarks == ()
    [remark] = bad.columns[0].remarks
    assert "classifier: it works on pooled images" in remark
    assert "GlobalAveragePooling2D(keepdims=False) in the place of logits" in remark


@pytest.mark.parametrize(
    ("final", "after", "promised"),
    [
        (0.8, [], True),
        (0.5, [], False),
        (0.8, [step("quantize", dtype="float16")], True),
        (0.8, [step("quantize", dtype="float16", sparse_encoding="never")], False),
        (0.8, [step("quantize", dtype="int8")], False),
        (0.8, [step("cluster"), step("quantize", dtype="float16")], True),
    ],
)
def test_a_sparse_file_is_promised_exactly_where_it_is_predicted(
    final: float, after: list[Step], *, promised: bool
) -> None:
    graph, steps = _squeezed(loose=False), [step("prune", policy="xnnpack", final=final), *after]
    found = TECHNIQUES.get("prune").promises(graph, steps[0].params, steps)
    assert ("xnnpack_sparse_on" in [promise.kind for promise in found]) == promised


@pytest.mark.golden
def test_the_text_for_one_manifest(
    golden: Callable[[Path, str], None], capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    path = ROOT / "manifests/cifar10-cnn.yaml"
    resolved = (
        Project(env={})
        .reader(need_data=False, refuse=False)
        .read(path, "manifests/cifar10-cnn.yaml")
    )
    graph = resolved.found.graph
    assert graph is not None
    names = ["int8", "sparse75", "sparse75-int8", "clustered16"]
    recipes = [layer_report.recipe(graph, name, resolved.recipes[name]) for name in names]
    shown = "manifests/cifar10-cnn.yaml"
    view.show(shown, resolved, graph, layer_report.offer(graph), recipes, here=Here("avx2"))
    view.show(shown, resolved, graph, None, recipes[2:3], here=Here("arm"))
    text = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert max(map(len, text.splitlines())) <= 100
    golden(ROOT / "tests/golden/preflight.txt", text + "\n")


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; from zoo_client.cli import run\n"
        "code = run(['preflight', 'manifests/digits-cnn.yaml', '--json'])\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip().endswith("[] 0")
    assert json.loads(done.stdout)["manifests"][0]["graph_known"] is True


HOSTILE = {
    "unknown key": ("variants:", "variant:"),
    "unknown technique": ("quantize: {dtype: float16}", "quantise: {dtype: float16}"),
    "network that does not run": ("network: digits_cnn", "network: ./broken.py"),
    "file that is no model": ("network: digits_cnn", "network: ./empty.keras"),
    "argument of the wrong kind": ("width: 8", "width: -8"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_manifest_with_mistakes_is_refused_with_a_hint(what: str, zoo: Any) -> None:
    path = zoo.folder / "manifests/tiny.yaml"
    path.write_text(path.read_text().replace(*HOSTILE[what]))
    zoo.write("manifests/broken.py", "raise RuntimeError('no')\n")
    zoo.write("manifests/empty.keras", "")
    done = zoo("preflight", "manifests/tiny.yaml")
    assert done.returncode == 2, done.stdout
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recipe_that_cannot_be_built_is_shown_whole_and_is_a_no(zoo: Any) -> None:
    path = zoo.folder / "manifests/tiny.yaml"
    path.write_text(
        path.read_text().replace(
            "sparse:\n    - prune: {final: 0.5, epochs: 1}",
            "sparse:\n    - prune: {policy: xnnpack}",
        )
    )
    done = zoo("preflight", "manifests/tiny.yaml", "--variant", "sparse", "--json")
    assert done.returncode == 1, done.stderr
    [report] = json.loads(done.stdout)["manifests"][0]["variants"]
    assert [entry["layer"] for entry in report["refused"]] == ["stem_conv"]
    planned = zoo("plan", "manifests/tiny.yaml")
    assert planned.returncode == 2
    assert "stem_conv" in planned.stderr
    assert "zoo preflight" in planned.stderr


def test_plan_says_in_a_line_what_is_left_alone_and_where_to_read_more(zoo: Any) -> None:
    done = zoo("plan", "manifests/tiny.yaml", "--no-benchmark")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"prune changes \d of \d layers.*zoo preflight manifests/tiny.yaml --variant sparse",
        " ".join(done.stdout.split()),
    )


def test_a_network_nobody_can_read_before_the_build_is_said_to_be_one(zoo: Any) -> None:
    zoo.write("manifests/late.py", "import tensorflow\ndef late():\n    return None\n")
    path = zoo.folder / "manifests/tiny.yaml"
    path.write_text(
        path.read_text().replace("network: digits_cnn\n  args: {width: 8}", "network: ./late.py")
    )
    done = zoo("preflight", "manifests/tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "known only when it is built" in " ".join(done.stdout.split())


def test_an_unknown_variant_is_refused_with_the_nearest(zoo: Any) -> None:
    done = zoo("preflight", "manifests/tiny.yaml", "--variant", "sparze")
    assert done.returncode == 2
    assert "did you mean 'sparse" in done.stderr


def _advice() -> list[tuple[str, str]]:
    """Every fix that any technique gives on any network that ships.

    In recipes that go wrong in different ways.
    """
    found: set[tuple[str, str]] = set()
    graphs = [NETWORKS.get(name)() for name in ("cifar10_cnn", "digits_cnn", "mobilenet_v2")]
    graphs += [Graph("nothing", graphs[0].nodes[:1]), _behind("odd", lambda net: net.batch_norm())]
    befores: Sequence[Sequence[Step]] = [(), *((step(name),) for name in TECHNIQUES.names())]
    for name in TECHNIQUES.names():
        technique = TECHNIQUES.get(name)
        for graph in graphs:
            for before in befores:
                said = technique.layers(graph, technique.params(), before).values()
                found |= {(name, verdict.fix) for verdict in said if verdict.fix}
                found |= {
                    (name, objection.fix)
                    for objection in technique.check(graph, technique.params(), before)
                }
    return sorted(found)


def test_every_fix_names_parameters_that_exist() -> None:
    known = {
        field for name in TECHNIQUES.names() for field in TECHNIQUES.get(name).params.model_fields
    }
    known |= set(TECHNIQUES.names()) | {"name", "type", "position"}
    advice = _advice()
    assert advice
    for technique, fix in advice:
        said = fix.removeprefix(verdicts.NOTHING)
        keys = set(re.findall(r"\b([a-z_]+): (?=[\w\[{-])(?![a-z_]+: )", said))
        assert keys <= known, f"{technique}: {fix!r} names {sorted(keys - known)}"
