"""The page of the API says all that the OpenAPI document says.

And loads nothing from anybody else.
"""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from zoo_registry.app import create_app
from zoo_registry.model.errors import kinds
from zoo_registry.settings import Settings
from zoo_registry.web.reference import kind, prose, reference


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.fixture
def page(client: TestClient) -> str:
    answer = client.get("/docs")
    assert answer.status_code == 200
    return answer.text


def test_every_operation_is_there_with_its_parameters_and_problems(
    document: dict[str, Any],
) -> None:
    shown = {
        (op.method.lower(), op.path): op
        for group in reference(document).groups
        for op in group.operations
    }
    told = {
        (method, path): op
        for path, item in document["paths"].items()
        for method, op in item.items()
    }
    assert set(shown) == set(told)
    for key, op in told.items():
        assert [field.name for field in shown[key].parameters] == [
            parameter["name"] for parameter in op.get("parameters", ())
        ]
        assert {*shown[key].problems, *(reply.status for reply in shown[key].replies)} == set(
            op["responses"]
        )
        assert bool(shown[key].bodies) == ("requestBody" in op)


def test_the_document_is_on_the_page(document: dict[str, Any], page: str) -> None:
    text = html.unescape(re.sub("<[^>]+>", "", page))
    for path in document["paths"]:
        assert path in text
    for name, schema in document["components"]["schemas"].items():
        assert f'id="shape-{name.lower()}"' in page
        assert all(key in text for key in schema["properties"])
    assert all(f"urn:edgezoo:{error.slug}" in text for error in kinds())


def test_links_lead_to_what_is_there_once(page: str) -> None:
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_nothing_comes_from_elsewhere(client: TestClient, page: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert not [address for address in addresses if not re.match(r"[/#](?!/)", address)]
    assert "default-src 'none'" in client.get("/docs").headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page)
    assert (
        client.get("/redoc").status_code == client.get("/docs/oauth2-redirect").status_code == 404
    )


def test_whoever_has_no_token_reads_how_to_get_one(tmp_path: Path) -> None:
    settings = Settings(
        db=str(tmp_path / "zoo.db"), store=str(tmp_path / "store"), public_reads=False
    )
    with TestClient(create_app(settings)) as client:
        answer = client.get("/docs")
    assert (answer.status_code, "Reading needs a token" in answer.text) == (200, True)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 200}, "integer ≥ 1, ≤ 200"),
        ({"type": "number", "exclusiveMinimum": 0}, "number &gt; 0"),
        ({"type": "string", "maxLength": 200}, "string, at most 200 long"),
        ({"type": "string", "pattern": "^(sha256:)?[0-9a-f]{64}$"}, "sha256"),
        ({"type": "string", "format": "binary"}, "bytes"),
        ({"enum": ["a", "b"]}, "<code>a</code> or <code>b</code>"),
        (
            {"anyOf": [{"$ref": "#/components/schemas/TreeLfs"}, {"type": "null"}]},
            '<a href="#shape-treelfs">TreeLfs</a> or null',
        ),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        (
            {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]},
            "[number, number]",
        ),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "map of string to number"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({}, "any"),
        ({"enum": ["<b>"]}, "<code>&lt;b&gt;</code>"),
    ],
)
def test_types_in_words(schema: dict[str, Any], text: str) -> None:
    assert kind(schema) == text


def test_text_is_text() -> None:
    assert prose("a `x<y` <b>") == "a <code>x&lt;y</code> &lt;b&gt;"
