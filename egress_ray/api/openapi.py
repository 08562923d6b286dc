"""The OpenAPI document as the service really answers: FastAPI's own 422, which is never sent, is taken out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

_NEVER_SENT = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Correct what the application says of itself, once."""
    describe = app.openapi

    def corrected() -> dict[str, Any]:
        document = describe()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for schema in _NEVER_SENT:
            document["components"]["schemas"].pop(schema, None)
        return document

    app.openapi = corrected  # type: ignore[method-assign]
