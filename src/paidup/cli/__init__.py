"""The command line: data on stdout, everything else on stderr, `--json` everywhere."""

import difflib
import importlib
import signal
import sys
from typing import Any

import click

from paidup import __version__
from paidup.cli import endings
from paidup.errors import PaidupError

COMMANDS = {
    "demo": "orders paid through three sandboxed channels while callbacks are lost and processes die",
    "serve": "receive callbacks, ask channels, tell the shop",
    "sandbox": "the other side: WeChat Pay, Alipay and Stripe, misbehaving on order",
    "simulate": "everything that can go wrong, by seed: days of trouble in a second",
    "trace": "any id → the whole life of its payment",
    "verify": "prove that nothing is lost or doubled",
    "doctor": "is everything set up so that promises can be kept?",
    "metrics": "the business in figures, as Prometheus reads them",
    "callbacks": "what the channels told us, and what could not be verified",
    "stock": "what can be sold, what is set aside, and every movement",
    "orders": "find by any number or the end of one; close",
    "payments": "list, show, ask the channel now, confirm, refund",
    "approvals": "what waits for a second person",
    "repair": "what is asked next, and who is silent",
    "reconcile": "the channels' bills beside our books: run, breaks, approve",
    "report": "what finance people are given: day, month, breaks, books",
    "deliveries": "what the shop was told; dead letters",
    "tx": "transactions across services: see them, decide where they are stuck",
    "cases": "what a person must decide",
    "users": "who may sign in to the console",
    "audit": "what people did by hand",
    "keys": "channel keys and API keys",
    "settings": "what is in force, and where each value comes from",
    "db": "migrations, shops, the embedded server",
}


class _Lazy(click.Group):
    """Loads a command's module only when it is called, so that `--help` is quick."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"paidup.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for one that is misspelt."""
        near = difflib.get_close_matches(args[0], COMMANDS, n=1) if args[0] not in COMMANDS else []
        if near:
            ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """As click does, which prints `--help` and `--version` here, but for its exit code 1 when nobody reads on."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            endings.end_unread()
            raise

    def invoke(self, ctx: click.Context) -> object:
        """As click does, but for its exit code 1 when nobody reads on: that is a verdict's."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            endings.end_unread()
            raise

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Paidup: every payment reaches its order exactly once.

    \b
    paidup demo --once        see it happen in a minute
    paidup serve              run it; settings are PAIDUP_* (docs/reference/settings.md)
    paidup trace 4200001234   why is this payment as it is?
    """


def main() -> None:
    """Entry point: our own errors become one line for people, and exit code 2; whoever is told to end exits with 130.

    SIGTERM ends a command as Ctrl-C does: what it has opened is closed, in the reverse order.
    """
    endings.prepare_streams()
    # A shell's background process inherits that Ctrl-C is ignored; then SIGTERM would be, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("paidup: told to end; nothing was left running", err=True)
        sys.exit(130)
    except PaidupError as error:
        click.echo(endings.told(error), err=True)
        sys.exit(2)
    except BaseException as error:
        endings.end_if_not_our_fault(error)
        raise
