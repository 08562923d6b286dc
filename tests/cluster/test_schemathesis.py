"""The running service against its OpenAPI document: whatever is sent, it answers as documented, and soon."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from egress_ray.api.app import create_app
from egress_ray.api.managers import Gateway
from egress_ray.secrets import Vault
from egress_ray.settings import load
from tests.cluster.service import Service

_LIMIT_S = 12

# The operations are needed before there is a service; nothing but their description is made here.
_APP = create_app(load({}), typing.cast(Gateway, None), typing.cast(Vault, None))
schema = schemathesis.openapi.from_dict(_APP.openapi())


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def sdp(context: schemathesis.SerializationContext, value: object) -> bytes:
    """A body that is no JSON."""
    return str(value).encode(errors="surrogatepass")


@pytest.fixture(scope="module")
def started(service: Service) -> Iterator[list[str]]:
    """Where accepted tasks are; each is stopped by its test, and none may be left open."""
    paths: list[str] = []
    yield paths
    assert paths, "no start was accepted"
    for path in paths:
        state = service.http.post(f"{path}/status", json={"request_id": "after"}).json()["state"]
        assert state not in ("ENQUEUED", "PROCESSING"), path


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_documented(
    case: schemathesis.Case[typing.Any], service: Service, started: list[str]
) -> None:
    response = case.call(base_url=str(service.http.base_url), timeout=_LIMIT_S)
    is_json = "json" in response.headers.get("content-type", [""])[0]
    body = response.json() if is_json and response.content else {}
    if "task_id" in body and case.operation.label == "POST /egress/v1/{app_id}/tasks":
        path = f"/egress/v1/{case.path_parameters['app_id']}/tasks/{body['task_id']}"
        service.http.post(f"{path}/stop", json={"request_id": "stop"})
        started.append(path)
    case.validate_response(
        response,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
    if response.status_code == 400 and response.content:
        assert body["details"], body
        assert all(each["field"] for each in body["details"]), body
