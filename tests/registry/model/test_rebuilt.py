"""What a second build gives: said of the class of machine that made the first."""

import pytest

from zoo_registry.model.rebuilt import differently, expected

MILAN = "host-cpu/x86-64-avx2/amd-epyc"
ROME = "host-cpu/x86-64-avx2/amd-epyc-7742"
GENOA = "host-cpu/x86-64-avx512-vnni/amd-epyc-9654"


@pytest.mark.parametrize(
    ("reproducible", "built_on", "here", "said"),
    [
        ("bitwise", (MILAN,), "", "gives the same bytes on machines like amd-epyc (x86-64 avx2)"),
        ("bitwise", (MILAN,), ROME, "gives the same bytes on machines like amd-epyc (x86-64 avx2)"),
        (
            "bitwise",
            (GENOA,),
            MILAN,
            (
                "gives the same bytes on machines like amd-epyc-9654 (x86-64 avx512-vnni);"
                " here, amd-epyc (x86-64 avx2), expect the same quality, not the same bytes"
            ),
        ),
        (
            "weights",
            (),
            MILAN,
            (
                "gives the same weights on machines like the one that built it, whose class is not"
                " recorded"
            ),
        ),
        ("metrics", (GENOA,), MILAN, "gives the same quality"),
    ],
)
def test_what_is_expected(
    reproducible: str, built_on: tuple[str, ...], here: str, said: str
) -> None:
    assert expected(reproducible, built_on, here) == said


def test_other_bytes_are_explained_by_another_class_only() -> None:
    assert "built on x86-64-avx512-vnni, this one on x86-64-avx2" in differently((GENOA,), (MILAN,))
    assert differently((ROME,), (MILAN,)) == ""
    assert differently((), (MILAN,)) == ""
