"""`paidup reconcile download`: the file of a kept bill."""

import hashlib
from hmac import compare_digest
from pathlib import Path

import click

from paidup.cli.output import done, json_option, run
from paidup.cli.whoami import by_option, speaker
from paidup.clock import SystemClock
from paidup.db.transaction import Database
from paidup.errors import InvalidRequest
from paidup.people.user import Right
from paidup.reconcile import download as kept_files
from paidup.reconcile.bills import Kept
from paidup.settings import Settings


@click.command()
@click.argument("bill_id")
@click.option("--to", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@by_option
@json_option
def download(bill_id: str, folder: Path, by: str, as_json: bool) -> None:
    """Write the file of a kept bill, as it came, into a folder. Who took it stands in the audit.

    \b
    paidup reconcile download bil_01jd… --by anna
    """

    async def work(db: Database, _settings: Settings) -> tuple[Kept, Path]:
        actor = await speaker(db, by)
        actor.must_have(Right.MONEY)
        kept, name = await kept_files.hand_out(db, bill_id, shop=None, actor=actor, now=SystemClock().now())
        return kept, await _written(db, kept, folder / name)

    kept, path = run(work)
    said = {"id": kept.id, "path": str(path), "size_bytes": kept.size_bytes, "sha256": kept.sha256.hex()}
    done(f"{path}: {kept.size_bytes} bytes, as they came", said, as_json=as_json)


async def _written(db: Database, kept: Kept, path: Path) -> Path:
    """Raises InvalidRequest when something of this name is there already."""
    digest = hashlib.sha256()
    try:
        with path.open("xb") as file:
            async for part in kept_files.content(db, kept):
                digest.update(part)
                file.write(part)
    except FileExistsError:
        raise InvalidRequest(f"{path} is there already: move it away, or give another folder with --to") from None
    if not compare_digest(digest.digest(), kept.sha256):
        raise InvalidRequest(f"{path} is not what was kept: run `paidup verify`, the database is damaged")
    return path
