"""The API does what its OpenAPI description says, whatever is thrown at it."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from zoo_registry.app import create_app
from zoo_registry.settings import Settings

PHASES = [Phase.explicit, Phase.generate]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


OPERATIONS = 15


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    built = create_app(settings)
    yield built
    built.state.registry.close()


@pytest.mark.slow
def test_the_api_keeps_its_description(app: FastAPI) -> None:
    tried = 0
    for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @hypothesis_settings(
            max_examples=12,
            derandomize=True,
            deadline=None,
            database=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def keeps_it(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        keeps_it()
        tried += 1
    assert tried >= OPERATIONS
