"""`paidup sandbox`: WeChat Pay, Alipay and Stripe on this machine, misbehaving on order."""

from pathlib import Path

import click
import uvloop

from paidup.cli.fault_options import fault_options
from paidup.cli.output import say
from paidup.clock import parse_clock
from paidup.sandbox.buyers import Buyers
from paidup.sandbox.faults import SHARES, Faults
from paidup.sandbox.server import SandboxConfig, run_sandbox
from paidup.settings import load


@click.command()
@click.option("--port", default=8500, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one")
@click.option("--accounts-dir", type=click.Path(path_type=Path), help="where account folders are written")
@click.option("--account", "accounts", multiple=True, default=("main",), show_default=True, help="may be repeated")
@click.option("--paidup-url", default="http://127.0.0.1:8400", show_default=True, help="where callbacks go to")
@click.option("--shop", default="demo", show_default=True)
@click.option("--seed", default=1, show_default=True, help="the same seed befalls the same payments")
@fault_options(dict.fromkeys(SHARES, 0.0))
@click.option("--rate-limit-per-s", default=0, type=click.IntRange(0), help="requests per account; 0: no limit")
@click.option(
    "--lose-for-good/--lose-once",
    default=True,
    show_default=True,
    help="whether a lost callback's retries are lost, too",
)
@click.option(
    "--public-key-share",
    default=0.5,
    type=click.FloatRange(0, 1),
    show_default=True,
    help="of WeChat Pay's notices signed by the public key; the others by the certificate",
)
@click.option("--buyers/--no-buyers", default=True, help="whether buyers pay by themselves", show_default=True)
@click.option("--pay", default=0.97, type=click.FloatRange(0, 1), show_default=True, help="the share of buyers who pay")
@click.option("--median-s", default=25.0, show_default=True, help="how long half of them take")
def command(
    port: int,
    accounts_dir: Path | None,
    accounts: tuple[str, ...],
    paidup_url: str,
    shop: str,
    seed: int,
    public_key_share: float,
    buyers: bool,
    pay: float,
    median_s: float,
    **faults: float,
) -> None:
    """Payment channels that speak the real wire format and misbehave on order; useful alone, too.

    \b
    paidup sandbox --lose 0.3 --repeat 0.2          three in ten callbacks are lost
    paidup sandbox --no-buyers                      nobody pays; then
    curl -X POST localhost:8500/sandbox/pay -d '{"channel":"wechat","merchant_ref":"…"}'
    curl localhost:8500/sandbox/ledger              the truth
    """
    settings = load()
    config = SandboxConfig(
        port=port,
        accounts_dir=accounts_dir or settings.accounts,
        accounts=accounts,
        paidup_url=paidup_url.rstrip("/"),
        shop=shop,
        seed=seed,
        faults=Faults(**faults),  # type: ignore[arg-type]  # click has checked each against its option's type
        public_key_share=public_key_share,
        buyers=Buyers(pay=pay, median_s=median_s) if buyers else None,
    )

    def ready(base_url: str) -> None:
        say(f"sandbox on {base_url}; accounts of shop {shop} are in {config.accounts_dir}")

    uvloop.run(run_sandbox(config, parse_clock(settings.clock), ready=ready))
