"""The tutorial, carried out as its reader would: each shell block in its terminal, each output compared with the text.

Nothing is changed but the ports, the data folder, where `paidup` is installed, and the clock: it runs at half speed, so
that a busy machine has done what comes before the first question when that is asked. A block that the text repeats
"until it says so" is repeated, because that is what its reader does.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from paidup.clock import SystemClock
from paidup.demo.processes import free_port

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "lost-callback.md"
BLOCK = re.compile(
    r"(?P<again><!-- until it says so -->\n)?```sh\n(?P<typed>.*?)```(?:(?:(?!```).)*?```text\n(?P<shown>.*?)```)?",
    re.DOTALL,
)
BIN = Path(sys.executable).parent
END = "-- end of block --"
MAX_TIMES = 200
HANGS_AFTER_S = 300
"""No claim about speed: what says nothing for so long will say nothing at all."""


class Block(NamedTuple):
    """What is typed, the lines that must then be shown in this order, and whether it is typed until they are."""

    typed: str
    shown: list[str]
    again: bool

    @property
    def is_server(self) -> bool:
        return self.typed.startswith("make ")


def blocks(text: str) -> list[Block]:
    """Every shell block with the text block that follows before the next shell block."""
    return [
        Block(found["typed"], (found["shown"] or "").splitlines(), bool(found["again"]))
        for found in BLOCK.finditer(text)
    ]


def missing(shown: list[str], said: str) -> list[str]:
    """The lines of the text that were not printed in this order; `…` stands for anything within a line."""
    lines = iter(said.splitlines())
    patterns = [
        (line, re.compile(".*".join(map(re.escape, line.rstrip().split("…"))))) for line in shown if line != "…"
    ]
    return [line for line, pattern in patterns if not any(pattern.fullmatch(printed.rstrip()) for printed in lines)]


def here(text: str, data: Path) -> str:
    """The tutorial with ports and folders of this run's own."""
    paidup, sandbox = free_port(), free_port()
    ours = {
        'make sandbox ARGS="': f'make sandbox ARGS="--port {sandbox} --paidup-url http://127.0.0.1:{paidup} ',
        "make serve": f'make serve ARGS="--port {paidup}"',
        ":8400": f":{paidup}",
        ":8500": f":{sandbox}",
        "are in .paidup/": f"are in {data}/",
        "$PWD/.venv/bin": str(BIN),
    }
    for theirs, mine in ours.items():
        assert theirs in text, f"the tutorial no longer says {theirs}"
        text = text.replace(theirs, mine)
    return text.replace("make s", f"make -s -o .venv/ready RUN={BIN}/paidup s")


@asynccontextmanager
async def terminal(data: Path, clock: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A shell with an almost empty environment; it is ended by its own id."""
    own = {"HOME": str(data), "PAIDUP_DATA": str(data), "PAIDUP_CLOCK": clock}
    shell = await asyncio.create_subprocess_exec(
        "bash", cwd=ROOT, env={"PATH": "/usr/local/bin:/usr/bin:/bin", **own},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield shell
    finally:
        if shell.returncode is None:
            shell.terminate()
        await shell.communicate()


async def typed(shell: asyncio.subprocess.Process, block: Block) -> str:
    """Type a block; returns what it prints, of a server only as far as the text shows it."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    text = f"exec {block.typed}" if block.is_server else f"{block.typed}echo; echo {END}\n"
    shell.stdin.write(text.encode())
    said = ""
    async with asyncio.timeout(HANGS_AFTER_S):
        while line := (await shell.stdout.readline()).decode():
            if line.strip() == END:
                break
            said += line
            if block.is_server and not missing(block.shown, said):
                break
    return said


async def test_the_tutorial_does_what_it_says(reachable_dir: Path) -> None:
    """Every block in order, in an empty folder: what the text shows is printed, and the lost callback heals."""
    todo = blocks(here(TUTORIAL.read_text(encoding="utf-8"), reachable_dir))
    assert [True, True] + [False] * (len(todo) - 2) == [block.is_server for block in todo]
    clock = f"{SystemClock().now().isoformat()}*0.5"
    async with AsyncExitStack() as stack:
        first, second, third = [await stack.enter_async_context(terminal(reachable_dir, clock)) for _ in range(3)]
        for shell, block in zip([first, second] + [third] * (len(todo) - 2), todo, strict=True):
            for _ in range(MAX_TIMES if block.again else 1):
                said = await typed(shell, block)
                absent = missing(block.shown, said)
                if not absent:
                    break
            assert [] == absent, f"after\n{block.typed}\nthis was printed:\n{said}"


def test_a_line_that_is_not_printed_is_missed() -> None:
    """Another order of the lines, another word, and a line that is shorter than the text says are each found."""
    said = "paid at 8\nand told\n"
    assert [] == missing(["paid at …", "and told"], said)
    assert [["paid at …"], ["and heard"], ["paid at … sharp"]] == [
        missing(shown, said) for shown in (["and told", "paid at …"], ["and heard"], ["paid at … sharp"])
    ]


def test_every_block_of_the_tutorial_is_found() -> None:
    """A fence that is not closed, or of another kind, would take its commands out of the test."""
    text = TUTORIAL.read_text(encoding="utf-8")
    found = blocks(text)
    assert (text.count("```sh\n"), 2 * text.count("```sh\n") + 2 * text.count("```text\n")) == (
        len(found),
        text.count("```"),
    )
    assert text.count("```text\n") == sum(bool(block.shown) for block in found)
