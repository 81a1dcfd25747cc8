"""The browser decides whether outputs agree as Python does: same errors, same answers."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright._impl._driver import compute_driver_executable

from zoo_builders.tflite.agreement import Limits, Measure, Rule
from zoo_registry.model.errors import MeasureFailed

pytestmark = pytest.mark.browser

MODULE = Path(__file__).parents[2] / "registry/zoo_registry/litertjs/browser/agreement.js"
JUDGE = """
import {readFileSync} from "node:fs";
const m = await import(process.argv[1]), types = {int8: Int8Array, float32: Float32Array, int32: Int32Array};
const answers = JSON.parse(readFileSync(0)).map(({rule, found, wanted, examples, dtype}) => {
  const [ours, theirs] = [found, wanted].map((values) => new types[dtype](values));
  const [limits] = rule.outputs;
  return {
    why: m.objection(rule, [ours], [theirs], examples),
    errors: m.errorsOf(limits, ours, theirs, examples), turned: m.turnedIn(limits, ours, theirs, examples),
  };
});
process.stdout.write(JSON.stringify(answers));
"""
EXAMPLES, CASES = 8, 240


def judged(given: list[dict[str, Any]]) -> Any:
    """Let the module judge, in the JavaScript engine that Playwright brings: no page is needed."""
    node = compute_driver_executable()[0]
    command = [node, "--no-warnings", "--input-type=module", "-e", JUDGE, MODULE.as_uri()]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


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


def test_both_decide_the_same_way() -> None:
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
    answers, refused = judged(given), 0
    for (rule, found, wanted), answer in zip(cases, answers, strict=True):
        limits, expected = rule.outputs[0], reason(rule, found, wanted)
        assert answer["errors"] == pytest.approx(limits.errors(found, wanted), rel=1e-9, abs=1e-9)
        assert answer["turned"] == limits.turned(found, wanted).tolist()
        assert bool(answer["why"]) == bool(expected)
        assert answer["why"][:30] == expected[:30]
        refused += bool(expected)
    assert CASES / 5 < refused < CASES * 4 / 5
