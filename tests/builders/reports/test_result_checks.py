"""The list of what held is computed.

It says held, not held or a tie as the records and the published numbers have it.
"""

from collections.abc import Mapping
from typing import Any

from plugins.records import blob, make, measured
from zoo_builders.reports import result_checks
from zoo_builders.reports.published_results import Table
from zoo_builders.reports.result_checks import Claim
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record

TABLE = Table.model_validate(
    {
        "title": "A net",
        "beside": ["digits-cnn"],
        "source": "A paper",
        "url": "https://example.org",
        "data": "Theirs",
        "metric": "top-1",
        "reference": {"quality": 0.9},
        "rows": [
            {"what": "pruned", "ours": "sparse-int8", "quality": 0.86, "packed": 200},
            {"what": "PQAT", "ours": "pqat", "quality": 0.88, "packed": 100},
        ],
    }
)
MAX_DROP = "top1 max_drop 0.01 versus fp32"


def one(
    variant: str, top1: float, half: float = 0.001, packed: int = 100, **changes: Any
) -> Record:
    record = make(variant=variant, top1=top1, **changes)
    metrics = tuple(
        metric.model_copy(update={"ci95": (top1 - half, top1 + half)}) for metric in record.metrics
    )
    return record.model_copy(
        update={"metrics": metrics, "file": record.file.model_copy(update={"size_gzip": packed})}
    )


def about(records: list[Record], words: str) -> Claim:
    (found,) = [
        claim
        for claim in result_checks.judged([TABLE], "digits-cnn", records)
        if words in claim.text
    ]
    return found


def goal(value: float, *, met: bool) -> list[Mapping[str, Any]]:
    return [{"goal": MAX_DROP, "limit": 0.01, "value": value, "met": met}]


def test_a_goal_says_who_missed_it_and_what_the_examples_leave_open() -> None:
    base = one("fp32", 0.97, goals=goal(0.0, met=True))
    kept = about([base, one("int8", 0.965, 0.02, goals=goal(0.005, met=True))], MAX_DROP)
    assert kept.verdict == "held"
    assert "met by 2 of 2 variants; nearest to the limit: int8 0.005" in kept.text
    assert (
        "(360 examples, one is 0.28 points; the 95 % interval of int8 reaches beyond the limit)"
        in kept.text
    )
    some = about([one("fp32", 0.97), one("int8", 0.965, goals=goal(0.005, met=True))], MAX_DROP)
    assert "met by 1 of 1 variants it is set for (2 in all)" in some.text
    assert about([one("fp32", 0.97)], "no goals").verdict == "not set"
    lost = about([base, one("int8", 0.95, goals=goal(0.02, met=False))], MAX_DROP)
    assert (lost.verdict, "missed by 1: int8 0.02" in lost.text) == ("not held", True)


def test_a_published_order_is_held_only_where_the_examples_can_tell() -> None:
    base = one("fp32", 0.97)
    words = "change of top-1"
    clear = about([base, one("pqat", 0.96), one("sparse-int8", 0.93)], words)
    assert clear.verdict == "held"
    assert "(PQAT -2.00 > pruned -4.00): ours pqat -1.00, sparse-int8 -4.00." in clear.text
    assert about([base, one("pqat", 0.93), one("sparse-int8", 0.96)], words).verdict == "not held"
    tie = about([base, one("pqat", 0.96, 0.05), one("sparse-int8", 0.93, 0.05)], words)
    assert tie.verdict == "a tie"
    assert (
        "not to be told apart, they lie in each other's 95 % intervals (360 examples, one is 0.28"
        " points)" in tie.text
    )


def test_the_order_of_sizes_is_that_of_the_published_bytes() -> None:
    base = one("fp32", 0.97, packed=1000)
    words = "packed size"
    assert (
        about(
            [base, one("pqat", 0.9, packed=300), one("sparse-int8", 0.9, packed=400)], words
        ).verdict
        == "held"
    )
    turned = about([base, one("pqat", 0.9, packed=440), one("sparse-int8", 0.9, packed=400)], words)
    assert turned.verdict == "not held"
    assert "pqat is 10.0% larger than sparse-int8" in turned.text


def sparse(*, zeros: float, path: str) -> Record:
    record = make(variant="sparse75")
    weight = {
        "name": "conv",
        "operator": "CONV_2D",
        "shape": (10, 1, 1, 10),
        "dtype": "float32",
        "sparsity": zeros,
        "distinct": 9,
        "distinct_per_channel": 9,
        "encoded_sparse": True,
    }
    proof = {
        "technique": "prune",
        "promise": "share of zeros at least",
        "tensor": "conv",
        "expected": "0.75",
        "found": "",
        "held": True,
    }
    xnnpack = {"predicted_sparse": True, "cpus": ("arm64", "wasm-simd"), "reason": "enough zeros"}
    structure = {
        **record.structure.model_dump(),
        "weights": (weight,),
        "densify": 1,
        "xnnpack": xnnpack,
    }
    timed = measured(
        Digest.of(blob("digits-cnn-sparse75@1.0.0")), device="web-wasm", sparse_path=path
    )
    recipe = [{"technique": "prune", "params": {"final": 0.75}}]
    return make(
        variant="sparse75", structure=structure, proofs=[proof], measurements=[timed], recipe=recipe
    )


def test_zeros_are_counted_over_all_pruned_weights_together() -> None:
    assert about([sparse(zeros=0.75, path="confirmed")], "in aggregate").text.endswith(
        "75 of 100 = 75.00%, aimed at 75%."
    )
    assert about([sparse(zeros=0.75, path="confirmed")], "in aggregate").verdict == "held"
    assert about([sparse(zeros=0.5, path="confirmed")], "in aggregate").verdict == "not held"


def test_the_sparse_prediction_is_held_against_the_devices_that_measured() -> None:
    for path, verdict in (
        ("confirmed", "held"),
        ("contradicted", "not held"),
        ("predicted", "not measured"),
    ):
        found = about([sparse(zeros=0.75, path=path)], "predicted on")
        assert found.verdict == verdict
        assert "arm64, wasm-simd and on no other (enough zeros)" in found.text
        assert f"`web-wasm` {path}" in found.text


def test_the_promises_of_recipes_are_counted() -> None:
    assert (
        "1 of 1 promises"
        in about([sparse(zeros=0.75, path="confirmed")], "what recipes promise").text
    )
    assert result_checks.page([]) == []
    assert "- **a tie**: so" in result_checks.page([Claim("a tie", "so")])
