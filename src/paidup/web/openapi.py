"""The OpenAPI 3.1 document and a page to read it, both made from the table of routes."""

import html
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from paidup import __version__
from paidup.web.problem import MEDIA_TYPE, Problem
from paidup.web.route import Route

_REF = "#/components/schemas/{name}"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document."""
    shapes = [shape for route in routes for shape in (route.body, route.gives) if shape] + [Problem]
    unique = list(dict.fromkeys(shapes))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    by_shape = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Paidup",
            "version": __version__,
            "description": "Every payment reaches its order exactly once.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


def _operation(route: Route, by_shape: dict[Any, Any]) -> dict[str, Any]:
    summary = (route.handler.__doc__ or "").strip()
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": summary.split(";")[0].split(":")[0].rstrip("."),
        "description": f"{summary} Needs the scope `{route.scope}`.",
        "parameters": _parameters(route),
        "responses": {
            str(route.status): {
                "description": "done",
                "content": {"application/json": {"schema": by_shape[route.gives]}},
            },
            "default": {
                "description": "what is wrong, and what to do next (RFC 9457)",
                "content": {MEDIA_TYPE: {"schema": by_shape[Problem]}},
            },
        },
    }
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_shape[route.body]}},
        }
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    in_query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": route.keyed,
        "schema": {"type": "string", "maxLength": 255},
        "description": "the same key and body get the first answer again; another body gets 409",
    }
    return [*in_path, *in_query, *([key] if route.method == "POST" else [])]


def _name(route: Route) -> str:
    words = [part.strip("{}") for part in route.path.split("/") if part and part != "v1"]
    return "_".join([route.method.lower(), *words])


def page(routes: Sequence[Route]) -> str:
    """A plain page: every operation with what it does, takes and gives. The machine's version is /openapi.json."""
    rows = "".join(
        f"<tr><td><code>{route.method}</code></td><td><code>{html.escape(route.path)}</code></td>"
        f"<td>{html.escape((route.handler.__doc__ or '').strip())}</td><td>{route.scope}</td>"
        f"<td>{'required' if route.keyed else ''}</td></tr>"
        for route in routes
    )
    return _PAGE.replace("{rows}", rows)


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Paidup API</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1d2129;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.5rem;
border-bottom:1px solid #dde}code{font-size:.9em}
@media(prefers-color-scheme:dark){body{color:#dfe3ea;background:#14171c}td,th{border-color:#333a45}a{color:#8ab4ff}}
</style><h1>Paidup API</h1>
<p>Send <code>Authorization: Bearer pk_…</code>; amounts are integers in minor units; errors are
<code>application/problem+json</code> and say what to do next. The same as <a href="openapi.json">OpenAPI 3.1</a>.</p>
<table><tr><th>Method<th>Path<th>What it does<th>Scope<th>Idempotency-Key</tr>{rows}</table></html>"""
