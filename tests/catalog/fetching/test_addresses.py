"""Which addresses and URLs the fetcher accepts, without a connection."""

import ipaddress
import socket

import pytest

from catalog.fetching.addresses import (
    BlockedAddressError,
    build_networks,
    find_literal_address,
    is_address_allowed,
    make_guarded_socket,
)
from catalog.fetching.policy import FetchError, FetchPolicy, build_redirect_url, validate_url

POLICY = FetchPolicy()

FORBIDDEN_NETWORKS = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32", "100.100.100.200/32",
    "::/128", "::1/128", "::127.0.0.1/128", "::169.254.169.254/128", "::ffff:0.0.0.0/104", "::ffff:10.0.0.0/104",
    "::ffff:127.0.0.0/104", "::ffff:169.254.0.0/112", "::ffff:0:127.0.0.1/128", "64:ff9b::/96", "64:ff9b:1::/48",
    "100::/64", "2001::/32", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16", "3fff::/20",
    "5f00::/16", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip
PUBLIC_ADDRESSES = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "168.63.129.15", "168.63.129.17", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1",
]  # fmt: skip


@pytest.mark.parametrize("network", FORBIDDEN_NETWORKS)
def test_first_middle_and_last_address_of_a_forbidden_network_are_refused(network):
    addresses = ipaddress.ip_network(network)

    for position in (0, addresses.num_addresses // 2, addresses.num_addresses - 1):
        assert not is_address_allowed(addresses[position])


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_address_is_allowed(address):
    assert is_address_allowed(ipaddress.ip_address(address))


def test_opened_network_is_allowed_and_its_neighbours_are_not():
    networks = build_networks(["10.1.0.0/16", " fd00:1::/32 ", ""])

    assert is_address_allowed(ipaddress.ip_address("10.1.255.255"), allowed_networks=networks)
    assert is_address_allowed(ipaddress.ip_address("::ffff:10.1.0.1"), allowed_networks=networks)
    assert is_address_allowed(ipaddress.ip_address("fd00:1::5"), allowed_networks=networks)
    assert not is_address_allowed(ipaddress.ip_address("10.2.0.0"), allowed_networks=networks)
    assert not is_address_allowed(ipaddress.ip_address("fd00:2::5"), allowed_networks=networks)


def test_network_that_cannot_be_read_is_an_error():
    with pytest.raises(ValueError, match=r"10\.1\.0\.1/16"):
        build_networks(["10.1.0.1/16"])


@pytest.mark.parametrize(
    "host,address",
    [("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"),
     ("0", "0.0.0.0"), ("fe80::1%25lo", "fe80::1"), ("shop.example", None), ("127.0.0.1.example", None)],
)  # fmt: skip
def test_address_is_read_in_every_spelling(host, address):
    assert find_literal_address(host) == (ipaddress.ip_address(address) if address else None)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%lo", "169.254.169.254", "not an address"])
def test_no_socket_is_made_for_a_forbidden_address(address, monkeypatch):
    made = []
    monkeypatch.setattr(socket, "socket", lambda **options: made.append(options))

    with pytest.raises(BlockedAddressError):
        make_guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)), allowed_networks=())

    assert made == []


@pytest.mark.parametrize(
    "url",
    [
        # F20, F21: schemes
        "file:///etc/passwd", "ftp://shop.example/1.jpg", "gopher://shop.example/", "data:image/png;base64,AAAA",
        "dict://shop.example:80/", "javascript:alert(1)", "HTTPX://shop.example/",
        # F22: no host
        "//evil.example/1.jpg", "http://", "http:///x", "http:shop.example", "shop.example/1.jpg", "", "http://?x", "http://#x",
        # F23: credentials
        "http://user:pw@shop.example/", "http://example.com@127.0.0.1/", "http://@shop.example/",
        "http://127.0.0.1\\@example.com/", "http://shop.example:80@127.0.0.1/",
        # F24: ports
        "http://shop.example:0/", "http://shop.example:22/", "http://shop.example:5432/", "http://shop.example:6379/",
        "http://shop.example:99999/", "http://shop.example:-1/", "http://shop.example:http/",
        # F58: characters and length
        "http://shop.example/\0", "http://shop.example/1.jpg\r\nHost: evil", "http://shop.example/%0d%0aHost:%20evil",
        "http://shop.example/%00", "http://shop.example/" + "a" * 10_240, " http://shop.example/", "http://shop.example/\ud800",
        "http://exa mple.com/", "http://exa%0ample.com/", "http://shop_\u202e.example/", "http://-shop.example-/",
        "http://[::1/", "http://[]/",
    ],
)  # fmt: skip
def test_url_is_invalid(url):
    with pytest.raises(FetchError) as raised:
        validate_url(url, policy=POLICY)

    assert raised.value.code == "url_invalid"
    assert raised.value.retryable is False


@pytest.mark.parametrize(
    "url,ready",
    [
        ("https://shop.example/1.jpg", "https://shop.example/1.jpg"),
        ("HTTP://Shop.Example:80/1.jpg?x=1#part", "http://shop.example/1.jpg?x=1"),
        ("http://shop.example/a b.jpg", "http://shop.example/a%20b.jpg"),
        ("http://shop.example?x=1", "http://shop.example/?x=1"),
        ("http://shop.example#x", "http://shop.example/"),
        # what no request line can hold, as browsers write it
        (
            'http://shop.example/"<>\\^`{|}é?"<>é',
            "http://shop.example/%22%3C%3E%5C%5E%60%7B%7C%7D%C3%A9?%22%3C%3E%C3%A9",
        ),
        # the rest as it was published
        *(
            (url, url)
            for url in (
                "http://shop.example/a%2Fb.jpg?k=%2B%26",
                "http://shop.example/%27%28%29%2C%3A%40%7E%41%2e%c3%a9.jpg",
                "http://shop.example/'(),:@~!$&*+;=[].jpg?'()[]{}|\\^`,;:@/?!$*+",
                "http://shop.example/1.jpg?",
                "http://shop.example/?",
                "http://shop.example/1.jpg??&&=",
                "http://shop.example//a/./b/../c//d.jpg",
                "http://shop.example/100%.jpg?%zz%",
                "http://shop.example/1.jpg?u=http%3A%2F%2Fcdn.example%2Fa.jpg",
                "http://shop.example/_9eO=/smart/http%3A%2F%2Fcdn.example%2Fa.jpg",
                "http://shop.example/" + "a" * 8_000,
            )
        ),
        # F59: international names, homographs
        ("http://münchen.example/ü.jpg", "http://xn--mnchen-3ya.example/%C3%BC.jpg"),
        ("http://xn--80ak6aa92e.example/1.jpg", "http://xn--80ak6aa92e.example/1.jpg"),
        ("http://8.8.8.8/1.jpg", "http://8.8.8.8/1.jpg"),
        ("http://shop.example./1.jpg", "http://shop.example./1.jpg"),
    ],
)
def test_url_is_ready_for_a_request(url, ready):
    assert str(validate_url(url, policy=POLICY)) == ready


@pytest.mark.parametrize(
    "url",
    ["http://\uff11\uff12\uff17.\uff10.0.1/", "http://\u2460\u2461\u2466.0.0.1/", "http://127\u30020\u30020\u30021/"],
)
def test_address_in_other_digits_is_blocked(url):
    with pytest.raises(FetchError) as raised:
        validate_url(url, policy=POLICY)

    assert raised.value.code == "url_blocked"


def test_settings_open_ports(settings):
    settings.FETCH_ALLOWED_PORTS = [8443]

    assert validate_url("https://shop.example:8443/1.jpg")
    with pytest.raises(FetchError):
        validate_url("https://shop.example/1.jpg")


@pytest.mark.parametrize(
    "location,target",
    [("/2.jpg", "https://shop.example/2.jpg"), ("2.jpg", "https://shop.example/a//b%2F/2.jpg"),
     ("//cdn.example/2.jpg", "https://cdn.example/2.jpg"), ("https://cdn.example/2.jpg", "https://cdn.example/2.jpg"),
     ("https://cdn.example/a/../%27%2F.jpg?%2F%27'#x", "https://cdn.example/a/../%27%2F.jpg?%2F%27'"),
     ("/a/../%2C%28.jpg?", "https://shop.example/a/../%2C%28.jpg?"), ("/é b.jpg", "https://shop.example/%C3%A9%20b.jpg"),
     ("/caf\udce9.jpg", "https://shop.example/caf%E9.jpg"), ("?", "https://shop.example/a//b%2F/1.jpg?"),
     ("?x=%2F", "https://shop.example/a//b%2F/1.jpg?x=%2F"), ("#x", "https://shop.example/a//b%2F/1.jpg?k=%2F"),
     ("%2F/2.jpg?a/../b", "https://shop.example/a//b%2F/%2F/2.jpg?a/../b"),
     ("./2.jpg", "https://shop.example/a//b%2F/2.jpg"), ("../2.jpg", "https://shop.example/a//2.jpg"),
     ("../../../../../2.jpg", "https://shop.example/2.jpg"), ("x/..", "https://shop.example/a//b%2F/"),
     (".", "https://shop.example/a//b%2F/"), ("x//y/.?", "https://shop.example/a//b%2F/x//y/?")],
)  # fmt: skip
def test_redirect_leads_on(location, target):
    current = validate_url("https://shop.example/a//b%2F/1.jpg?k=%2F", policy=POLICY)

    assert str(build_redirect_url(current, location, policy=POLICY)) == target


@pytest.mark.parametrize(
    "location,code",
    [("http://shop.example/2.jpg", "url_blocked"), ("http://169.254.169.254/latest", "url_blocked"),
     ("https://[::1]/", "url_blocked"), ("file:///etc/passwd", "url_invalid"), ("ftp://shop.example/", "url_invalid"),
     ("https://shop.example:22/", "url_invalid"), ("https://user:pw@shop.example/", "url_invalid"),
     ("https://[::1/", "url_invalid"), ("https:2.jpg", "url_invalid"), ("/%0d%0aHost:x", "url_invalid"),
     ("//user@cdn.example/", "url_invalid"), ("//127.0.0.1/?@shop.example", "url_blocked"),
     ("/" + "é" * 2_000, "url_invalid"), ("https://evil.example\\@shop.example/", "url_invalid")],
)  # fmt: skip
def test_redirect_is_checked_like_a_url_and_stays_on_https(location, code):
    current = validate_url("https://shop.example/a/1.jpg", policy=POLICY)

    with pytest.raises(FetchError) as raised:
        build_redirect_url(current, location, policy=POLICY)

    assert raised.value.code == code
