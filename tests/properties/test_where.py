"""The catalogue's SQL says what the pure words say: same releases, same order, page by page."""

import string
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zoo_registry.catalogue import Catalogue
from zoo_registry.catalogue.schema import version_order
from zoo_registry.catalogue.where import PageEnd, cursor, read_cursor
from zoo_registry.model.compare import compared, front, ordered
from zoo_registry.model.dataset import DataSet, Score
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.evaluate import current, fitting
from zoo_registry.model.query import SORTS, Query
from zoo_registry.model.ref import parse_version
from zoo_registry.model.summary import Summary, Timing, settle

SHA = Digest.of(b"")
DEVICES = ("host-cpu", "web-wasm")
TASKS = ("image-classification", "keyword-spotting")
WORDS = ("Small", "straße", "100%", "a_b", "x\\y", "İx", "sparse")
VERSIONS = ("1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "2.0.0-rc.10", "2.0.0-alpha", "0.9.9")
few = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.5])

PLATFORMS = (
    "host-cpu/x86-64-avx2/amd-epyc",
    "host-cpu/x86-64-avx512-vnni/amd-epyc",
    "host-cpu/x86-64-avx2",
)

timing = st.builds(
    Timing,
    device=st.sampled_from(DEVICES),
    threads=st.sampled_from([1, 4]),
    median_ms=few,
    p95_ms=few,
    ratio=few,
    ratio_ci95=st.just((0.5, 1.5)),
    verdict=st.just("faster"),
    noisy=st.booleans(),
    sparse_path=st.just("none"),
    baseline_sha256=st.sampled_from(["", SHA]),
    aa_ratio=st.sampled_from([1.0, 1.09]),
    platform=st.sampled_from(PLATFORMS),
)

summary = st.builds(
    Summary,
    name=st.sampled_from(["aa-int8", "aa-fp32", "b.b-int8", "a-a-int8"]),
    version=st.sampled_from(VERSIONS),
    model=st.sampled_from(["aa", "b.b", "a-a"]),
    variant=st.just("int8"),
    task=st.sampled_from(TASKS),
    license=st.sampled_from(["Apache-2.0", "mit"]),
    description=st.lists(st.sampled_from(WORDS), max_size=2).map(" ".join),
    techniques=st.lists(st.sampled_from(["prune", "quantize"]), max_size=2).map(tuple),
    dataset=st.just("digits"),
    file_sha256=st.just(SHA),
    record_sha256=st.just(SHA),
    size=st.sampled_from([10, 20, 30]),
    size_gzip=st.sampled_from([5, 6]),
    parameters=st.just(1),
    macs=st.just(1),
    sparsity=st.just(0.0),
    metrics=st.dictionaries(
        st.sampled_from(["top1", "top5"]), st.sampled_from([0.25, 0.5, 1.0]), max_size=2
    ),
    timings=st.lists(timing, max_size=3).map(tuple),
    published=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    yanked=st.booleans(),
)
DATASETS = (
    DataSet(name="Digits", sha256="ab" * 32, split="test", examples=360, labels="digits"),
    DataSet(name="Digits", sha256="ac" * 32, split="test", examples=360, labels="digits"),
    DataSet(name="digits", sha256="ab" * 32, split="Val_%", examples=9, labels="digits"),
    DataSet(name="imagenet", sha256="cd" * 32, split="test", examples=9, labels="imagenet-1k"),
    DataSet(name="a:b", labels="x"),
)
score = st.builds(
    Score,
    metric=st.sampled_from(["top1", "top5"]),
    value=st.sampled_from([0.25, 0.5, 1.0]),
    dataset=st.sampled_from(DATASETS),
)


def scored(item: Summary, scores: list[Score], labels: str) -> Summary:
    """An older summary, or one with data sets."""
    if not scores:
        return item
    metrics = {one.metric: one.value for one in reversed(scores)}
    return item.model_copy(update={"metrics": metrics, "scores": tuple(scores), "labels": labels})


summary = st.builds(
    scored, summary, st.lists(score, max_size=3), st.sampled_from(["", "digits", "imagenet-1k"])
)
summaries = st.lists(summary, max_size=9, unique_by=lambda item: (item.name, item.version))


def maybe(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | values


query = st.builds(
    Query,
    q=st.lists(
        st.sampled_from(["small", "STRASSE", "100%", "a_", "x\\", "İ", "int8", "%"]), max_size=2
    ).map(" ".join),
    task=maybe(st.sampled_from(TASKS)),
    model=maybe(st.sampled_from(["aa", "zz"])),
    technique=maybe(st.sampled_from(["none", "prune", "quantize", "x"])),
    license=maybe(st.sampled_from(["APACHE-2.0", "mit"])),
    dataset=maybe(
        st.sampled_from(
            [
                "digits",
                "DIGITS:test",
                "digits#abab",
                "digits:val_%",
                "imagenet#cd",
                "a:b",
                "a",
                "x#_",
            ]
        )
    ),
    labels=maybe(st.sampled_from(["digits", "ImageNet-1k", "x"])),
    device=maybe(st.sampled_from(DEVICES)),
    platform=maybe(
        st.sampled_from([*PLATFORMS, "host-cpu", "host-cpu/x86-64-avx", "HOST-CPU/X86-64-AVX2/"])
    ),
    threads=maybe(st.sampled_from([1, 4])),
    max_latency_ms=maybe(few),
    max_ratio=maybe(few),
    max_size=maybe(st.sampled_from([0, 20])),
    max_size_gzip=maybe(st.just(5)),
    min_metrics=st.dictionaries(
        st.sampled_from(["top1", "top5", "top9"]), st.sampled_from([0.0, 0.5]), max_size=1
    ),
    all_versions=st.booleans(),
    yanked=st.booleans(),
    pareto=st.booleans(),
    sort=st.sampled_from([*SORTS, *(f"-{name}" for name in SORTS), "top1", "-top1"]),
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with Catalogue(str(tmp_path_factory.mktemp("catalogue") / "zoo.db")) as opened:
        yield opened


def answer(asked: Query, items: list[Summary]) -> list[Summary]:
    """What the pure words answer."""
    found = fitting(asked, current(asked, items))
    return front(asked, found) if asked.pareto else found


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(items=summaries, asked=query)
def test_sql_finds_what_the_words_mean(
    catalogue: Catalogue, items: list[Summary], asked: Query
) -> None:
    catalogue.rebuild(lambda: items)
    items = list(settle(items))
    expected = answer(asked, items)
    try:
        wanted = ordered(asked, expected)
    except InvalidQuery:  # a metric that none of them has
        asked = asked.model_copy(update={"sort": "name"})
        wanted = ordered(asked, expected)
    items_found, after = catalogue.page(asked, limit=100)
    assert list(items_found) == wanted
    assert after is None
    assert catalogue.compared(asked) == compared(asked, fitting(asked, current(asked, items)))
    assert {(i.name, i.version) for i in catalogue.candidates(asked)} == {
        (i.name, i.version) for i in current(asked, items) if asked.facets_match(i)
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(items=summaries, asked=query, step=st.integers(1, 4))
def test_pages_put_together_are_the_whole(
    catalogue: Catalogue, items: list[Summary], asked: Query, step: int
) -> None:
    catalogue.rebuild(lambda: items)
    asked = asked.model_copy(
        update={
            "sort": (
                asked.sort if "top1" not in asked.sort or "top1" in catalogue.metrics() else "name"
            )
        }
    )
    whole, _ = catalogue.page(asked, limit=100)
    pieces: list[Summary] = []
    after: str | None = None
    while True:
        found, after = catalogue.page(asked, limit=step, cursor=after)
        pieces += found
        if after is None:
            break
        assert len(found) == step
    assert tuple(pieces) == whole


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60), data=st.data())
def test_a_tampered_cursor_is_refused(text: str, data: st.DataObject) -> None:
    asked = Query(task="image-classification")
    good = cursor(asked, PageEnd("", 1.5, "aa-int8", "x"))
    assert read_cursor(asked, good) == PageEnd("", 1.5, "aa-int8", "x")
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + data.draw(st.sampled_from(string.ascii_letters)) + good[at + 1 :]
    for attempt in (text, changed, good[:at], good + "="):
        if attempt != good:
            with pytest.raises(InvalidQuery, match="cursor"):
                read_cursor(asked, attempt)
    with pytest.raises(InvalidQuery, match="cursor"):
        read_cursor(Query(task="keyword-spotting"), good)


identifier = st.from_regex(r"(0|[1-9][0-9]{0,3}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]{0,3})", fullmatch=True)
version = st.builds(
    lambda core, pre: ".".join(map(str, core)) + (f"-{'.'.join(pre)}" if pre else ""),
    st.tuples(*[st.integers(0, 10**9)] * 3) | st.just((1, 0, 0)),
    st.lists(identifier, max_size=3),
)


@settings(max_examples=500)
@given(a=version, b=version)
@example(a="1.0.0-a.b", b="1.0.0-a-b")
@example(a="1.0.0-9", b="1.0.0-10")
@example(a="1.0.0-9", b="1.0.0-a")
@example(a="1.0.0-a", b="1.0.0-a.0")
@example(a="1.0.0", b="1.0.0-z")
def test_version_order_is_precedence(a: str, b: str) -> None:
    assert (version_order(a) < version_order(b)) == (parse_version(a) < parse_version(b))
