"""The API on one readable page: no script, nothing loaded from elsewhere. The machine's version is /openapi.json."""

import re
from collections.abc import Sequence
from html import escape

import msgspec

from paidup.web.examples import example_of
from paidup.web.openapi import KEYED
from paidup.web.route import Route
from paidup.web.upload import FILE


def page(routes: Sequence[Route]) -> str:
    """Every operation with what it does, takes and gives."""
    contents = "".join(
        f'<tr><td><a href="#{n}">{_address(route)}</a></td><td>{_words(route.says)}</td></tr>'
        for n, route in enumerate(routes)
    )
    operations = "".join(_operation(n, route) for n, route in enumerate(routes))
    return f"{_HEAD}<table>{contents}</table>{operations}</html>"


def _operation(number: int, route: Route) -> str:
    parts = [f'<section id="{number}"><h2>{_address(route)}</h2><p>{_words(route.says)}</p>', _needs(route)]
    if route.query:
        rows = "".join(f"<li><code>?{query.name}=</code> {_words(query.meaning)}</li>" for query in route.query)
        parts.append(f"<ul>{rows}</ul>")
    if route.form:
        fields = "".join(f"<li><code>{escape(name)}</code></li>" for name in (FILE, *route.form.__struct_fields__))
        parts.append(f"<h3>Send, as multipart/form-data</h3><ul>{fields}</ul>")
    if route.body:
        parts.append(f"<h3>Send</h3>{_shape(route.body)}")
    answer = _shape(route.gives) if route.gives else "<p>the file</p>"
    parts.append(f"<h3>Get {route.status}</h3>{answer}</section>")
    return "".join(parts)


def _address(route: Route) -> str:
    return f'<code><b class="{route.method.lower()}">{route.method}</b> {escape(route.shown_path)}</code>'


def _words(text: str) -> str:
    """Text for people; what stands between backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _needs(route: Route) -> str:
    key = "; an <code>Idempotency-Key</code> is required" if route.keyed else ""
    return f"<p>Needs the scope <code>{route.scope}</code>{key}.</p>"


def _shape(shape: type[msgspec.Struct]) -> str:
    example = msgspec.json.format(msgspec.json.encode(example_of(shape)), indent=2).decode()
    says = " ".join((shape.__doc__ or "").split())
    return f"<p>{_words(says)}</p><pre>{escape(example)}</pre>"


_CODE = re.compile(r"`([^`]+)`")

_HEAD = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Paidup API</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1d2129;background:#fff}}
h2{{font-size:1.1rem;margin-top:3rem;border-top:1px solid #dde;padding-top:1rem}}h3{{font-size:1rem}}
table{{border-collapse:collapse;width:100%}}
td{{padding:.3rem .8rem .3rem 0;border-bottom:1px solid #eceef3;vertical-align:top}}
td:first-child{{white-space:nowrap}}a{{color:#1a4fc4;text-decoration:none}}a:hover{{text-decoration:underline}}
b{{display:inline-block;min-width:2.9rem;font-weight:600}}.get{{color:#14713f}}.post{{color:#a04a00}}
@media(max-width:40rem){{td{{display:block;border:0;padding:0}}td:first-child{{margin-top:.6rem;white-space:normal}}}}
pre{{overflow:auto;padding:.75rem;background:#f4f5f8}}code,pre{{font-size:.9em}}
@media(prefers-color-scheme:dark){{body{{color:#dfe3ea;background:#14171c}}h2,td{{border-color:#333a45}}
pre{{background:#1e232b}}a{{color:#8ab4ff}}.get{{color:#6fd39b}}.post{{color:#f0a868}}}}
</style><h1>Paidup API</h1>
<p>Send <code>Authorization: Bearer pk_…</code>. Amounts are whole numbers of the minor unit: 12.50 CNY is 1250. Errors
are <code>application/problem+json</code>: <code>type</code> is a stable name, <code>detail</code> says what to do next,
<code>errors</code> points at fields. <code>Idempotency-Key</code>: {_words(KEYED)}.
The same for machines: <a href="openapi.json">OpenAPI 3.1</a>.</p>"""
