from html import escape
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from plugins.family import family, file_of
from plugins.records import WHEN, blob, make
from plugins.registry_server import stock
from zoo_registry.model.data_report import DataReport, Overlap
from zoo_registry.model.digest import Digest
from zoo_registry.model.query import Query
from zoo_registry.model.record import Record
from zoo_registry.model.ref import Ref
from zoo_registry.registry import Registry

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
NAME = "cifar10-cnn-sparse75"


def publish(registry: Registry, record: Record) -> None:
    stock(registry, record, blob(f"{record.name}@{record.version}"))


class Seen(HTMLParser):
    """What a browser would make of a page: its elements, form fields, links and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]

    @property
    def links(self) -> list[str]:
        return [str(a["href"]) for a in self.all("a") if a.get("href")]

    def form(self) -> dict[str, str]:
        """What the budget form would send if it were sent as it stands."""
        sent = {
            str(i["name"]): i.get("value") or ""
            for i in self.all("input")
            if i.get("name") not in (None, "ref") and _is_sent(i)
        }
        name = ""
        for tag, attributes in self.tags:
            if tag == "select":
                name = str(attributes["name"])
                sent[name] = ""
            elif tag == "option" and "selected" in attributes:
                sent[name] = attributes.get("value") or ""
        return {key: value for key, value in sent.items() if value}


def _is_sent(field: dict[str, str | None]) -> bool:
    return field.get("type") != "checkbox" or "checked" in field


def see(client: TestClient, path: str, status: int = 200) -> Seen:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return Seen(answer.text)


def test_an_empty_registry_says_how_to_fill_it(client: TestClient) -> None:
    assert "zoo build manifests/digits-cnn.yaml --publish" in see(client, "/").text


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/artifacts/{NAME}",
        "/compare",
        "/artifacts/nothing-here",
        "/?max_latency_ms=fast",
        "/static/zoo.css",
    ],
)
def test_nothing_but_our_own_files_can_run(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(
        part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?device=host-cpu&max_latency_ms=0.001",
        f"/artifacts/{NAME}",
        f"/compare?ref={NAME}&ref=cifar10-cnn-fp32",
    ],
)
def test_pages_keep_their_own_policy(client: TestClient, path: str) -> None:
    page = see(client, path)
    assert not [tag for tag, attributes in page.tags if "style" in attributes or tag == "style"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(str(script.get("src")).startswith("/static/") for script in page.all("script"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


QUESTION = {
    "q": "cnn",
    "task": "image-classification",
    "model": "cifar10-cnn",
    "technique": "quantize",
    "license": "apache-2.0",
    "dataset": "digits:test",
    "labels": "cifar10",
    "device": "host-cpu",
    "threads": "1",
    "max_latency_ms": "0.5",
    "max_ratio": "2",
    "max_size": "10MB",
    "max_size_gzip": "4MB",
    "min_top1": "0.1",
    "sort": "-top1",
    "all_versions": "true",
    "yanked": "true",
    "pareto": "true",
}


@pytest.mark.usefixtures("filled")
def test_sending_the_form_again_asks_the_same_question(client: TestClient) -> None:
    assert see(client, f"/?{urlencode(QUESTION)}").form() == QUESTION


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("name", "value"), QUESTION.items())
def test_every_filter_reaches_the_address_the_command_and_the_rest_call(
    client: TestClient, name: str, value: str
) -> None:
    page = see(client, f"/?{urlencode({name: value})}")
    assert page.form() == {name: value}
    assert f"/v1/artifacts?{urlencode({name: value})}" in page.text


@pytest.mark.usefixtures("filled")
def test_fields_left_empty_leave_the_address(client: TestClient) -> None:
    answer = client.get("/?task=&device=host-cpu&q=+&max_size=", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?device=host-cpu")


@pytest.mark.usefixtures("filled")
def test_a_budget_is_answered_with_the_best_and_how_to_get_it(client: TestClient) -> None:
    page = see(client, "/?device=host-cpu&max_latency_ms=0.02&max_size_gzip=6kB")
    assert "zoo pull cifar10-cnn-sparse75-int8@1.0.0" in page.text
    assert "zoo search --device host-cpu --max-latency 0.02 --max-size-gzip 6kB" in page.text
    assert "cifar10-cnn-int16x8" not in [*page.text.split()], (
        "too slow: in the drawing only by its variant"
    )


def test_two_data_sets_are_told_apart(client: TestClient, registry: Registry) -> None:
    for model, name, top1 in (
        ("a", "imagenet", 0.7),
        ("b", "imagenet", 0.6),
        ("c", "digits", 0.99),
    ):
        metric = {"dataset": name, "dataset_sha256": Digest.of(name.encode()), "split": "test"}
        metric |= {"examples": 9, "metric": "top1", "value": top1, "ci95": (0.0, 1.0)}
        publish(registry, make(model=model, metrics=[metric]))
    page = see(client, "/")
    assert "2 data sets: their top-1 does not compare" in page.text
    assert "zoo pull a-int8@1.0.0" in page.text
    assert "/?dataset=digits" in page.links
    assert [a["href"] for a in page.all("a") if "dot" in (a.get("class") or "")] == [
        "/artifacts/b-int8/1.0.0",
        "/artifacts/a-int8/1.0.0",
    ] * 2
    only = see(client, "/?dataset=digits")
    assert "zoo pull c-int8@1.0.0" in only.text
    assert "does not compare" not in only.text
    both = see(client, "/compare?ref=a-int8&ref=c-int8").text
    assert "top-1 on imagenet, split test, 9 examples" in both
    assert "top-1 on digits, split test, 9 examples" in both


@pytest.mark.usefixtures("filled")
def test_when_nothing_fits_the_nearest_are_shown_and_the_widened_budget_has_them(
    client: TestClient,
) -> None:
    page = see(client, "/?device=host-cpu&max_latency_ms=0.001")
    assert "Nothing fits" in page.text
    widened = [a["href"] for a in page.all("a") if a.get("class") == "widen"]
    assert widened
    assert "Best fit" in see(client, str(widened[0])).text


@pytest.mark.usefixtures("filled")
def test_every_link_of_every_page_leads_somewhere(client: TestClient) -> None:
    pages = [
        see(client, path)
        for path in ("/", f"/artifacts/{NAME}/1.0.0", f"/compare?ref={NAME}&ref=cifar10-cnn-fp32")
    ]
    links = {
        link for page in pages for link in page.links if not link.startswith(("#", "/v1/", "/docs"))
    }
    broken = {
        link: client.get(link).status_code for link in links if client.get(link).status_code != 200
    }
    assert not broken


def test_paging_walks_through_everything_once(client: TestClient, filled: Registry) -> None:
    path, names = "/?limit=3", list[str]()
    while path:
        page = see(client, path)
        names += [str(i["value"]) for i in page.all("input") if i.get("name") == "ref"]
        path = next((str(a["href"]) for a in page.all("a") if a.get("rel") == "next"), "")
    assert names == [
        f"{item.name}@{item.version}" for item in filled.search(Query(), limit=100).items
    ]


def test_hostile_words_in_a_record_are_text(client: TestClient, registry: Registry) -> None:
    record = make(
        description=HOSTILE,
        recipe=[{"technique": HOSTILE, "params": {HOSTILE: HOSTILE}}],
        license=HOSTILE,
        task=HOSTILE,
    )
    publish(registry, record)
    for path in (
        "/",
        f"/artifacts/{record.name}",
        f"/compare?ref={record.name}",
        f"/?{urlencode({'q': HOSTILE})}",
    ):
        page = see(client, path)
        assert HOSTILE in page.text
        assert not page.all("img")
        assert all(script.get("src") for script in page.all("script"))


@pytest.mark.parametrize(
    "path",
    [
        "/artifacts/%3Cscript%3E",
        "/artifacts/cifar10-cnn-int8/%3Cscript%3E",
        "/compare?ref=%3Cscript%3E",
        "/?sort=%3Cscript%3E",
    ],
)
def test_hostile_addresses_are_refused_with_a_page(
    client: TestClient, filled: Registry, path: str
) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert "<script>" not in answer.text
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.usefixtures("filled")
def test_a_wrong_name_finds_the_near_ones(client: TestClient) -> None:
    assert "/artifacts/cifar10-cnn-int8" in see(client, "/artifacts/cifar10-cnn-int9", 404).links


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "query",
    [
        "max_latency_ms=fast",
        "max_size=4+parsecs",
        "bogus=1",
        "threads=0",
        "sort=colour",
        "min_top1=high",
        "cursor=abc",
        "limit=x",
    ],
)
def test_a_search_that_means_nothing_keeps_the_form_and_says_why(
    client: TestClient, query: str
) -> None:
    page = see(client, f"/?{query}", 422)
    assert "This search cannot be understood" in page.text
    assert page.all("form")


def test_an_artifact_page_carries_every_condition_of_its_measurements(
    client: TestClient, filled: Registry
) -> None:
    page = see(client, "/artifacts/cifar10-cnn-sparse75-fp16/1.0.0")
    measurement = filled.release(Ref("cifar10-cnn-sparse75-fp16")).record.measurements[0]
    spelled = [
        "litert 2.2.0",
        "xnnpack, 9 of 10 nodes",
        "5 rounds of 50 runs",
        "5 warm-ups",
        "pinned",
        measurement.protocol,
        "x86_64",
        "A/A control",
    ]
    assert not [
        condition
        for condition in (*spelled, *measurement.noise_causes)
        if condition not in page.text
    ]
    assert measurement.file_sha256 in page.text


FIDELITY = {"versus_sha256": "ab" * 32, "split": "calibration", "examples": 105, "sqnr_db": 21.5}


def test_what_is_to_be_known_of_the_data_is_on_the_page(
    client: TestClient, registry: Registry
) -> None:
    shared = Overlap(split="test", other="train", examples=3, share=0.008)
    report = DataReport(overlaps=(shared,), notes=("1 picture: <turned>",))
    record = make(model="shared").model_copy(update={"data": report})
    publish(registry, record)
    page = client.get(f"/artifacts/{record.name}").text
    assert "3 examples of test (0.8%) are also in train" in page
    assert escape("1 picture: <turned>") in page


def test_a_device_that_cannot_run_a_file_is_named_on_its_page(
    client: TestClient, registry: Registry
) -> None:
    data = b"a file with int8 inputs"
    told = "LiteRT.js has no <int8> tensors at an interface"
    row = {
        "file_sha256": Digest.of(data),
        "device": "web-wasm",
        "threads": 1,
        "kind": "interface",
        "message": told,
        "when": WHEN,
    }
    stock(registry, make(data=data, not_measured=[row]), data)
    page = client.get("/artifacts/digits-cnn-int8").text
    assert f"Not runnable on <code>web-wasm</code>: {escape(told)}" in page


def test_an_artifact_without_labels_is_known_by_its_fidelity(
    client: TestClient, registry: Registry
) -> None:
    for variant, agreement in (("int8", 0.98), ("masks", None)):
        record = make(
            data=variant.encode(),
            variant=variant,
            metrics=[],
            fidelity={**FIDELITY, "top1_agreement": agreement},
        )
        stock(registry, record, variant.encode())
    scores, masks = (
        client.get(f"/artifacts/digits-cnn-{variant}").text for variant in ("int8", "masks")
    )
    assert "21.5 dB" in scores
    assert "same top-1" in scores
    assert "21.5 dB" in masks
    assert "same top-1" not in masks
    assert client.get("/").status_code == 200


def test_a_metric_made_of_classes_shows_each_the_worst_first(
    client: TestClient, registry: Registry
) -> None:
    classes = [
        {"label": "yes", "examples": 30, "value": 0.9},
        {"label": "st<b>op", "examples": 20, "value": 0.4},
    ]
    metric = {
        "dataset": "words",
        "dataset_sha256": "cd" * 32,
        "split": "test",
        "examples": 50,
        "metric": "macro_recall",
        "value": 0.65,
        "ci95": [0.5, 0.8],
        "classes": classes,
    }
    stock(registry, make(data=b"words", metrics=[metric]), b"words")
    page = client.get("/artifacts/digits-cnn-int8").text
    assert "macro recall, class by class" in page
    assert page.index("st&lt;b&gt;op") < page.index(">yes<")
    assert "<b>op" not in page


def test_a_yanked_release_says_so_and_why_and_names_the_better_one(
    client: TestClient, registry: Registry
) -> None:
    for version in ("1.0.0", "1.1.0"):
        record = make(version=version)
        publish(registry, record)
    registry.yank("digits-cnn-int8", "1.1.0", "wrong labels & <b>")
    page = see(client, "/artifacts/digits-cnn-int8/1.1.0")
    assert "wrong labels & <b>" in page.text
    assert "/artifacts/digits-cnn-int8/1.0.0" in page.links
    assert "Yanked" not in see(client, "/artifacts/digits-cnn-int8").text


def test_when_all_versions_are_yanked_the_page_still_explains(
    client: TestClient, registry: Registry
) -> None:
    record = make()
    publish(registry, record)
    registry.yank(record.name, record.version, "broken")
    assert "broken" in see(client, f"/artifacts/{record.name}").text


@pytest.mark.usefixtures("filled")
def test_a_lost_browser_gets_a_page_and_a_program_a_problem_document(client: TestClient) -> None:
    assert "All artifacts" in see(client, "/cifar10-cnn-int8", 404).text
    for path, accept in (
        ("/nowhere", "application/json"),
        ("/v1/nowhere", "text/html"),
        ("/v1/artifacts/nowhere", "text/html"),
    ):
        answer = client.get(path, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (
            404,
            "application/problem+json",
        )


@pytest.mark.usefixtures("filled")
def test_comparing_too_many_is_refused_and_none_is_explained(client: TestClient) -> None:
    many = urlencode([("ref", f"{record.name}@1.0.0") for record in family()])
    see(client, f"/compare?{many}", 422)
    assert "Tick two or more" in see(client, "/compare").text


def test_static_files_may_be_kept_for_ever_because_their_address_changes(
    client: TestClient,
) -> None:
    page = see(client, "/")
    (style,) = [str(link["href"]) for link in page.all("link") if link.get("rel") == "stylesheet"]
    assert "?v=" in style
    assert "immutable" in client.get(style).headers["cache-control"]
    assert client.get("/static/..%2Fpages.py").status_code == 404


def test_the_family_in_these_tests_speaks_of_real_bytes() -> None:
    assert all(len(file_of(record)) == record.file.size for record in family())
