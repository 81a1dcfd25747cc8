"""The browser decides whether outputs agree as Python does: same errors, same answers."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from zoo_builders.devices.browser.server import BrowserFiles
from zoo_builders.tflite.agreement import Limits, Measure, Rule
from zoo_registry.model.errors import MeasureFailed

pytestmark = pytest.mark.browser

JUDGE = """
async ([cases]) => {
  const m = await import("/lab/agreement.js"), types = {int8: Int8Array, float32: Float32Array, int32: Int32Array};
  return cases.map(({rule, found, wanted, examples, dtype}) => {
    const [ours, theirs] = [found, wanted].map((values) => new types[dtype](values));
    const [limits] = rule.outputs;
    return {
      why: m.objection(rule, [ours], [theirs], examples),
      errors: m.errorsOf(limits, ours, theirs, examples), turned: m.turnedIn(limits, ours, theirs, examples),
    };
  });
}
"""
EXAMPLES, CASES = 8, 240


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with BrowserFiles(tmp_path_factory.mktemp("no-runtime")) as files:
        context = chromium.new_context()
        made = context.new_page()
        made.goto(f"{files.address}/")
        yield made
        context.close()


def drawn(random: np.random.Generator) -> tuple[Rule, Any, Any]:
    """Draw a rule and outputs: all measures and types, good and bad, certain and unsure."""
    measures: tuple[Measure, ...] = ("values", "log-odds", "same")
    measure = measures[random.integers(3)]
    classes, noise = int(random.choice([1, 2, 10, 1100])), float(random.choice([0, 0.1, 0.5, 3]))
    logits = random.normal(0, random.choice([1, 6]), (EXAMPLES, classes))
    moved = logits + random.normal(0, noise, logits.shape)
    if measure == "same":
        wanted, found = (np.rint(one).astype(np.int32) for one in (logits, moved))
        return Rule("int8", (Limits(measure, 0.0, 1.0, 0.0, 0.1, 1.0),), 1), found, wanted
    if measure == "log-odds":
        logits, moved = (np.exp(one) / np.exp(one).sum(1, keepdims=True) for one in (logits, moved))
    integers = bool(random.integers(2))
    offset, factor = (-128.0, 1 / 256) if integers else (0.0, 1.0)
    wanted, found = (
        np.clip(np.rint(one * 256) - 128, -128, 127).astype(np.int8)
        if integers
        else one.astype(np.float32)
        for one in (logits, moved)
    )
    resolution = 0.0 if measure == "values" else float(random.choice([1e-6, 1 / 256]))
    limits = Limits(measure, offset, factor, resolution, 0.5, 1.5)
    return Rule("int8", (limits,), int(random.integers(3))), found, wanted


def reason(rule: Rule, found: Any, wanted: Any) -> str:
    try:
        rule.judge([found], [wanted])
    except MeasureFailed as error:
        return error.message
    return ""


def test_both_decide_the_same_way(page: Page) -> None:
    random = np.random.default_rng(5)
    cases = [drawn(random) for _ in range(CASES)]
    given = [
        {
            "rule": asdict(rule),
            "found": found.ravel().tolist(),
            "wanted": wanted.ravel().tolist(),
            "examples": EXAMPLES,
            "dtype": str(found.dtype),
        }
        for rule, found, wanted in cases
    ]
    answers, refused = page.evaluate(JUDGE, [given]), 0
    for (rule, found, wanted), answer in zip(cases, answers, strict=True):
        limits, expected = rule.outputs[0], reason(rule, found, wanted)
        assert answer["errors"] == pytest.approx(limits.errors(found, wanted), rel=1e-9, abs=1e-9)
        assert answer["turned"] == limits.turned(found, wanted).tolist()
        assert bool(answer["why"]) == bool(expected)
        assert answer["why"][:30] == expected[:30]
        refused += bool(expected)
    assert CASES / 5 < refused < CASES * 4 / 5
