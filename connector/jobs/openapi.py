"""The OpenAPI document of the jobs' HTTP form, its request schema taken from the type that reads the request."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import msgspec

__all__ = ["document"]

_JOB_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_ERRORS = {"400": "cannot be run", "401": "no bearer token", "404": "no such job", "503": "the state Redis is away"}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    from connector.jobs.admin import Asked

    [_], schemas = msgspec.json.schema_components([Asked], ref_template="#/components/schemas/{name}")
    outcome = {"type": "object", "properties": {"id": {"type": "string"}, "outcome": {"type": "string"}}}
    job = {"type": "object", "properties": {"id": {"type": "string"}, "state": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rerank-bridge jobs", "version": metadata.version("rerank-bridge")},
        "security": [{"token": []}],
        "paths": {
            "/backlog": {"get": _operation("Chunks still to be done, for autoscalers", {"200": {"type": "object"}})},
            "/jobs": {
                "post": _operation(
                    "Queue a job; the same id goes on",
                    {"201": outcome, "200": outcome},
                    body="#/components/schemas/Asked",
                ),
                "get": _operation("All jobs", {"200": {"type": "object"}}),
            },
            "/jobs/{id}": {
                "parameters": [_JOB_ID],
                "get": _operation("How far a job is, how fast, and what went wrong", {"200": job}),
                "delete": _operation("Cancel a job under way, or purge one that has ended", {"200": outcome}),
            },
            "/jobs/{id}/results": {
                "parameters": [_JOB_ID, {"name": "partial", "in": "query", "schema": {"type": "boolean"}}],
                "get": _operation("The output", {"200": {"type": "string"}}, kind="application/x-ndjson"),
            },
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    summary: str, answers: dict[str, Any], *, body: str | None = None, kind: str = "application/json"
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        status: {"description": "done", "content": {kind: {"schema": schema}}} for status, schema in answers.items()
    }
    responses |= {status: {"description": said} for status, said in _ERRORS.items()}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"$ref": body}}}}
    return operation
