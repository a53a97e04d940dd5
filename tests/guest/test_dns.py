# SPDX-License-Identifier: Apache-2.0
"""The DNS example as a kernlet: dig asks it from outside, over UDP and TCP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from examples.dns_checks import CHECKS, Address, check_slow_client, wait_until_it_answers
from examples.native import free_port

ROOT = Path(__file__).resolve().parents[2]
IMAGE_BYTES_MAX = 449_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dns_image(image: Callable[[str], Path]) -> Path:
    return image("dns")


def test_image_is_small(dns_image: Path) -> None:
    assert dns_image.stat().st_size <= IMAGE_BYTES_MAX


def own_address() -> str:
    """Return an address of this machine's that is not a loopback one.

    With --no-map-gw, passt takes no answers to datagrams that came from a loopback address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            pytest.skip("no address but loopback: passt forwards no UDP from there")
        return str(probe.getsockname()[0])


class Server(NamedTuple):
    """A kernlet and where it answers."""

    service: Any
    at: Address


@pytest.fixture(scope="module")
def server(dns_image: Path, runner: str, service: Any) -> Iterator[Server]:
    host, number = own_address(), free_port()
    ports = ("-p", f"{host}:{number}:53", "-p", f"{host}:{number}:53/udp")
    with service(dns_image, runner, 53, *ports) as dns:
        wait_until_it_answers((host, number), dns.limit)
        yield Server(dns, (host, number))


def test_greeting(server: Server) -> None:
    assert (ROOT / "examples" / "dns" / "expected.txt").read_text() in server.service.console()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_kernlet(check: Callable[[Address], None], server: Server) -> None:
    check(server.at)
    assert server.service.record()["status"] == "running", server.service.console()


@pytest.mark.slow
def test_slow_client(server: Server) -> None:
    check_slow_client(server.at)
