"""How the gateway answers: one JSON member named for the method, and the signature of its bytes as they stand."""

from collections.abc import Mapping

import msgspec

from paidup.sandbox.wire import Tell

INVALID = {"code": "40002", "msg": "Invalid Arguments"}


def ok(told: Mapping[str, str]) -> dict[str, str]:
    """A success."""
    return {"code": "10000", "msg": "Success", **told}


def no(sub_code: str, sub_msg: str) -> dict[str, str]:
    """A refusal."""
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": sub_msg}


def unsigned(method: str, told: Mapping[str, str]) -> Tell:
    """Who is not known, or asks too often, gets no signature."""
    return answer(method, msgspec.json.encode(told), None)


def answer(method: str, inner: bytes, signature: str | None) -> Tell:
    """What was encoded already, with its signature."""
    name = f"{method.replace('.', '_')}_response" if method.replace(".", "").isalnum() else "error_response"
    sealed = b"" if signature is None else f',"sign":"{signature}"'.encode()
    return Tell(200, {"content-type": "text/html;charset=utf-8"}, b'{"%b":%b%b}' % (name.encode(), inner, sealed))


def cashier(merchant_ref: str) -> Tell:
    """The page that the buyer's browser is sent to."""
    page = f"<!doctype html><title>Sandbox cashier</title><p>Pay {merchant_ref} by POST /sandbox/pay.</p>"
    return Tell(200, {"content-type": "text/html; charset=utf-8"}, page.encode())
