"""The OpenAPI 3.1 document, made from the table of routes and the shapes."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from paidup import __version__
from paidup.web.examples import example_of
from paidup.web.problem import MEDIA_TYPE, Problem
from paidup.web.route import MAX_PAGE, Route
from paidup.web.upload import FILE

_REF = "#/components/schemas/{name}"
_A_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

ABOUT = (
    "Every payment reaches its order exactly once. Amounts are whole numbers of the minor unit (12.50 CNY is 1250). "
    "Errors are application/problem+json (RFC 9457): `type` is a stable name, `detail` says what to do next, `errors` "
    "points at fields."
)
KEYED = (
    "any text of yours, up to 255 characters, kept for 30 days: the same key and request get the first answer again "
    "(with `Idempotent-Replayed: true`), or 409 where that held a secret; another request under it gets 409"
)


def document(routes: Sequence[Route], root: str = "") -> dict[str, Any]:
    """The whole document. root: where the API is mounted, such as ``/paidup``."""
    shapes = [shape for route in routes for shape in (route.body, route.gives) if shape] + [Problem]
    unique = list(dict.fromkeys(shapes))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    by_shape = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.shown_path, {})[route.method.lower()] = _operation(route, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Paidup",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "an API key, pk_…: `paidup keys create-api`"}
            },
        },
        "security": [{"key": []}],
    }


def _operation(route: Route, by_shape: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "tags": [route.path.split("/")[2]],
        "summary": re.split(r"[.:;] |\.$", route.says)[0],
        "description": f"{route.says} Needs the scope `{route.scope}`.",
        "parameters": _parameters(route),
        "responses": {
            str(route.status): {
                "description": "done",
                "content": _content("application/json", route.gives, by_shape) if route.gives else _A_FILE,
            },
            "default": {
                "description": "what is wrong, and what to do next (RFC 9457)",
                "content": _content(MEDIA_TYPE, Problem, by_shape),
            },
        },
    }
    if route.form:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _form(route.form)}}}
    if route.body:
        optional = not any(field.required for field in msgspec.structs.fields(route.body))
        operation["requestBody"] = {
            "required": not optional,
            "content": _content("application/json", route.body, by_shape),
        }
    return operation


def _content(media_type: str, shape: type[msgspec.Struct], by_shape: dict[Any, Any]) -> dict[str, Any]:
    return {media_type: {"schema": by_shape[shape], "example": example_of(shape)}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.shown_path)
    ]
    in_query = [
        {"name": query.name, "in": "query", "description": query.meaning, "schema": _schema(query.kind)}
        for query in route.query
    ]
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": route.keyed,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": KEYED,
    }
    return [*in_path, *in_query, *([key] if route.method == "POST" and not route.form else [])]


def _form(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of a form and its file, written out: each field is text."""
    fields = msgspec.structs.fields(shape)
    return {
        "type": "object",
        "required": [FILE, *(field.name for field in fields if field.required)],
        "properties": {
            FILE: {"type": "string", "format": "binary"},
            **{field.name: {"type": "string"} for field in fields},
        },
    }


def _schema(kind: str) -> dict[str, Any]:
    return {"type": kind} | ({"minimum": 1, "maximum": MAX_PAGE} if kind == "integer" else {})


def _name(route: Route) -> str:
    words = [part.strip("{}") for part in route.shown_path.split("/") if part and part != "v1"]
    return "_".join([route.method.lower(), *words]).replace("-", "_")
