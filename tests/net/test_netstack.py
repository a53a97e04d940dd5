# SPDX-License-Identifier: Apache-2.0
"""The TCP/IP stack as a host process against the Linux kernel's, over a tap, with a hostile link between them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from net import _netns
from net._netns import HOST, PEER, Host, Namespace

_REASON = _netns.missing()
pytestmark = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))

#: The longer mode: KERNLET_NET_CONNECTIONS=1000000 for the whole million.
CONNECTIONS = int(os.environ.get("KERNLET_NET_CONNECTIONS", "20000"))
SERVICES = ("echo", "sink", "source")
BAD_LINKS = {
    "loss": ["--loss", "0.03"],
    "reorder": ["--reorder", "0.2", "--reorder-ms", "4"],
    "duplicate": ["--duplicate", "0.2"],
    "corrupt": ["--corrupt", "0.02"],
    "delay": ["--delay-ms", "10", "--loss", "0.01"],
    "all": [
        "--loss",
        "0.05",
        "--reorder",
        "0.1",
        "--duplicate",
        "0.05",
        "--corrupt",
        "0.01",
        "--delay-ms",
        "2",
    ],
}


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    space = Namespace()
    yield space
    space.close()


@pytest.fixture
def offload_namespace() -> Iterator[Namespace]:
    space = Namespace(offload=True)
    yield space
    space.close()


def test_ping_answers_small_and_fragmented(namespace: Namespace) -> None:
    with Host(namespace):
        for size in ("56", "4000", "20000"):
            output = namespace.run("ping", "-c", "3", "-i", "0.05", "-W", "2", "-s", size, HOST)
            assert " 0% packet loss" in output


@pytest.mark.parametrize("service", SERVICES)
def test_bulk_data_arrives_when_linux_connects(namespace: Namespace, service: str) -> None:
    with Host(namespace):
        assert namespace.client(service, 20_000_000)["failed"] == 0


@pytest.mark.parametrize("service", SERVICES)
def test_bulk_data_arrives_with_offloads(offload_namespace: Namespace, service: str) -> None:
    with Host(offload_namespace, "--offload"):
        assert offload_namespace.client(service, 50_000_000)["failed"] == 0


@pytest.mark.parametrize("service", SERVICES)
def test_bulk_data_arrives_when_linux_listens(namespace: Namespace, service: str) -> None:
    port = {"echo": 7, "sink": 9, "source": 19}[service]
    peer = namespace.start(
        sys.executable, str(_netns.HERE / "peer.py"), "serve", PEER, stdin=subprocess.PIPE
    )
    try:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "ready\n"
        host = Host(
            namespace, "--connect", f"{PEER}:{port}", "--service", service, "--bytes", "2000000",
            "--connections", "20", "--parallel", "8",
        )  # fmt: skip
        assert "connections 20 failed 0 " in host.wait()
    finally:
        peer.communicate("", timeout=10)


@pytest.mark.parametrize("link", BAD_LINKS)
@pytest.mark.parametrize("service", SERVICES)
def test_all_bytes_arrive_over_a_bad_link(namespace: Namespace, service: str, link: str) -> None:
    with Host(namespace, "--seed", "7", *BAD_LINKS[link]):
        assert namespace.client(service, 300_000, connections=20, parallel=10)["failed"] == 0


@pytest.mark.parametrize("link", ["loss", "all"])
def test_segmentation_offload_recovers_losses(offload_namespace: Namespace, link: str) -> None:
    arguments = [item for item in BAD_LINKS[link] if item != "--corrupt" and item != "0.01"]
    with Host(offload_namespace, "--offload", "--seed", "3", *arguments):
        for service in SERVICES:
            assert offload_namespace.client(service, 1_000_000, 10, 5)["failed"] == 0


def test_connections_in_waves_are_all_answered(namespace: Namespace) -> None:
    with Host(namespace):
        left, wave = CONNECTIONS, 5000
        while left > 0:
            result = namespace.client("http", 1, min(wave, left), parallel=100)
            assert result["failed"] == 0, result
            left -= wave


def test_many_requests_on_one_connection(namespace: Namespace) -> None:
    with Host(namespace):
        assert namespace.client("http", 200, connections=50, parallel=25)["failed"] == 0


def test_reset_connections_leave_nothing(namespace: Namespace) -> None:
    with Host(namespace):
        assert namespace.client("reset", 100, connections=500, parallel=20)["failed"] == 0


def test_a_port_without_listener_refuses(namespace: Namespace) -> None:
    script = f"import socket; socket.create_connection(('{HOST}', 81), 5)"
    with Host(namespace), pytest.raises(AssertionError, match="ConnectionRefusedError"):
        namespace.run(sys.executable, "-c", script)


def test_udp_echo_and_port_unreachable(namespace: Namespace) -> None:
    script = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect(("{HOST}", 7))
for size in (0, 1, 1472, 1473, 8000, 60000):
    s.send(bytes(i & 255 for i in range(size)))
    assert s.recv(65536) == bytes(i & 255 for i in range(size)), size
s.connect(("{HOST}", 8))
s.send(b"x")
try:
    s.recv(1)
except ConnectionRefusedError:
    print("refused")
"""
    with Host(namespace):
        assert namespace.run(sys.executable, "-c", script) == "refused\n"


def test_small_path_mtu_is_learnt(namespace: Namespace) -> None:
    """A router with a smaller MTU behind the peer: data must still arrive."""
    inner = f"{namespace.name}-far"
    subprocess.run(["ip", "netns", "add", inner], check=True)
    try:
        for command in (
            f"ip netns exec {namespace.name} ip link add v0 type veth peer name v1 netns {inner}",
            f"ip netns exec {namespace.name} ip addr add 10.8.0.1/24 dev v0",
            f"ip netns exec {namespace.name} ip link set v0 mtu 900 up",
            f"ip netns exec {namespace.name} sysctl -qw net.ipv4.ip_forward=1",
            f"ip netns exec {inner} ip addr add 10.8.0.2/24 dev v1",
            f"ip netns exec {inner} ip link set v1 up",
            f"ip netns exec {inner} ip route add default via 10.8.0.1",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        with Host(namespace):
            client = [sys.executable, str(_netns.HERE / "peer.py"), "client", HOST, "source"]
            done = subprocess.run(
                ["ip", "netns", "exec", inner, *client, "--bytes", "1000000"],
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        subprocess.run(["ip", "netns", "del", inner], check=True)


def test_syn_flood_does_not_keep_others_out(namespace: Namespace) -> None:
    """SYNs whose handshake never ends, more than the backlog holds: cookies let the honest in."""
    script = f"""
import os, random, socket, struct, subprocess, sys
from peer import run_clients
import asyncio
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
rng = random.Random(5)
dst = socket.inet_aton("{HOST}")
def flood(n):
    for _ in range(n):
        src = socket.inet_aton("10.9.0.%d" % rng.randrange(3, 250))
        tcp = struct.pack("!HHIIBBHHH", rng.randrange(1024, 65535), 80, rng.getrandbits(32), 0, 5 << 4, 2, 65535, 0, 0)
        pseudo = src + dst + struct.pack("!BBH", 0, 6, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        raw.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, src, dst) + tcp, ("{HOST}", 0))
flood(6000)
sys.exit(asyncio.run(run_clients("{HOST}", "http", 2, 200, 20)))
"""
    with Host(namespace):
        environment = {**os.environ, "PYTHONPATH": str(_netns.HERE)}
        done = subprocess.run(
            ["ip", "netns", "exec", namespace.name, sys.executable, "-c", script],
            capture_output=True, text=True, timeout=100, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]


class DhcpServer:
    """The least of a DHCP server: one address, in a child process in the namespace."""

    SCRIPT = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tk0")
s.bind(("", 67))
print("ready", flush=True)
lease = int(sys.argv[1])
a = socket.inet_aton
while True:
    data, sender = s.recvfrom(2000)
    kind = data[data.index(b"\\x63\\x82\\x53\\x63") + 6]
    print(kind, sender[0], flush=True)
    head = bytes([2, 1, 6, 0]) + data[4:8] + bytes(8) + a("10.9.0.2") + a("10.9.0.1") + bytes(4)
    head += data[28:44] + bytes(192) + b"\\x63\\x82\\x53\\x63"
    options = bytes([53, 1, {1: 2, 3: 5}[kind], 54, 4]) + a("10.9.0.1") + bytes([51, 4]) + struct.pack("!I", lease)
    options += bytes([1, 4]) + a("255.255.255.0") + bytes([3, 4]) + a("10.9.0.1")
    options += bytes([6, 8]) + a("9.9.9.9") + a("8.8.8.8") + bytes([255])
    s.sendto(head + options, ("255.255.255.255" if sender[0] == "0.0.0.0" else sender[0], 68))
"""

    def __init__(self, namespace: Namespace, lease_s: int) -> None:
        self.process = namespace.start(sys.executable, "-c", self.SCRIPT, str(lease_s))
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def stop(self) -> list[str]:
        """End it; return the kinds of messages it got and from where."""
        self.process.terminate()
        return self.process.communicate(timeout=10)[0].splitlines()


def test_dhcp_gives_the_address_and_renews_it(namespace: Namespace) -> None:
    server = DhcpServer(namespace, 4)
    try:
        with Host(namespace, net="dhcp") as host:
            assert host.configuration == f"address {HOST} mask 255.255.255.0 dns 9.9.9.9\n"
            assert namespace.client("echo", 10_000)["failed"] == 0
            time.sleep(2.5)  # half of the lease, and a bit
    finally:
        messages = server.stop()
    assert messages == ["1 0.0.0.0", "3 0.0.0.0", f"3 {HOST}"]


def test_without_dhcp_server_it_starts_all_the_same(namespace: Namespace) -> None:
    _netns.build()  # not part of the start
    begin = time.monotonic()
    with Host(namespace, net="dhcp") as host:
        assert host.configuration.startswith("address 0.0.0.0 ")
        assert time.monotonic() - begin < 30  # it waits for four seconds
