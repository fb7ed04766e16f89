"""The documents keep step with the code: the reference is what the generator writes, and what is quoted exists."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from paidup.cli import cli
from paidup.console.words_zh import WORDS as CHINESE
from paidup.repair.due import PAYMENT_SCHEDULES
from paidup.settings import describe

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
READMES = ("README.md", "README.zh-CN.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^\s*(?:\$ )?(paidup (?!=)[^|#>\n]*?)(?=\s{2,}|\s*[|#>\n]|$)", re.MULTILINE)
"""A line that begins with a command; what stands behind two spaces explains it."""
SETTING = re.compile(r"PAIDUP_[A-Z_]*[A-Z]")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = generator().pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_generator_writes(name: str) -> None:
    """`make docs` was run after the code changed."""
    assert PAGES[name] == (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_quotes_exists(document: Path) -> None:
    """Its links lead somewhere; its commands, options and settings are known."""
    text = document.read_text(encoding="utf-8")
    assert [] == [*dead_links(document, text), *unknown_commands(text), *unknown_settings(text)]


def test_the_paths_of_the_architecture_exist() -> None:
    """Every path in the table "Where is …?" is there."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:src|tests|docs|bench)/[\w./-]+)`", text)
    assert (True, []) == (len(paths) > 15, [path for path in paths if not (ROOT / path).exists()])


def test_both_readmes_show_the_same_commands() -> None:
    """Who reads Chinese gets no other commands than who reads English."""
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert (commands(english), english.count("\n## ")) == (commands(chinese), chinese.count("\n## "))


def test_both_readmes_lead_to_the_same_pages() -> None:
    """Each page that one of them names is named by the other, in its language where there are two."""
    english, chinese = ({*LINK.findall((ROOT / name).read_text(encoding="utf-8"))} for name in READMES)
    pages = {link.replace(".zh-CN.md", ".md").replace(".zh.png", ".en.png") for link in chinese}
    assert english - pages - {*READMES} == set() == pages - english - {*READMES}


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("case", "Cases"), ("approval", "Approvals"), ("callback", "Callbacks"), ("delivery", "Deliveries"),
        ("channel", "Channels"), ("quarantine", "Quarantine"), ("reconcile", "Reconcile"), ("query budget", "Budget"),
        ("parked", "callback parked"), ("held", "payment held"), ("customer, buyer", "Buyer"),
    ],
)  # fmt: skip
def test_the_console_says_the_words_of_the_glossary(word: str, shown: str) -> None:
    """Who reads Chinese finds the word on the screen as the glossary has it."""
    rows = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    (chinese,) = [row.split(" | ")[1] for row in rows if row.startswith(f"| {word} |")]
    assert chinese.partition("（")[0] in CHINESE[shown]


@pytest.mark.parametrize("channel", ["wechat", "stripe"])
def test_the_explained_schedule_is_the_one_in_force(channel: str) -> None:
    """The page that tells why a payment heals shows every step of the schedule, with its reason."""
    text = (ROOT / "docs" / "explanation" / "why-a-payment-heals.md").read_text(encoding="utf-8")
    shown = text.partition(f"<!-- schedule of {channel} -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    steps = PAYMENT_SCHEDULES[channel]
    assert shown == [f"| {step.from_age_s:.0f} s | {step.gap_s:.0f} s | {step.why} |" for step in steps]


def test_what_make_prints_into_a_file_is_what_was_asked_for_alone() -> None:
    """Where a page sends a target's output into a file, make must not write its own command there as well."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    into_files = {
        name
        for page in DOCUMENTS
        for name in re.findall(r"^make (\w+) .*> \S+", page.read_text(encoding="utf-8"), re.M)
    }
    loud = [name for name in into_files if not re.search(rf"^{name}:.*\n\t@.*\n\n", makefile, re.M)]
    assert (True, []) == ("chaos" in into_files, loud)


def test_a_proxy_that_is_shown_says_who_called() -> None:
    """Passing on what the caller claims, it would let him choose the address under which his refusals are counted."""
    blocks = [
        block
        for path in DOCUMENTS
        for block in re.findall(r"^location [^{]*\{.*?^\}", path.read_text("utf-8"), re.M | re.S)
    ]
    named = ["proxy_set_header X-Forwarded-For $remote_addr;" in block for block in blocks if "proxy_pass" in block]
    assert (True, []) == (len(named) > 0, [one for one in named if not one])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_whoever_follows_a_page_has_a_shop_before_its_key(document: Path) -> None:
    """The sandbox's shop is not there by itself: each page that makes a key for it makes the shop before."""
    before, makes_a_key, _ = document.read_text(encoding="utf-8").partition("paidup keys create-api demo")
    assert not makes_a_key or "paidup db shop demo" in before


def test_the_checks_bite() -> None:
    """A dead link, an unknown command, an unknown option and an unknown setting are each found."""
    sample = "[x](nowhere.md)\n\n    paidup fly\n    paidup serve --wings 2\n    PAIDUP_WINGS\n"
    found = [*dead_links(ROOT / "README.md", sample), *unknown_commands(sample), *unknown_settings(sample)]
    assert ["link nowhere.md", "command paidup fly", "option --wings of paidup serve", "setting PAIDUP_WINGS"] == found


def dead_links(document: Path, text: str) -> list[str]:
    local = [link for link in LINK.findall(text) if not link.startswith(("http://", "https://", "mailto:"))]
    return [f"link {link}" for link in local if not (document.parent / link).exists()]


def commands(text: str) -> list[str]:
    return [found.strip() for found in COMMAND.findall(text)]


def unknown_commands(text: str) -> list[str]:
    return [wrong for quoted in commands(text) for wrong in _wrong_with(quoted)]


def _wrong_with(quoted: str) -> list[str]:
    words = shlex.split(quoted.replace("…", "x"), posix=True)[1:]
    command: click.Command = cli
    path = ["paidup"]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        path.append(words.pop(0))
        if inner is None:
            return [f"command {' '.join(path)}"]
        command = inner
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    return [f"option {name} of {' '.join(path)}" for name in sorted(given - known - {"--help"})]


def unknown_settings(text: str) -> list[str]:
    known = {setting.name for setting in describe()} | {"PAIDUP_TEST_DATABASE_URL"}
    return [f"setting {name}" for name in dict.fromkeys(SETTING.findall(text)) if name not in known]
