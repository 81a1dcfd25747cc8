from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidRef, WrongUse
from zoo_registry.model.ref import NAME, Ref

VERSIONS = ["0.1.0", "0.1.9", "0.2.0", "1.0.0", "1.2.0", "1.2.9", "1.10.0", "2.0.0-rc.1"]


@pytest.mark.parametrize(
    ("ref", "picked"),
    [
        ("m-v", "1.10.0"),
        ("m-v@latest", "1.10.0"),
        ("m-v@1", "1.10.0"),
        ("m-v@1.2", "1.2.9"),
        ("m-v@~1.2", "1.2.9"),
        ("m-v@~1.2.9", "1.2.9"),
        ("m-v@^1.2", "1.10.0"),
        ("m-v@^0.1", "0.1.9"),
        ("m-v@^0.1.9", "0.1.9"),
        ("m-v@1.0.0", "1.0.0"),
        ("m-v@2.0.0-rc.1", "2.0.0-rc.1"),
        ("m-v@2", None),
        ("m-v@3.0.0", None),
    ],
)
def test_a_ref_picks_the_highest_version_it_allows(ref: str, picked: str | None) -> None:
    assert Ref.parse(ref).pick(VERSIONS) == picked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@1.0.0",
        "M-V",
        "m v",
        "-m",
        "m-",
        "m@",
        "m@1.2.3.4",
        "m@^",
        "m@latest@1",
        "m@>=1",
        "m#abc",
        "m#sha256:12",
        "../m",
        "m/v",
        "m@01.2.3",
        "m" * 97,
        "m@Stable",
    ],
)
def test_what_is_not_a_ref_is_refused(text: str) -> None:
    with pytest.raises(WrongUse):
        Ref.parse(text)


def test_a_pin_travels_with_the_ref() -> None:
    digest = Digest.of(b"x")
    ref = Ref.parse(f"m-v@1.0.0#sha256:{digest}")
    assert ref.digest == digest
    assert Ref.parse(str(ref)) == ref


@given(
    st.from_regex(NAME, fullmatch=True),
    st.sampled_from(["latest", "stable", "1", "1.2", "^1.2", "~0.3", "1.2.3", "1.0.0-rc.1+b5"]),
)
def test_refs_round_trip(name: str, selector: str) -> None:
    assert Ref.parse(str(Ref(name, selector))) == Ref(name, selector)


@given(st.text(max_size=60))
def test_any_text_is_a_ref_or_a_clear_error(text: str) -> None:
    with suppress(InvalidRef, WrongUse):
        assert NAME.fullmatch(Ref.parse(text).name)


def test_aliases_are_not_versions() -> None:
    assert Ref.parse("m-v@stable").is_alias
    assert not Ref.parse("m-v@latest").is_alias
    assert not Ref.parse("m-v@1").is_alias
