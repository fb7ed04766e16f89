"""What the benches share: a durable embedded database, an account with real keys, signed WeChat Pay callbacks."""

import base64
import contextlib
import json
import string
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench import cpu
from paidup.clock import SystemClock
from paidup.db.embedded import Embedded, start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.housekeeping import run_once as housekeeping
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.keys import Keys, make_keys, sign

DISTINCT = 8000
"""Different callbacks: more than the slowest peer answers in a round, so that each of its orders is paid once."""

NOBODY = "http://127.0.0.1:9"

_WAL_FILES = 36
"""So many of 16 MB are written between two checkpoints that come because of their number (`max_wal_size`)."""

# A new server makes each file of its WAL full of zeros when it needs it, and whoever commits waits for that. One that
# has run for an hour takes files that it used before.
NEXT_WAL_FILE = "SELECT pg_switch_wal() FROM pg_logical_emit_message(true, 'bench', 'a file has something in it')"


@dataclass
class World:
    """A migrated, durable database (fsync on), account folders, and their keys. taken: numbers of payments so far."""

    folder: Path
    embedded: Embedded
    db: Database
    keys: Keys
    now: datetime
    taken: int = 0

    @property
    def payee(self) -> str:
        """Whom the account's callbacks name as the receiver of the money."""
        return f"{self.keys.wechat.mchid}/{self.keys.wechat.appid}"

    async def postmaster(self) -> int:
        """The process id of the server. Raises RuntimeError when it does not run."""
        pid = (await self.embedded.status()).pid
        if pid is None:
            raise RuntimeError("the bench's PostgreSQL does not run any more")
        return pid


def as_on_slower_disk(flush_ms: float) -> dict[str, str]:
    """Settings with which each flush of the WAL takes so much longer. PostgreSQL waits for that long (at most 100 ms)
    with the lock of the flush in hand, just before it; whoever commits meanwhile is flushed with it, as on a slow disk.
    """
    return {"commit_delay": str(round(flush_ms * 1000)), "commit_siblings": "0"} if flush_ms else {}


@contextlib.asynccontextmanager
async def world(options: Mapping[str, str] | None = None) -> AsyncIterator[World]:
    """Everything below a temporary folder; gone afterwards. options: settings for postgresql.conf."""
    with tempfile.TemporaryDirectory(prefix="paidup-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        async with await start_embedded(folder / "data", options=options) as embedded:
            db = await Database.connect(embedded.dsn)
            await migrate(db)
            now = SystemClock().now()
            await housekeeping(db, now=now)
            await _no_longer_new(db)
            keys = make_keys(now)
            write_accounts(folder / "accounts", keys, base_url=NOBODY, paidup_url=NOBODY, shop="bench")
            place = World(folder, embedded, db, keys, now)
            yield place
            cpu.not_ours_s += cpu.family_cpu_s(await place.postmaster())
            await db.close()


async def _no_longer_new(db: Database) -> None:
    """Let the server have the files of WAL that one has after its first hour."""
    async with db.session() as tx:
        for _ in range(_WAL_FILES):
            await tx.fetchval(NEXT_WAL_FILE)
        await tx.execute("CHECKPOINT")


def callbacks(keys: Keys, now: datetime, count: int) -> list[bytes]:
    """Whole HTTP requests, each with a callback of its own, signed with the public key that the account knows."""
    return [signed(keys, now, f"pay{n:026}") for n in range(count)]


def signed(keys: Keys, now: datetime, ref: str) -> bytes:
    """One of them: the payment of this number (some letters and then digits) was paid, says WeChat Pay at `now`."""
    wechat, n = keys.wechat, int(ref.lstrip(string.ascii_letters))
    plain = {
        "mchid": wechat.mchid,
        "appid": wechat.appid,
        "out_trade_no": ref,
        "transaction_id": f"42{n:026}",
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": now.isoformat(timespec="seconds"),
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 1250, "payer_total": 1250, "currency": "CNY", "payer_currency": "CNY"},
    }
    sealed = AESGCM(wechat.apiv3).encrypt(b"abcdefghijkl", json.dumps(plain).encode(), b"transaction")
    resource = {
        "original_type": "transaction",
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "associated_data": "transaction",
        "nonce": "abcdefghijkl",
    }
    notice = {
        "id": f"EV-{n:030}",
        "create_time": now.isoformat(timespec="seconds"),
        "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS",
        "summary": "支付成功",
        "resource": resource,
    }
    body = json.dumps(notice).encode()
    timestamp, nonce = int(now.timestamp()), f"nonce{n:027}"
    signature = sign(wechat.public, f"{timestamp}\n{nonce}\n".encode() + body + b"\n")
    head = (
        "POST /callbacks/wechat/main HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"wechatpay-timestamp: {timestamp}\r\nwechatpay-nonce: {nonce}\r\nwechatpay-signature: {signature}\r\n"
        f"wechatpay-serial: {wechat.public_key_id}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
