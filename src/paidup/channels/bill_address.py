"""Where a bill may be fetched from: the address comes from the channel, and some downloads carry our key."""

from urllib.parse import urlsplit

from paidup.channels.channel import Account
from paidup.errors import InvalidRequest
from paidup.host import is_name

_MAX_CHARS = 4000


def address_of(url: str, account: Account, hosts: tuple[str, ...]) -> tuple[str, str]:
    """The base URL and the target of a download address.

    It must be at the account's own address, or at one of `hosts` (``.alipay.com`` means any host below it), which are
    always asked over TLS, even where the channel still writes http. Raises InvalidRequest for any other.
    """
    if len(url) > _MAX_CHARS or not (url.isascii() and url.isprintable()) or " " in url:
        raise InvalidRequest(f"{url[:80]!r} is no address to download from")
    try:
        parts, own = urlsplit(url), urlsplit(account.base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidRequest(f"{url[:80]!r} is no address to download from") from None
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return account.base_url, target
    known = is_name(host) and any(host == name or (name.startswith(".") and host.endswith(name)) for name in hosts)
    if not known or parts.username is not None or port not in (None, 443, 80) or parts.scheme not in ("https", "http"):
        raise InvalidRequest(f"the bill lies at {parts.scheme}://{host[:80]}, which is none of the channel's addresses")
    return f"https://{host}", target
