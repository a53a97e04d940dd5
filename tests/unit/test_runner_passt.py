# SPDX-License-Identifier: Apache-2.0
"""passt itself, with a guest's side made of a few bytes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.monitor import install
from kernlet.runner import (
    HelperError,
    MonitorRunner,
    Network,
    RunSpec,
    StartError,
    parse_network,
    parse_port,
    passt_path,
)
from kernlet.runner._passt import GATEWAY_MAC, passt_command, start_passt

GUEST_MAC = bytes.fromhex("525400123456")
needs_passt = pytest.mark.skipif(not passt_path(), reason="passt is not installed")


def user_network(*ports: str) -> Network:
    return parse_network("user", tuple(parse_port(port) for port in ports))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Wire:
    """The guest's end of the connection: frames with their length in front."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.settimeout(5)

    def send(self, frame: bytes) -> None:
        self.socket.sendall(struct.pack("!I", len(frame)) + frame)

    def receive(self) -> bytes:
        (size,) = struct.unpack("!I", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part
            data += part
        return data


def arp_for(address: str) -> bytes:
    head = b"\xff" * 6 + GUEST_MAC + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    own = socket.inet_aton("10.0.2.15")
    return head + GUEST_MAC + own + bytes(6) + socket.inet_aton(address)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(name="wire")
def make_wire(port: int) -> Iterator[Wire]:
    if not passt_path():
        pytest.skip("passt is not installed")
    helper, fd = start_passt(user_network(f"{port}:80"))
    wire = Wire(fd)
    yield wire
    wire.socket.close()
    helper.reap()


def test_the_gateway_answers_with_its_fixed_address(wire: Wire) -> None:
    wire.send(arp_for("10.0.2.2"))
    answer = wire.receive()
    assert answer[:6] == GUEST_MAC
    assert answer[22:28] == bytes.fromhex(GATEWAY_MAC.replace(":", ""))


def test_a_published_port_reaches_the_guest(wire: Wire, port: int) -> None:
    wire.send(arp_for("10.0.2.2"))
    wire.receive()
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        while (frame := wire.receive())[12:14] != b"\x08\x00":
            pass
        assert socket.inet_ntoa(frame[30:34]) == "10.0.2.15"
        assert struct.unpack("!H", frame[36:38]) == (80,)
    with socket.socket() as other, pytest.raises(OSError, match=r"refused|unreachable"):
        other.connect(("127.0.0.2", port))


@needs_passt
def test_passt_ends_with_the_vm() -> None:
    helper, fd = start_passt(user_network())
    os.close(fd)
    before = time.monotonic()
    helper.reap()
    assert time.monotonic() - before < 0.45  # by itself, not by force


@needs_passt
def test_passt_starts_without_a_default_route() -> None:
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    command = passt_command(passt_path(), user_network())
    at = command.index("--fd")
    command[at : at + 2] = ["--one-off", "--socket", "/proc/self/fd/nowhere"]
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    # It comes as far as its socket, which cannot be made there.
    assert "interface" not in done.stderr
    assert "socket" in done.stderr.lower()


@needs_passt
def test_a_failing_passt_stops_the_vm_and_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setenv("KERNLET_MONITOR", str(install(tmp_path)))
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        spec = RunSpec("/image", 1 << 20, argv=("guest", "sleep", "20"))
        null = os.open(os.devnull, os.O_RDWR)
        spec = spec._replace(stdin_fd=null, stdout_fd=null, stderr_fd=null, log_fd=null)
        process = MonitorRunner().start(spec._replace(network=user_network(f"{port}:80")))
        os.close(null)
        with pytest.raises(HelperError, match=r"passt failed.*Failed to bind any port"):
            process.wait()


@needs_passt
@pytest.mark.parametrize(
    ("number", "cause"), [(9, "SIGKILL ended it"), (15, "it ended while the guest ran")]
)
def test_a_passt_that_is_killed_stops_the_vm_and_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cause: str
) -> None:
    monkeypatch.setenv("KERNLET_MONITOR", str(install(tmp_path)))
    null = os.open(os.devnull, os.O_RDWR)
    spec = RunSpec("/image", 1 << 20, (), ("guest", "sleep", "20"), user_network())
    process = MonitorRunner().start(
        spec._replace(stdin_fd=null, stdout_fd=null, stderr_fd=null, log_fd=null)
    )
    os.close(null)
    assert process.helper is not None
    time.sleep(0.3)  # it has begun to heed signals
    os.kill(process.helper.pid, number)
    with pytest.raises(HelperError, match=f"passt failed.*{cause}"):
        process.wait()


def test_a_missing_passt_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernlet.runner._passt.passt_path", lambda: "")
    with pytest.raises(StartError, match="apt-get install passt"):
        start_passt(user_network())


def test_only_published_ports_are_bound() -> None:
    command = " ".join(passt_command("passt", user_network("8080:80", "0.0.0.0:53:53/udp")))
    assert "-t 127.0.0.1/8080:80" in command
    assert "-u 53:53" in command
    nothing = " ".join(passt_command("passt", user_network()))
    assert "-t none -u none" in nothing
