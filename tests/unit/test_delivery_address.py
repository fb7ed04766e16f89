"""Claims about which addresses may be called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup.delivery.address import Forbidden, Target, check, parse, refusal
from paidup.errors import InvalidRequest

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1"]
INSIDE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:0808:0808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("ip", PUBLIC)
def test_a_public_address_may_be_called(ip: str):
    """Ordinary addresses of both families pass."""
    assert refusal(ip, allow_loopback=False) is None


@pytest.mark.parametrize("allow_loopback", [False, True])
@pytest.mark.parametrize("ip", INSIDE)
def test_no_inner_address_may_be_called_even_in_development(ip: str, allow_loopback: bool):
    """Private, link-local, metadata, multicast and translated addresses are refused with a reason."""
    assert refusal(ip, allow_loopback=allow_loopback) is not None


@pytest.mark.parametrize("ip", LOOPBACK)
def test_this_machine_may_be_called_in_development_only(ip: str):
    """Loopback is a switch of its own."""
    assert ("which is this machine", None) == (refusal(ip, allow_loopback=False), refusal(ip, allow_loopback=True))


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(text: str):
    """Forms that only some libraries read are no addresses."""
    assert "which is no IP address" == refusal(text, allow_loopback=True)


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_an_ipv4_address_inside_an_ipv6_one_is_refused(number: int):
    """Mapped, compatible, NAT64 and 6to4: the way through them leads to whatever IPv4 address they carry."""
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    forms = [f"::ffff:{high}:{low}", f"64:ff9b::{high}:{low}", f"2002:{high}:{low}::1"]
    assert [] == [form for form in forms if refusal(form, allow_loopback=True) is None]


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://shop.example.com/paidup", "shop.example.com", 443),
        ("https://shop.example.com:8443/a?b=c", "shop.example.com", 8443),
        ("https://xn--fiq228c.example/", "xn--fiq228c.example", 443),
        ("https://8.8.8.8/hook", "8.8.8.8", 443),
        ("https://[2606:4700:4700::1111]:444/", "2606:4700:4700::1111", 444),
        ("https://[2606:4700:4700::ABCD]/", "2606:4700:4700::abcd", 443),
        ("https://Shop.Example.com:/", "shop.example.com", 443),
    ],
)
def test_an_https_url_of_a_public_host_is_accepted(url: str, host: str, port: int):
    """Names are judged later, when they are resolved."""
    assert Target(url, "https", host, port) == parse(url, allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example.com",
        "//shop.example.com/",
        "http://shop.example.com/",
        "ftp://shop.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:pass@shop.example.com/",
        "https://shop.example.com@10.0.0.1/",
        "https://shop.example.com/#fragment",
        "https://shop.example.com:0/",
        "https://shop.example.com:99999/",
        "https://shop.example.com:port/",
        "https://shop example.com/",
        "https://shop.example.com/\r\nHost: x",
        "https://shop.example.com\\@10.0.0.1/",
        "https://商店.example/",
        "https://-shop.example/",
        "https://shop..example/",
        "https://" + "a" * 64 + ".example/",
        "https://shop.example.com/" + "a" * 2048,
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[2606:4700:4700::1111]x/",
        "https://[2606:4700:4700::1111]443/",
        "https://[::ffff:8.8.8.8]/",
        "https://[fe80::1%25eth0]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.1./",
        "https://8.8.8.8./",
        "https://%31%32%37.0.0.1/",
    ],
)
def test_a_url_that_leads_elsewhere_is_refused(url: str):
    """Each trick ends in InvalidRequest, before anything is sent."""
    with pytest.raises(InvalidRequest):
        parse(url, allow_loopback=False)


def test_development_allows_http_to_this_machine_only():
    """With allow_loopback plain http reaches loopback, and nothing but loopback."""
    url = "http://127.0.0.1:8000/hook"
    assert Target(url, "http", "127.0.0.1", 8000) == parse(url, allow_loopback=True)
    for elsewhere in ("http://8.8.8.8/", "http://10.0.0.1/", "http://[2606:4700:4700::1111]/"):
        with pytest.raises(InvalidRequest):
            parse(elsewhere, allow_loopback=True)


def test_all_addresses_of_a_name_are_checked():
    """One inner address among public ones forbids the name."""
    target = parse("https://shop.example.com/", allow_loopback=False)
    assert ("8.8.8.8", "1.1.1.1") == check(target, ["8.8.8.8", "1.1.1.1"], allow_loopback=False)
    with pytest.raises(Forbidden, match=r"leads to 10\.0\.0\.1"):
        check(target, ["8.8.8.8", "10.0.0.1"], allow_loopback=False)


def test_a_name_without_addresses_is_forbidden():
    """There is nothing to connect to, and the reason says so."""
    with pytest.raises(Forbidden, match="no address"):
        check(parse("https://shop.example.com/", allow_loopback=False), [], allow_loopback=False)


def test_a_name_over_http_must_lead_to_this_machine():
    """In development a name that resolves to a public address is not called over http."""
    target = parse("http://shop.example.com/", allow_loopback=True)
    assert ("127.0.0.1",) == check(target, ["127.0.0.1"], allow_loopback=True)
    with pytest.raises(Forbidden, match="https only"):
        check(target, ["8.8.8.8"], allow_loopback=True)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8600/hooks", "http://localhost:8600/hooks", "https://127.0.0.1/hooks"]
)
def test_whoever_tries_it_on_their_own_machine_is_told_the_setting(url: str):
    """The first receiver of most people listens on loopback: the refusal names what allows it, and no other host."""
    with pytest.raises(InvalidRequest, match="PAIDUP_ALLOW_LOOPBACK_ENDPOINTS=true"):
        parse(url, allow_loopback=False)
    with pytest.raises(Forbidden, match="PAIDUP_ALLOW_LOOPBACK_ENDPOINTS=true"):
        check(parse("https://shop.example.com/", allow_loopback=False), ["127.0.0.1"], allow_loopback=False)
