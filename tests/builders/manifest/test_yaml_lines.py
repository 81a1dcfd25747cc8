import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.manifest.yaml_lines import MAX_BYTES, read, spell
from zoo_registry.model.errors import InvalidManifest


def _a_number(text: str) -> bool:
    """Whether YAML 1.2 reads a float where PyYAML (YAML 1.1) writes a plain string: 1e-3."""
    try:
        float(text)
    except ValueError:
        return False
    return True


# PyYAML writes some breaks it cannot read.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8
).filter(lambda text: not _a_number(text))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
data = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def refusal(raw: bytes) -> InvalidManifest | None:
    try:
        read(raw, "f")
    except InvalidManifest as error:
        return error
    return None


@given(st.dictionaries(TEXT, data, min_size=1, max_size=5))
def test_what_yaml_writes_reads_back(value: dict[str, object]) -> None:
    document = read(yaml.safe_dump(value, allow_unicode=True).encode(), "f")
    assert document.data == value
    assert all((key,) in document.lines for key in value)


@given(
    st.binary(max_size=300)
    | st.text(max_size=300, alphabet="a: -[]{}&*!|>'\"\n\t#,?<%@0.e").map(str.encode)
)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    error = refusal(raw)
    assert error is None or (error.line >= 1 and error.message.startswith("f:"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "stands twice"),
        ("a: &x [*x]\n", "aliases expand"),
        ("[" * 100_000, "nested deeper"),
        ("- x\n" * 100_000, "more than"),
        ("a: b: c\n", "not YAML"),
        ("<<: {a: 1}\n", "merge keys"),
        ("? [a]\n: 1\n", "a key must be text"),
        ("---\na: 1\n---\nb: 1\n", "another document"),
        ("", "empty"),
        ("x" * (MAX_BYTES + 1), "at most"),
        ("splits: {train: train[:90%]}\n", "not YAML"),
        ("a: \x00\n", "not YAML"),
    ],
)
def test_what_could_surprise_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidManifest, match=words):
        read(text.encode(), "f")


def test_numbers_follow_yaml_1_2() -> None:
    assert read(b"[1e-3, no, 0x10, 1:30, 1.0.0, .5, -2, true, '1']", "f").data == [
        1e-3,
        "no",
        "0x10",
        "1:30",
        "1.0.0",
        0.5,
        -2,
        True,
        "1",
    ]


def test_lines_of_nested_keys() -> None:
    document = read(b"a:\n  b:\n    - c: 1\n    - d: 2\n", "f")
    assert document.line(("a", "b", 1, "d")) == 4
    assert document.line(("a", "b", 1, "missing")) == 4
    assert spell(("a", "b", 1, "d")) == "a.b[1].d"


def test_not_utf8_names_the_line() -> None:
    with pytest.raises(InvalidManifest, match="f:2: not UTF-8"):
        read(b"a: 1\nb: \xff\n", "f")
