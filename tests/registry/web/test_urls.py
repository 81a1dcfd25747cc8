import shlex
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from zoo_client import inventory
from zoo_registry.model.query import Query
from zoo_registry.routes.params import Search
from zoo_registry.web import urls

NAMES = Query.model_fields.keys() - {"min_metrics"}
params = st.lists(
    st.tuples(st.sampled_from(["q", "device", "license", "min_top1"]), st.text(min_size=1)),
    max_size=5,
).map(tuple)


@given(params)
def test_an_address_gives_back_its_parameters(given_params: urls.Params) -> None:
    assert (
        tuple(parse_qsl(urlsplit(urls.address("/", given_params)).query, keep_blank_values=True))
        == given_params
    )


def test_fields_left_empty_are_no_question() -> None:
    assert urls.clean([("task", ""), ("q", "  "), ("device", " host-cpu ")]) == (
        ("device", "host-cpu"),
    )


def test_a_changed_question_starts_on_its_first_page() -> None:
    before = (("device", "host-cpu"), ("cursor", "abc"), ("sort", "name"))
    assert urls.changed(before, {"sort": "-size"}) == (("device", "host-cpu"), ("sort", "-size"))
    assert urls.changed(before, {"device": None}) == (("sort", "name"),)


def test_the_command_asks_the_same_question() -> None:
    asked = (
        ("device", "host-cpu"),
        ("max_latency_ms", "8"),
        ("min_top1", "0.7"),
        ("pareto", "true"),
        ("cursor", "x"),
        ("sort", "-size"),
    )
    assert (
        urls.search_command(asked)
        == "zoo search --device host-cpu --max-latency 8 --min-top1 0.7 --pareto --sort=-size"
    )


def test_words_come_last_and_never_look_like_options() -> None:
    assert (
        urls.search_command((("q", "small -cat"), ("device", "d")))
        == "zoo search --device d small -cat"
    )
    assert urls.search_command((("q", "-rf x;y"),)) == "zoo search -- -rf 'x;y'"


@given(st.text(min_size=1))
def test_words_stay_one_word_of_the_command(text: str) -> None:
    assert shlex.split(urls.search_command((("device", text), ("sort", "name"))))[-1] == "name"


def test_a_pull_names_the_release_and_if_wished_the_bytes() -> None:
    assert urls.pull_command("m-int8", "1.0.0") == "zoo pull m-int8@1.0.0"
    assert urls.pull_command("m-int8", "1.0.0", "ab") == "zoo pull 'm-int8@1.0.0#sha256:ab'"


def test_names_are_quoted_in_paths() -> None:
    assert urls.artifact("a/b", "1.0.0-rc.1") == "/artifacts/a%2Fb/1.0.0-rc.1"


def test_every_option_a_page_prints_is_one_the_client_has() -> None:
    known = {
        option
        for parameter in inventory.shipped()["search"].load().params
        for option in parameter.opts
    }
    values = tuple(
        (name, "true" if name in {"pareto", "all_versions", "yanked"} else "1") for name in NAMES
    )
    printed = {word for word in urls.search_command(values).split() if word.startswith("--")}
    assert len(printed) == len(NAMES) - 1, "all but the words"
    assert printed <= known


def test_paging_is_what_the_api_calls_paging() -> None:
    assert Search.model_fields.keys() - Query.model_fields.keys() == urls.PAGING
