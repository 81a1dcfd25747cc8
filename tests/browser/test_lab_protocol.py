"""The visitor's lab computes what the builders compute.

The same numbers from the same data, in a real browser.
"""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from plugins.family import family, summaries
from zoo_builders.lab import protocol
from zoo_registry.model import formatting
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.evaluate import pareto
from zoo_registry.model.ranking import Placing, marks
from zoo_registry.model.record import Measurement, Ratio
from zoo_registry.model.submitted import accept
from zoo_registry.model.timing import Timing
from zoo_registry.web import charts, render
from zoo_registry.web.scales import fit, tick_text

pytestmark = pytest.mark.browser

NORMAL = """
(svg) => {
  const walk = (node) => node.nodeType === Node.TEXT_NODE ? node.data
    : [node.localName, [...node.attributes].map((a) => [a.name, a.value]).sort(), [...node.childNodes].map(walk)];
  return walk(typeof svg === "string" ? new DOMParser().parseFromString(svg, "text/html").body.firstElementChild : svg);
}
"""


class Module:
    """Calls functions of a module of the lab."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def __call__(self, module: str, body: str, given: Any = None) -> Any:
        """Give what the body, a JavaScript expression over `m` (the module) and `given`.

        Comes to.
        """
        address = render.lab_address(f"{module}.js")
        script = (
            f"async ([address, given]) => {{ const m = await import(address); return ({body}); }}"
        )
        return self.page.evaluate(script, [address, given])


@pytest.fixture(scope="module")
def js(chromium: Browser, address: str) -> Iterator[Module]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{address}/docs")
    yield Module(page)
    context.close()


def session(
    seed: int, *, rounds: int, runs: int, ms: float, outliers: float = 0.1
) -> list[list[float]]:
    """Draw times as machines give them: a floor, a skewed tail, rounds that drift."""
    drawn = random.Random(seed)

    def one(drift: float) -> float:
        disturbed = drawn.random() < outliers
        return (
            ms
            * 1e-3
            * drift
            * drawn.lognormvariate(0, 0.03)
            * (drawn.uniform(1.5, 6) if disturbed else 1)
        )

    return [[one(drawn.uniform(0.97, 1.03)) for _ in range(runs)] for _ in range(rounds)]


SESSIONS = [
    (
        session(seed, rounds=rounds, runs=runs, ms=ms),
        session(seed + 1000, rounds=rounds, runs=runs, ms=3.0, outliers=share),
    )
    for seed, (rounds, runs, ms, share) in enumerate(
        [
            (5, 50, 3.0, 0.1),
            (5, 50, 1.2, 0.4),
            (5, 10, 40.0, 0.0),
            (3, 7, 0.02, 0.2),
            (1, 2, 5.0, 0.0),
            (2, 1, 5.0, 0.0),
            (5, 33, 3.1, 0.9),
        ]
    )
]


def test_it_goes_by_the_same_name_and_limits(js: Module) -> None:
    names = ("NAME", "BLOCKS", "RESAMPLES", "UNDISTURBED", "LEAST_FLOOR")
    assert js("protocol", "given.map((name) => m[name])", names) == [
        getattr(protocol, name) for name in names
    ]
    limits = js("protocol", "m.LIMITS")
    assert {name: limits[name] for name in ("aa", "spread", "drift")} == {
        name: getattr(protocol.Limits(), name) for name in ("aa", "spread", "drift")
    }


def test_equal_times_give_equal_statistics(js: Module) -> None:
    found = js(
        "protocol", "given.map((pair) => [m.summarize(pair[0]), m.ratio(...pair).value])", SESSIONS
    )
    for (ours, base), (summary, value) in zip(SESSIONS, found, strict=True):
        assert summary == pytest.approx(protocol.summarize(ours).model_dump(), rel=1e-9, abs=1e-9)
        assert value == pytest.approx(protocol.ratio(ours, base).value, rel=1e-9)


def test_intervals_agree_within_what_resampling_leaves_open(js: Module) -> None:
    """The bounds of two bootstraps of one and the same data differ by what the drawn resamples
    leave open.
    """
    found = js(
        "protocol",
        "given.map((pair) => [0, 1, 2, 3].map((seed) => m.ratio(...pair, seed).ci95))",
        SESSIONS[:4],
    )
    for (ours, base), theirs in zip(SESSIONS, found, strict=False):
        mine = [protocol.ratio(ours, base, seed=seed).ci95 for seed in range(4)]
        for end in (0, 1):
            bounds, others = [ci[end] for ci in mine], [ci[end] for ci in theirs]
            width = max(ci[1] - ci[0] for ci in mine)
            assert sum(others) / 4 == pytest.approx(sum(bounds) / 4, abs=0.12 * width)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another(js: Module) -> None:
    one, same, other = js(
        "protocol", "[1, 1, 2].map((seed) => m.ratio(...given, seed).ci95)", SESSIONS[0]
    )
    assert one == same != other


def test_verdicts_floors_and_noise_are_the_same(js: Module) -> None:
    ratios = [
        {"value": v, "ci95": [v * 0.97, v * 1.03]} for v in (0.4, 0.93, 0.96, 1.0, 1.02, 1.06, 2.5)
    ]
    found = js(
        "protocol",
        "given.map((r) => given.map((aa) => [m.verdict(r, aa), m.noiseFloor(aa)]))",
        ratios,
    )
    known = [Ratio.model_validate(ratio) for ratio in ratios]
    assert found == [
        [[protocol.verdict(r, aa), protocol.noise_floor(aa)] for aa in known] for r in known
    ]
    body = (
        "given[1].map((pair) => given[0].map((aa) => m.noise({candidate: pair[0], baseline:"
        " pair[1], hidden: 0}, aa)))"
    )
    causes = js("protocol", body, [ratios, SESSIONS])
    expected = [
        [list(protocol.noise(protocol.Session(*pair), aa)) for aa in known] for pair in SESSIONS
    ]
    assert causes == expected
    assert any(expected[1]), "one of the sessions is noisy"


def test_a_hidden_page_is_a_cause_of_noise(js: Module) -> None:
    quiet = [[0.001] * 5] * 5
    body = "m.noise({candidate: given, baseline: given, hidden: 3.21}, {value: 1})"
    assert js("protocol", body, quiet) == ["hidden: the page was out of sight for 3.2 s"]


def test_every_contender_runs_as_often_in_each_round_and_the_order_is_drawn(js: Module) -> None:
    for runs in (1, 4, 50, 53):
        planned = js("protocol", "m.turns(['a', 'b', 'c'], given, 'seed')", runs)
        counts = {
            name: sum(turn["count"] for turn in planned if turn["contender"] == name)
            for name in "abc"
        }
        assert counts == dict.fromkeys("abc", runs)
        assert len(planned) == len(protocol.turns("abc", runs=runs, seed=1))
    orders = js(
        "protocol",
        "Array.from({length: 600}, (_, seed) => m.loadingOrder(['a', 'b', 'c'], seed).join(''))",
    )
    assert {order: round(orders.count(order) / 600, 1) for order in set(orders)} == dict.fromkeys(
        ["abc", "acb", "bac", "bca", "cab", "cba"], 0.2
    )


def test_warming_up_ends_by_the_same_rule(js: Module) -> None:
    series: list[list[float]] = [
        [3, 2, 1, 1, 1, 1],
        [5, 5, 1, 1],
        [1.0, 1.04, 1.0, 1.04],
        [1],
        [],
        [1, 1, 1.2, 1.2],
    ]
    assert js("protocol", "given.map((times) => m.steady(times, 2))", series) == [
        protocol.steady(times, window=2) for times in series
    ]


def test_numbers_are_spelled_as_on_the_rest_of_the_page(js: Module) -> None:
    values = [
        0,
        1e-4,
        0.0123456,
        0.0999,
        0.1,
        0.41321,
        1,
        9.994,
        9.996,
        99.95,
        999.4,
        999.6,
        12345.678,
        13_900_000,
        4.2e9,
    ]
    spell = (
        "given.map((v) => [m.size(Math.round(v)), m.significant(v), m.ratio(v), m.metric('top1',"
        " v), m.metric('wer', v)])"
    )
    assert js("formatting", spell, values) == [
        [
            formatting.size(round(v)),
            formatting.significant(v),
            formatting.ratio(v),
            formatting.metric("top1", v),
            formatting.metric("wer", v),
        ]
        for v in values
    ]
    names = ["top1", "top5", "topics", "worst_recall", "wer"]
    assert js("formatting", "given.map((n) => [m.metricName(n), m.isShare(n)])", names) == [
        [formatting.metric_name(n), formatting.is_share(n)] for n in names
    ]


def test_scales_and_ticks_are_those_of_the_server(js: Module) -> None:
    drawn = random.Random(4)
    series = [
        [10 ** drawn.uniform(-4, 4) for _ in range(drawn.randint(1, 6))] for _ in range(40)
    ] + [[0.0], [-3.0, 2.0], [5.0, 5.0]]
    body = """given.map((values) => [true, false].map((log) => {
      const scale = m.fit(values, 46, 668, log);
      return [[scale.low, scale.high, scale.log], m.ticks(scale, 7), m.ticks(scale, 7).map(m.tickText), values.map((v) => m.at(scale, v))];
    }))"""
    for values, found in zip(series, js("scales", body, series), strict=True):
        for may_log, (ends, ticks, texts, at) in zip((True, False), found, strict=True):
            scale = fit(values, 46, 668, may_log=may_log)
            assert ends == [pytest.approx(scale.low), pytest.approx(scale.high), scale.log]
            assert ticks == pytest.approx(scale.ticks(7))
            assert texts == [tick_text(tick) for tick in scale.ticks(7)]
            assert at == pytest.approx([scale.at(value) for value in values])


PARTS = ("x", "y", "label", "note", "href", "kind", "bar", "across", "leads")


def timed(drawn: random.Random, name: str, baseline: str) -> Timing:
    """Draw a timing: quiet or noisy, near others or far."""
    ratio = drawn.choice([0.5, 0.51, 0.8, 1.0, 1.02]) * drawn.uniform(0.99, 1.01)
    half = drawn.choice([0.001, 0.02])
    return Timing(
        device="web-wasm",
        threads=1,
        median_ms=2 * ratio,
        p95_ms=3 * ratio,
        ratio=ratio,
        ratio_ci95=(ratio * (1 - half), ratio * (1 + half)),
        verdict="within noise",
        noisy=drawn.random() < 0.2,
        sparse_path="none",
        platform="web-wasm/x/y",
        baseline_sha256=baseline,
        aa_ratio=drawn.choice([0.95, 1.0, 1.04]),
        host_cpu=name,
    )


def test_files_are_ranked_as_the_server_ranks_them(js: Module) -> None:
    drawn = random.Random(11)
    item = summaries(family())[0]
    for _ in range(30):
        placed = [
            Placing(
                item.model_copy(update={"size_gzip": drawn.choice([10, 20])}),
                one.median_ms,
                drawn.choice([0.8, 0.9]),
                one,
            )
            for one in (timed(drawn, str(n), drawn.choice("ab")) for n in range(7))
        ]
        given = [
            {
                "y": one.y,
                "size": one.item.size_gzip,
                "timing": {
                    "ms": one.timing.median_ms,
                    "ratio": one.timing.ratio,
                    "ci95": one.timing.ratio_ci95,
                    "aa": one.timing.aa_ratio,
                    "noisy": one.timing.noisy,
                    "baseline": one.timing.baseline_sha256,
                },
            }
            for one in placed
            if one.timing
        ]
        assert js("ranking", "m.marks(given)", given) == list(marks(placed))
        ends = "given.map(({ timing }) => m.placed(timing, null).interval)"
        for found, one in zip(js("ranking", ends, given), placed, strict=True):
            assert one.timing
            assert found == pytest.approx(one.timing.ms_ci95)


def test_nothing_is_the_best_where_all_is_noise(js: Module) -> None:
    quiet = {"ms": 1, "ratio": 0.5, "ci95": [0.49, 0.51], "aa": 1.0, "noisy": False, "baseline": ""}
    loud = {**quiet, "ms": 0.1, "noisy": True}
    rows = [{"timing": loud, "size": 1}, {"timing": quiet, "size": 9}, {"timing": quiet, "size": 5}]
    found = js("ranking", "[m.fastest(given), m.fastest(given.slice(0, 1))]", rows)
    assert (found[0]["chosen"]["size"], len(found[0]["alike"]), found[1]) == (5, 1, None)
    choose = """m.choose({metric: "top1", metric_name: "top-1"}, given.map((noisy, n) => ({
      entry: {name: `f${n}`, float: n === 0, metric: 0.9, size: n, model: "m"},
      measured: {verdict: n ? "faster" : "baseline", ratio: {value: 0.5, ci95: [0.49, 0.51]},
                 aa_ratio: {value: 1}, noisy, latency_ms: {median: 1}}})))"""
    best = js("results", choose, [True, True])
    assert (best["row"], best["float"]["entry"]["name"]) == (None, "f0")
    assert js("results", choose, [False, False])["row"]["entry"]["name"] == "f1"
    assert js("results", choose, [False, True])["row"]["entry"]["name"] == "f0"


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_chart_is_drawn_as_the_server_draws_it(js: Module, count: int) -> None:
    drawn = random.Random(count)
    spots = [(drawn.uniform(0.01, 3), drawn.uniform(0.3, 0.5)) for _ in range(count)]
    front = pareto(spots)
    assert js("chart", "m.onFront(given)", [{"x": x, "y": y} for x, y in spots]) == list(front)
    dots = [
        charts.Dot(
            x,
            y,
            f"variant{i}",
            f"<b> {i}",
            f"/artifacts/{i}",
            "chosen" if i == 0 else "front" if on else "beaten",
            (y - 0.01, y + 0.01),
            (x * 0.9, x * 1.2) if i % 3 else None,
            leads=on,
        )
        for i, ((x, y), on) in enumerate(zip(spots, front, strict=True))
    ]
    server = charts.scatter(
        dots,
        charts.Axis("ms", may_log=True),
        charts.Axis("top-1, %", factor=100),
        charts.Frame(420, 300, "f"),
    )
    given = [{name: getattr(dot, name) for name in PARTS} for dot in dots]
    body = (
        "[m.scatter(given[0], {title: 'ms', mayLog: true}, {title: 'top-1, %', factor: 100},"
        f" given[1]), given[2]].map({NORMAL})"
    )
    ours, theirs = js(
        "chart", body, [given, {"width": 420, "height": 300, "ident": "f"}, str(server)]
    )
    assert ours == theirs


def test_digests_are_digests_with_and_without_the_browsers_help(js: Module) -> None:
    sizes = [0, 1, 55, 56, 63, 64, 65, 1000]
    hexed = "Array.from(m.plain(bytes), (b) => b.toString(16).padStart(2, '0')).join('')"
    body = (
        "Promise.all(given.map(async (n) => { const bytes = new Uint8Array(n).fill(n); return"
        f" [await m.sha256(bytes), {hexed}]; }}))"
    )
    expected = [sha256(bytes([n % 256]) * n).hexdigest() for n in sizes]
    assert js("digest", f"await {body}", sizes) == [[digest, digest] for digest in expected]


def test_plain_data_is_spelled_and_hashed_canonically(js: Module) -> None:
    value = {"b": [1, 2.5, 1e-7, 1e21, "é\n\u2028"], "a": {"z": True, "A": None}, "": -0.5}
    assert js("digest", "await m.digestOf(given)", value) == digest_of(value)


def test_what_is_submitted_is_a_measurement(js: Module) -> None:
    digest, ratio = digest_of("file"), {"value": 0.5, "ci95": [0.4, 0.6]}
    given = {
        "browser": {
            "arch": "wasm",
            "browser": "Google Chrome",
            "browser_version": "140",
            "os": "Android",
            "cores": 8,
            "features": ["simd"],
        },
        "measured": {
            "latency_ms": dict.fromkeys(
                ("median", "mean", "p5", "p95", "p99", "min", "max", "std"), 1
            ),
            "ratio": ratio,
            "aa_ratio": ratio,
            "verdict": "faster",
            "noisy": False,
            "noise_causes": [],
            "runs": 50,
            "rounds": 5,
            "warmup": 5,
            "init_ms": 1,
            "first_ms": 0,
            "peak_memory_mb": 1,
            "ready": {
                "delegate": "XNNPACK",
                "nodes_delegated": 0,
                "nodes_total": 0,
                "partitions": 0,
            },
            "batch": 4,
        },
        "about": {
            "record": {
                "file": {"sha256": digest},
                "structure": {
                    "xnnpack": {
                        "predicted_sparse": True,
                        "cpus": ["arm64", "wasm-simd"],
                        "reason": "75 % zeros",
                    }
                },
            },
            "baseline": {"name": "fp32", "sha256": digest},
            "runtime": {"version": "2.5.3", "threads": 1},
        },
    }
    body = """await (async () => {
      const host = await m.hostOf(given.browser);
      return m.measurement(given.measured, {...given.about, host, when: new Date(0), device: m.deviceName(given.browser)});
    })()"""
    found = js("measurement", body, given)
    read = Measurement.model_validate(found, extra="forbid")
    assert read.device == "web-wasm:chrome-android"
    assert (read.init_ms, read.first_ms) == (1, 0.1), (
        "nothing takes no time: at most one step of a coarse clock"
    )
    accept(read)
    assert (read.sparse_path, read.when) == ("predicted", datetime.fromtimestamp(0, UTC))
    assert read.host.fingerprint == digest_of(
        {key: value for key, value in found["host"].items() if key != "fingerprint"}
    )
    assert math.isclose(read.ratio.value, 0.5)


def test_sessions_are_of_about_equal_size_and_lose_nobody(js: Module) -> None:
    asked = [(count, most) for count in range(12) for most in range(1, 6)]
    answers = js(
        "session", "given.map(([count, most]) => m.sessions([...Array(count).keys()], most))", asked
    )
    for (count, most), found in zip(asked, answers, strict=True):
        assert [one for part in found for one in part] == list(range(count))
        assert all(0 < len(part) <= most for part in found)
        assert len(found) == math.ceil(count / most)
