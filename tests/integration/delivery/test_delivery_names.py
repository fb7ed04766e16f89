"""Claims about names whose servers are silent: they cost those who are called by them, and nobody else."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
from delivery_side import Receiver

from paidup.delivery import sign
from paidup.delivery.endpoints import MAX_PER_SHOP
from paidup.delivery.names import AT_ONCE, Names
from paidup.delivery.send import Sender
from paidup.testing.builders import NOW

HEADERS = sign.headers("evt1", NOW, b"{}", [sign.secret_text(bytes(32))])
SOON_S = 3.0


class Servers:
    """Name servers, of which those for `silent…` say nothing until they are told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.speak = threading.Event()

    def look_up(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if not host.startswith("silent"):
            return ["127.0.0.1"]
        self.speak.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.speak.set()


@pytest.fixture
def names(servers: Servers) -> Iterator[Names]:
    names = Names(servers.look_up)
    yield names
    names.close()


async def test_a_silent_name_keeps_one_thread_however_many_ask(names: Names, servers: Servers):
    """Whoever stops waiting takes nothing away from the others, and asking again is no second question."""
    asking = [asyncio.create_task(names("silent.example", 443)) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()
    asking.append(asyncio.create_task(names("silent.example", 8443)))
    assert ["127.0.0.1"] == await names("shop.example", 443)
    servers.speak.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert [asyncio.CancelledError] + 100 * [socket.gaierror] == list(map(type, told))
    assert ["shop.example", "silent.example"] == sorted(servers.asked)


async def test_all_names_of_one_shop_may_be_silent(names: Names, servers: Servers):
    """There are threads left for the others."""
    assert MAX_PER_SHOP < AT_ONCE
    asking = [asyncio.create_task(names(f"silent{n}.example", 443)) for n in range(MAX_PER_SHOP)]
    async with asyncio.timeout(SOON_S):
        assert ["127.0.0.1"] == await names("shop.example", 443)
    servers.speak.set()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_what_was_asked_once_is_asked_again_afterwards(names: Names, servers: Servers):
    """Answers are shared by those who wait, and not kept here: how long one is used is for the routes to say."""
    assert 2 * [["127.0.0.1"]] == [await names("shop.example", 443), await names("shop.example", 443)]
    assert 2 * ["shop.example"] == servers.asked


SILENT = """
import asyncio, threading
from paidup.delivery.names import Names

async def main():
    names = Names(lambda host: threading.Event().wait())
    asking = asyncio.create_task(names("silent.example", 443))
    while threading.active_count() == 1:
        await asyncio.sleep(0)
    names.close()
    await asyncio.wait([asking])
    print(asking.cancelled())

asyncio.run(main())
"""


def test_a_process_ends_while_name_servers_are_silent():
    """Nobody is kept from stopping for as long as the operating system goes on asking."""
    ended = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=20, check=True)
    assert ("True\n", "") == (ended.stdout, ended.stderr)


async def test_a_sender_asks_while_all_threads_of_the_event_loop_are_taken(receiver: Receiver):
    """And so the other way round: the loop's threads, by which channels are found, are none of its business."""
    over = threading.Event()
    taken = [asyncio.get_running_loop().run_in_executor(None, over.wait, 60) for _ in range(40)]
    sender = Sender(allow_loopback=True, deadline_s=SOON_S)
    answer = await sender(receiver.url.replace("127.0.0.1", "localhost"), HEADERS, b'{"seq": 1, "order_id": "o"}')
    over.set()
    await asyncio.gather(*taken)
    await sender.aclose()
    assert (200, "") == (answer.status, answer.failure)
