from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl import networks
from keyctl.errors import UsageError
from keyctl.networks import address_or_none, contain, parse_address, parse_networks
from keyctl.text import visible
from tests.fuzzing import examples, mutated


@pytest.mark.parametrize(
    ("networks", "ip", "within"),
    [
        (["192.0.2.0/24"], "192.0.2.0", True),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.7/32"], "192.0.2.7", True),
        (["192.0.2.7/32"], "192.0.2.8", False),
        (["198.51.100.0/24", "192.0.2.7"], "192.0.2.7", True),
        (["0.0.0.0/0"], "203.0.113.9", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["::/0"], "192.0.2.7", False),
        ([], "192.0.2.7", False),
        # A dual-stack listener reports IPv4 peers so.
        (["192.0.2.0/24"], "::ffff:192.0.2.1", True),
        (["192.0.2.0/24"], "::ffff:c000:201", True),
        (["192.0.2.0/24"], "::ffff:192.0.3.1", False),
        (["192.0.2.0/24"], "::192.0.2.1", False),
        (["192.0.2.0/24"], "64:ff9b::192.0.2.1", False),
    ],
)
def test_an_address_is_in_a_network_or_not(networks: list[str], ip: str, *, within: bool):
    assert contain(networks, ip) is within


@pytest.mark.parametrize(
    "ip",
    [
        "",
        " ",
        "unknown",
        "localhost",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.256",
        "192.0.2.01",
        "0xc0.0.2.1",
        "3221225985",
        " 192.0.2.1",
        "192.0.2.1 ",
        "192.0.2.1\n",
        "192.0.2.1:443",
        "192.0.2.1, 198.51.100.7",
        "192.0.2.0/24",
        "１９２.0.2.1",
        "[::1]",
        ":::1",
    ],
)
def test_a_text_that_is_no_address_is_in_no_network(ip: str):
    assert contain(["0.0.0.0/0", "::/0"], ip) is False
    with pytest.raises(UsageError):
        parse_address(ip)


def test_networks_are_kept_in_one_form_each_once_in_their_order():
    read = parse_networks(["2001:DB8:0::/32", "192.0.2.7", "192.0.2.7/32", "198.51.100.0/255.255.255.0"])

    assert read == ("2001:db8::/32", "192.0.2.7/32", "198.51.100.0/24")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", None),
    ],
)
def test_a_network_of_mapped_addresses_is_the_ipv4_network_that_it_means(given: str, kept: str | None):
    if kept is None:
        with pytest.raises(UsageError):
            parse_networks([given])
        return

    networks = parse_networks([given])

    assert networks == (kept,)
    assert contain(networks, "192.0.2.7")
    assert contain(networks, "::ffff:192.0.2.7")


@pytest.mark.parametrize(
    ("value", "network"),
    [("192.0.2.7/24", "192.0.2.0/24"), ("2001:db8::1/32", "2001:db8::/32"), ("10.0.0.1/8", "10.0.0.0/8")],
)
def test_host_bits_are_refused_and_the_network_is_reported(value: str, network: str):
    with pytest.raises(UsageError) as error:
        parse_networks(["198.51.100.7", value])

    assert error.value.message == f'"{value}" is not a network'
    assert error.value.hint == f"its network is {network}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "everywhere",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/",
        "192.0.2.0/24/24",
        "2001:db8::/129",
        "*",
        "\x1b[31m",
        "192.0.2.*",
    ],
)
def test_what_is_no_network_is_refused_with_an_example(value: str):
    with pytest.raises(UsageError) as error:
        parse_networks([value])

    assert "is not a network" in error.value.message
    assert "192.0.2.0/24" in error.value.hint
    assert error.value.message.isprintable()


def test_no_networks_are_none():
    assert parse_networks([]) == ()


def test_an_address_is_kept_in_one_form():
    assert parse_address("2001:DB8:0:0::1") == "2001:db8::1"
    assert parse_address("192.0.2.7") == "192.0.2.7"


ADDRESSES = ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "192.0.2.0/255.255.255.0", "192.0.2.1/24", "2001:db8::/32"]
ADDRESSES += ["::1", "::ffff:192.0.2.0/120", "fe80::1%eth0", "fe80::1%eth0/64", "2001:DB8:0:0::1/128", "::/0"]


@examples(200, 10_000)
@example("fe80::1%\x1b[31m")
@example("fe80::%eth0/64")
@given(mutated(st.sampled_from(ADDRESSES)) | st.text(max_size=20))
def test_a_text_is_a_network_that_is_written_as_it_is_read_or_is_refused(text: str):
    try:
        [network] = parse_networks([text])
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - most texts are refused, not all
        if (error.hint or "").startswith("its network is "):
            proposed = error.hint.removeprefix("its network is ")
            assert parse_networks([proposed]) == (proposed,) or "::ffff:" in proposed
        return

    assert parse_networks([network]) == (network,)
    assert re.fullmatch(r"[0-9a-f.:]+/[0-9]+", network)
    assert contain([network], network.partition("/")[0])


@examples(200, 10_000)
@example("fe80::1%\x1b[31m")
@example("::ffff:1.2.3.4%x")
@given(mutated(st.sampled_from(ADDRESSES)) | st.text(max_size=20))
def test_a_text_is_an_address_that_is_written_as_it_is_read_or_is_refused(text: str):
    try:
        address = parse_address(text)
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - most texts are refused, not all
        return

    assert parse_address(address) == address
    assert re.fullmatch(r"[0-9a-f.:]+", address)
    assert contain(parse_networks([address]), text)


ADDRESSES = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
    st.ip_addresses(v=6).map(lambda address: f"{address}%eth0"),
    st.sampled_from(["10.1.2.3", "010.1.2.3", " 10.1.2.3", "", "x", "fe80::1%" + "z" * 60, "1" * 5000]),
)


@examples(100, 10_000)
@given(
    networks=st.lists(st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "192.0.2.7", "::/0", "fe80::/10"])).map(tuple),
    ips=st.lists(ADDRESSES),
)
def test_an_address_that_was_asked_about_before_gets_the_same_answer(networks: tuple[str, ...], ips: list[str]):
    def plainly(ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in ip_network(network) for network in networks)

    for ip in ips * 2:
        assert contain(networks, ip) == contain(list(networks), ip) == plainly(ip)
        assert address_or_none(ip) == _plain_address(ip)


def _plain_address(ip: str) -> str | None:
    try:
        return str(ip_address(ip)).partition("%")[0]
    except ValueError:
        return None


def test_addresses_that_callers_make_up_do_not_fill_the_memory():
    for number in range(10_000):
        contain(("10.0.0.0/8",), f"10.{number % 256}.{number // 256}.1")
        address_or_none(f"10.{number % 256}.{number // 256}.1")

    for remembered in (networks._remembered_contain, networks._remembered_address):
        before = remembered.cache_info()
        contain(("10.0.0.0/8",), "1" * 60_000)
        address_or_none("1" * 60_000)
        assert before.currsize == before.maxsize == 4096
        assert remembered.cache_info() == before
