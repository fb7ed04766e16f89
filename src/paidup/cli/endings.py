"""How a command ends when something around it fails: one line that says what, and an exit code that no verdict has.

Exit code 1 belongs to verdicts, as "a breach" of `paidup verify`: who looks at it must not be woken because a disk was
full, or a database away.
"""

import os
import sys

import click

from paidup.errors import PaidupError
from paidup.log import one_line

FAILED = 2
PIPE_CLOSED = 141
"""As of a program that SIGPIPE ended: who read along has closed the pipe, as `head` does."""


LOOK_THERE = {
    "there is no payment": "`paidup trace` finds it by any other number",
    "there is no order": "`paidup orders find` finds it by any other number",
    "there is no callback": "`paidup callbacks list` and `paidup callbacks quarantine` show those that are here",
    "there is no open case": "`paidup cases list` shows those that are open",
    "there is no refund": "`paidup trace` finds its order by any other number",
}
"""What was not found → where to look, for a command line; pages and the API say it in their own words."""


def told(error: PaidupError) -> str:
    """The one line that an error of ours is told by, with what to do next."""
    text = str(error)
    advice = next((advice for begins, advice in LOOK_THERE.items() if text.startswith(begins)), "")
    return one_line(f"paidup: {text}; {advice}" if advice and "`paidup" not in text else f"paidup: {text}")


def prepare_streams() -> None:
    """Let every text be printed, in whatever encoding the terminal has, and give a descriptor that was closed a place:
    otherwise the next file or socket that is opened takes its number, and what is printed goes there."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def end_unread() -> None:
    """Exit as whoever reads along wants: quietly."""
    _let_go_of_stdout()
    sys.exit(PIPE_CLOSED)


def _let_go_of_stdout() -> None:
    """What is buffered still goes somewhere when Python ends: it would end with an exit code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def end_if_not_our_fault(error: BaseException) -> None:
    """Exit with one line where that says all; return where a traceback is needed."""
    if isinstance(error, SystemExit):
        if isinstance(error.__context__, BrokenPipeError):  # rich makes exit code 1 of it, too
            sys.exit(PIPE_CLOSED)
        return
    why = _why(error)
    if why:
        _let_go_of_stdout()
        click.echo(one_line(f"paidup: {why}"), err=True)
        sys.exit(FAILED)


def _why(error: BaseException) -> str | None:
    from paidup.db.away import is_away, takes_no_writes  # the driver is loaded by those who need it

    chain = [one for one in (error, error.__cause__, error.__context__) if one]
    if any(map(is_away, chain)):
        return "the database went away in the middle; what was begun may be done or not: look before you run it again"
    if any(map(takes_no_writes, chain)):
        from paidup.db.migrate import NO_WRITES

        return NO_WRITES
    if any(isinstance(one, UnicodeEncodeError) for one in chain) and not all(map(_is_text, sys.argv)):
        return "an argument is not UTF-8: does the terminal write what LANG and LC_ALL say it does?"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename if error.filename is not None else 'it could not be done'}: {error.strerror}"
    return None


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
