"""multipart/form-data is read the same however it is cut into chunks, and what is none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup.errors import InvalidRequest
from paidup.web.multipart import MAX_HEAD_BYTES, Part, Reader

TYPE = "multipart/form-data; boundary=xYz"


def form(*parts: tuple[str, str | None, bytes], boundary: bytes = b"xYz") -> bytes:
    """As a browser sends it."""
    sent = b""
    for name, file_name, content in parts:
        named = f'; filename="{file_name}"' if file_name is not None else ""
        head = f'Content-Disposition: form-data; name="{name}"{named}\r\nContent-Type: text/plain\r\n\r\n'
        sent += b"--" + boundary + b"\r\n" + head.encode() + content + b"\r\n"
    return sent + b"--" + boundary + b"--\r\n"


def read(body: bytes, sizes: list[int]) -> tuple[list[tuple[Part, bytes]], bool]:
    """Every part with its content, fed in chunks of these sizes, again and again."""
    reader, found, at, n = Reader(TYPE), [], 0, 0
    while at < len(body):
        size = sizes[n % len(sizes)]
        for piece in reader.feed(body[at : at + size]):
            if isinstance(piece, Part):
                found.append((piece, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + piece)
        at, n = at + size, n + 1
    return found, reader.is_whole


NASTY = (b"", b"\r\n", b"--xYz", b"\r\n--xY", b"\r\n--xy--", b"\x00\xff" * 3, b"--xYz--\r\n"[2:])


@given(st.lists(st.binary(max_size=40) | st.sampled_from(NASTY), max_size=4), st.lists(st.integers(1, 50), min_size=1))
def test_the_cut_into_chunks_means_nothing(contents: list[bytes], sizes: list[int]) -> None:
    """Whatever the parts hold, short of their own boundary: they come out as they went in."""
    kept = [content for content in contents if b"\r\n--xYz" not in b"\r\n" + content]
    body = form(*((f"f{n}", f"a{n}.gz" if n % 2 else None, content) for n, content in enumerate(kept)))
    wanted = [(Part(f"f{n}", f"a{n}.gz" if n % 2 else None), content) for n, content in enumerate(kept)]
    if not wanted:
        body = b"--xYz--\r\n"
    assert (wanted, True) == read(body, sizes)


def test_what_comes_around_it_is_passed_over() -> None:
    """A preamble, and what stands after the last boundary; a boundary in quotes; other headers of a part."""
    body = b"hello\r\n" + form(("a", None, b"1")) + b"and more --xYz"
    assert ([(Part("a", None), b"1")], True) == read(body, [7])
    assert [Part("a", None), b"1"] == list(Reader('multipart/form-data; charset=utf-8; boundary="xYz"').feed(body))


def test_what_comes_after_the_last_boundary_is_not_held() -> None:
    """However much it is: no more of it is in memory than the chunk that has just come."""
    reader = Reader(TYPE)
    assert [Part("a", None), b"1"] == list(reader.feed(form(("a", None, b"1")) + b"z" * 999))
    assert (True, 0) == (reader.is_whole, len(reader._held))
    assert [] == list(reader.feed(b"z" * 999))
    assert 0 == len(reader._held)


def test_a_form_that_ends_half_way_is_not_whole() -> None:
    """However much of it came."""
    whole = form(("file", "a.gz", b"1" * 100))
    assert not any(read(whole[:end], [13])[1] for end in range(1, len(whole) - 2))


@pytest.mark.parametrize(
    "body",
    [b"--xYz\r\nx: y\r\n\r\n1\r\n--xYz--", b"--xYzz\r\n", b"--xYz\r\n" + b"x" * (MAX_HEAD_BYTES + 1)],
    ids=["no name", "another boundary", "a head without end"],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    """A part without a name, a boundary that goes on, a head that does not end."""
    with pytest.raises(InvalidRequest):
        read(body, [9])


@pytest.mark.parametrize("kind", ["", "text/csv", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_another_type_is_refused(kind: str) -> None:
    """With what to do instead."""
    with pytest.raises(InvalidRequest, match="multipart/form-data"):
        Reader(kind)
