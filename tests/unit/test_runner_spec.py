# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernlet.runner import (
    Network,
    PortError,
    PortForward,
    SpecError,
    check_ports,
    parse_network,
    parse_port,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("64MiB", 64 << 20),
        ("64MB", 64 << 20),
        ("1G", 1 << 30),
        ("1.5k", 1536),
        ("8b", 8),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1M", "1X", "1.M", "b", "1 000", "0x10", "²M", "1e3"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="not a size"):
        parse_size(text)


def test_ports_are_bound_to_the_loopback_address_unless_given() -> None:
    assert parse_port("8080:80") == PortForward("127.0.0.1", 8080, 80, "tcp")
    assert parse_port("0.0.0.0:53:5353/udp") == PortForward("0.0.0.0", 53, 5353, "udp")
    assert str(parse_port("1:2/udp")) == "127.0.0.1:1->2/udp"


@pytest.mark.parametrize(
    "text", ["80", "a:80", "80:", ":80", "0:80", "80:65536", "1:2/sctp", "1.2.3:1:2", "x:1:2", ""]
)
def test_what_is_not_a_port_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_port(text)


@given(st.text(max_size=20))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    try:
        port = parse_port(text)
    except SpecError:
        return
    assert 0 < port.host_port < 65536
    assert 0 < port.guest_port < 65536


def test_user_network_has_a_fixed_address() -> None:
    assert parse_network("user", ()).setting() == "ip:10.0.2.15/24,gw:10.0.2.2,dns:10.0.2.3"


def test_tap_network() -> None:
    network = parse_network("tap:kl0,ip=10.1.0.2/24,gw=10.1.0.1,mac=52:54:00:00:00:09", ())
    assert network.interface == "kl0"
    assert network.mac == "52:54:00:00:00:09"
    assert network.setting() == "ip:10.1.0.2/24,gw:10.1.0.1"
    assert parse_network("tap:kl0", ()).setting() == "dhcp"


@pytest.mark.parametrize("text", ["", "tap:", "bridge", "user:x", "tap:a,ip=1.2.3.4", "tap:a,x=1"])
def test_what_is_not_a_network_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_network(text, ())


def test_ports_need_the_user_network() -> None:
    ports = (parse_port("8080:80"),)
    for text in ("none", "tap:kl0"):
        with pytest.raises(SpecError):
            parse_network(text, ports)
    assert parse_network("none", ()) == Network()


def test_a_port_in_use_is_named_before_the_boot() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(PortError, match=f"port {taken}/tcp of 127.0.0.1 is in use; stop what"):
            check_ports([PortForward("127.0.0.1", taken, 80, "tcp")])
    check_ports([PortForward("127.0.0.1", taken, 80, "tcp")])


def test_a_udp_port_in_use_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        with pytest.raises(PortError, match="in use"):
            check_ports([PortForward("127.0.0.1", taken, 53, "udp")])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortError, match="not an address of this machine"):
        check_ports([PortForward("192.0.2.77", 8080, 80, "tcp")])
