"""A callback that is half sent when the process is told to end. Whoever took the first half must answer the whole."""

import asyncio
import contextlib

ANSWER_WITHIN_S = 10.0
_BODY = b'{"half": "of it", "and": "the rest"}'
_HEAD = (
    b"POST /callbacks/wechat/main HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n" % len(_BODY)
)
REQUEST = _HEAD + _BODY
IN_THE_HEAD, IN_THE_BODY = len(_HEAD) // 2, len(_HEAD) + len(_BODY) // 2


class Straggler:
    """One connection with a request on it that nobody signed: the right answer is a refusal, and no answer is wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: int) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = sent

    @classmethod
    async def begin(cls, port: int, sent: int) -> "Straggler":
        """Connect, and send so many bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:sent])
        await writer.drain()
        return cls(reader, writer, sent)

    async def finish(self) -> int:
        """Send the rest; returns the HTTP status, 0 when the connection broke or nobody answered."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            self._writer.write(REQUEST[self._sent :])
            async with asyncio.timeout(ANSWER_WITHIN_S):
                line = await self._reader.readuntil(b"\r\n")
            return int(line.split(b" ")[1])
        return 0

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def refused(port: int) -> None:
    """Return as soon as the process takes no new connections: it has begun to end."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.01)
