"""Answers as they leave: never cached, never framed, never guessed at by a browser."""

from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response, StreamingResponse

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_OWN_STYLE = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def json(
    body: bytes, status: int = 200, *, media_type: str = "application/json", extra: Mapping[str, str] | None = None
) -> Response:
    """JSON that is encoded already. It ends its line: curl is read by people."""
    headers = {**_HEADERS, "content-security-policy": _NOTHING, **(extra or {})}
    return Response(body + b"\n", status, headers, media_type)


def file(parts: AsyncIterator[bytes], name: str, size_bytes: int) -> Response:
    """A file to be kept, not shown: whatever stands in it, no browser makes anything of it. name: of plain words."""
    headers = {
        **_HEADERS,
        "content-security-policy": f"{_NOTHING}; sandbox",
        "content-disposition": f'attachment; filename="{name}"',
        "content-length": str(size_bytes),
    }
    return StreamingResponse(parts, 200, headers, "application/octet-stream")


def page(text: str) -> Response:
    """A page that brings its own style and needs nothing else."""
    return Response(text, 200, {**_HEADERS, "content-security-policy": _OWN_STYLE}, "text/html")
