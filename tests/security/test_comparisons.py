"""Secrets and signatures are compared in constant time everywhere. Held over the sources, for a stop-watch would only
measure the machine: what is never compared with == cannot tell by its time where it differs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from paidup.channels.registry import CHANNELS

SOURCE = Path(__file__).parents[2] / "src" / "paidup"
SECRET = re.compile(r"(^|_)(secrets?|signatures?|digest|hexdigest|hmac|mac|tokens?|passwords?|passphrase|apiv3_keys?)$")
HASHES = re.compile(r"^(hmac\.(new|digest)|hashlib\.\w+)$|\.(hex)?digest$")
SAFE = re.compile(r"(^|\.)compare_digest$|\.verify$")

# Each is a comparison of something that nobody outside can send in, or learn from.
ALLOWED = {
    "channels/stripe/keys.py": {"secret.value[2:8] == contrary"},  # our own key's prefix, when the account is read
    "web/idempotency.py": {"bytes(row['request_hash']) != hashed"},  # the caller's own request, and not signed by it
    "sandbox/wechat/bill_desk.py": {"digest[-1] != '0'"},  # spoils a check-sum on order
}


def suspicious(tree: ast.AST) -> Iterator[str]:
    """Comparisons by ==, != or in, of which one side is secret by its name, or is made by hashing."""
    for function in (node for node in ast.walk(tree) if isinstance(node, _SCOPES)):
        hashed = set(_hashed_names(function))
        for node in ast.walk(function):
            if isinstance(node, ast.Compare) and any(isinstance(op, _TELLING) for op in node.ops):
                yield from [ast.unparse(node)] * any(
                    _is_secret(side, hashed) for side in (node.left, *node.comparators)
                )


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)
_TELLING = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def _hashed_names(function: ast.AST) -> Iterator[str]:
    """Names that stand for the outcome of hashing."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _is_hash(node.value):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _is_hash(node: ast.AST) -> bool:
    return any(isinstance(call, ast.Call) and HASHES.search(ast.unparse(call.func)) for call in ast.walk(node))


def _is_secret(side: ast.AST, hashed: set[str]) -> bool:
    while isinstance(side, ast.Subscript | ast.Await):
        side = side.value
    if isinstance(side, ast.Call):
        if ast.unparse(side.func) in ("len", "type", "bool"):
            return False
        return (
            _is_hash(side)
            or _is_secret(side.func, hashed)
            or (isinstance(side.func, ast.Attribute) and _is_secret(side.func.value, hashed))
        )
    if isinstance(side, ast.Attribute) and side.attr == "value":
        return _is_secret(side.value, hashed)
    name = side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
    return name in hashed or bool(SECRET.search(name))


BITES = (
    "def f(signature, ours): return signature == ours",
    "def f(given): return hmac.new(K, given).hexdigest() == given",
    "def f(given):\n    ours = hmac.digest(K, given, 'sha256')\n    return given != ours",
    "def f(account, given): return given in account.webhook_secrets",
    "def f(account, given): return account.secret.value == given",
    "def f(request): return request.token.strip() == TOKEN",
    "async def f(x): return (await x.password) == y",
)
PASSES = (
    "def f(signature, ours): return hmac.compare_digest(signature, ours)",
    "def f(secret): return len(secret) == 32",
    "def f(sign_type): return sign_type == 'RSA2'",
    "def f(key): return key.name == 'main'",
    "def f(secret): return secret is None",
)


@pytest.mark.parametrize("sample", BITES)
def test_the_look_bites(sample: str) -> None:
    """Each careless comparison is found."""
    assert [] != list(suspicious(ast.parse(sample)))


@pytest.mark.parametrize("sample", PASSES)
def test_the_look_lets_the_rest_pass(sample: str) -> None:
    """Lengths, kinds and names are no secrets."""
    assert [] == list(suspicious(ast.parse(sample)))


def test_no_secret_is_compared_in_a_time_that_tells() -> None:
    """Over all sources, but for those that are allowed above with their reasons."""
    texts = {path.relative_to(SOURCE).as_posix(): path.read_text() for path in SOURCE.rglob("*.py")}
    found = {path: set(suspicious(ast.parse(text))) for path, text in texts.items()}
    assert ALLOWED == {path: comparisons for path, comparisons in found.items() if comparisons}


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_every_channel_leaves_the_comparison_to_a_library(channel: str) -> None:
    """Its sign.py calls compare_digest, or the library's verify; and its callback.py calls its sign.py."""
    sign, callback = ((SOURCE / "channels" / channel / name).read_text() for name in ("sign.py", "callback.py"))
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(sign)) if isinstance(node, ast.Call)]
    assert (True, True) == (any(map(SAFE.search, calls)), f"from paidup.channels.{channel}.sign import" in callback)


def test_api_keys_are_looked_up_by_their_hash() -> None:
    """What reaches the database is SHA-256 of the key: learning where that differs tells nothing of a key."""
    text = (SOURCE / "shops" / "store.py").read_text()
    assert ("key_hash = $1" in text, "hashlib.sha256(key.encode()).digest()" in text) == (True, True)
