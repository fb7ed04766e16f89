"""`paidup sandbox`: WeChat Pay, Alipay and Stripe on this machine, misbehaving on order."""

import asyncio
from pathlib import Path

import click

from paidup.cli.output import say
from paidup.clock import parse_clock
from paidup.sandbox.buyers import Buyers
from paidup.sandbox.faults import Faults
from paidup.sandbox.server import SandboxConfig, run_sandbox
from paidup.settings import load

_SHARE = click.FloatRange(0, 1)


@click.command()
@click.option("--port", default=8500, show_default=True, type=int)
@click.option("--accounts-dir", type=click.Path(path_type=Path), help="where account folders are written")
@click.option("--paidup-url", default="http://127.0.0.1:8400", show_default=True, help="where callbacks go to")
@click.option("--shop", default="demo", show_default=True)
@click.option("--seed", default=1, show_default=True, help="the same seed befalls the same payments")
@click.option("--lose", default=0.0, type=_SHARE, help="callbacks that never arrive")
@click.option("--repeat", default=0.0, type=_SHARE, help="callbacks sent twice")
@click.option("--delay", default=0.0, type=_SHARE, help="callbacks that come a minute late")
@click.option("--reorder", default=0.0, type=_SHARE, help="callbacks overtaken by later ones")
@click.option("--corrupt", default=0.0, type=_SHARE, help="callbacks with a flipped bit")
@click.option("--forge", default=0.0, type=_SHARE, help="callbacks joined by a forged one")
@click.option("--slow", default=0.0, type=_SHARE, help="requests answered after seconds")
@click.option("--hang", default=0.0, type=_SHARE, help="requests acted on and never answered")
@click.option("--fail", default=0.0, type=_SHARE, help="requests answered with 5xx")
@click.option("--buyers/--no-buyers", default=True, help="whether buyers pay by themselves", show_default=True)
@click.option("--pay", default=0.97, type=_SHARE, show_default=True, help="the share of buyers who pay")
@click.option("--median-s", default=25.0, show_default=True, help="how long half of them take")
def command(
    port: int,
    accounts_dir: Path | None,
    paidup_url: str,
    shop: str,
    seed: int,
    lose: float,
    repeat: float,
    delay: float,
    reorder: float,
    corrupt: float,
    forge: float,
    slow: float,
    hang: float,
    fail: float,
    buyers: bool,
    pay: float,
    median_s: float,
) -> None:
    """Payment channels that speak the real wire format and misbehave on order; useful alone, too.

    \b
    paidup sandbox --lose 0.3 --repeat 0.2          three in ten callbacks are lost
    paidup sandbox --no-buyers                      nobody pays; then
    curl -X POST localhost:8500/sandbox/pay -d '{"channel":"wechat","merchant_ref":"…"}'
    curl localhost:8500/sandbox/ledger              the truth
    """
    settings = load()
    faults = Faults(
        lose=lose,
        repeat=repeat,
        delay=delay,
        reorder=reorder,
        corrupt=corrupt,
        forge=forge,
        slow=slow,
        hang=hang,
        fail=fail,
    )
    config = SandboxConfig(
        port=port,
        accounts_dir=accounts_dir or settings.accounts,
        paidup_url=paidup_url.rstrip("/"),
        shop=shop,
        seed=seed,
        faults=faults,
        buyers=Buyers(pay=pay, median_s=median_s) if buyers else None,
    )

    def ready(base_url: str) -> None:
        say(f"sandbox on {base_url}; accounts of shop {shop} are in {config.accounts_dir}")

    asyncio.run(run_sandbox(config, parse_clock(settings.clock), ready=ready))
