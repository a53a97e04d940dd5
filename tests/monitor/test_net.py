# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor import tap_peer
from monitor.harness import command, run, start, wait_for_line

CSUM, GUEST_CSUM, MTU, GUEST_TSO4, HOST_TSO4, MRG_RXBUF = 0, 1, 3, 7, 11, 15


def has(features: int, *bits: int) -> bool:
    return all(features >> bit & 1 for bit in bits)


def can_use_namespaces() -> bool:
    if os.geteuid() or not Path("/dev/net/tun").exists():
        return False
    return subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0


@pytest.mark.skipif(not can_use_namespaces(), reason="needs root, /dev/net/tun and unshare")
def test_frames_cross_a_tap_both_ways() -> None:
    script = str(Path(tap_peer.__file__))
    done = subprocess.run(
        ["unshare", "-n", sys.executable, script, *command("echo")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    seen = json.loads(done.stdout)
    assert (seen["same"], seen["burst"], seen["status"]) == (78, 60, 0), seen
    # one frame in several mergeable buffers
    assert f"large {tap_peer.LARGE}" in seen["log"]
    assert "mtu 9000" in seen["log"]
    features = int(seen["log"].split("features ")[1].split()[0])
    assert has(features, CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4, MRG_RXBUF)


class Passt:
    """Plays passt: frames with a 32-bit length before them on a stream socket."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5)
        self.vm = start(
            "echo",
            *("--net", f"passt-fd:{theirs.fileno()},mac=52:54:00:00:00:09"),
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        assert self.vm.stderr is not None
        self.log = wait_for_line(self.vm.stderr, "ready")

    @staticmethod
    def packed(frame: bytes) -> bytes:
        return struct.pack(">I", len(frame)) + frame

    def send(self, frame: bytes) -> None:
        self.socket.sendall(self.packed(frame))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise ConnectionError
            data += chunk
        return data

    def receive(self) -> bytes:
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def end(self) -> tuple[int, str]:
        self.send(tap_peer.frame(b"Q", 60))
        status = self.vm.wait(5)
        assert self.vm.stderr is not None
        rest = self.vm.stderr.read().decode()
        self.close()
        return status, rest

    def close(self) -> None:
        self.vm.kill()
        self.vm.wait()
        self.socket.close()
        assert self.vm.stderr is not None
        self.vm.stderr.close()


def answer_to(frame: bytes) -> bytes:
    return tap_peer.US + tap_peer.THEM + frame[12:]


def test_passt_frames_of_all_sizes_come_back() -> None:
    passt = Passt()
    for size in [60, 61, 100, 1500, 2000, 2036]:
        frame = tap_peer.frame(b"E", size)
        passt.send(frame)
        assert passt.receive() == answer_to(frame)
    assert passt.end() == (0, "")
    features = int(passt.log[0].split()[1])
    assert has(features, GUEST_CSUM, MTU, MRG_RXBUF)
    assert not has(features, CSUM)
    assert not has(features, HOST_TSO4)
    assert "mtu 65520" in passt.log


def test_passt_frame_cut_into_pieces_is_put_together() -> None:
    passt = Passt()
    first, second = tap_peer.frame(b"E", 500), tap_peer.frame(b"E", 60)
    stream = passt.packed(first) + passt.packed(second)
    for at in range(0, len(stream), 7):
        passt.socket.sendall(stream[at : at + 7])
        time.sleep(0.0005)
    assert passt.receive() == answer_to(first)
    assert passt.receive() == answer_to(second)
    assert passt.end() == (0, "")


def test_passt_frame_of_64_kib_uses_many_buffers() -> None:
    passt = Passt()
    passt.send(tap_peer.frame(b"E", 65535))
    status, log = passt.end()
    assert (status, log) == (0, "large 65535\n")


def test_passt_that_reads_slowly_loses_nothing() -> None:
    passt = Passt()
    passt.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    frames = [tap_peer.frame(b"E", 1000 + i) for i in range(800)]
    sent = received = 0
    pending = b""
    passt.socket.setblocking(False)
    stuck = 0
    while received < len(frames):
        writable = sent < len(frames)
        readable, can_write, _ = select.select(
            [passt.socket], [passt.socket] if writable else [], [], 3
        )
        assert readable or can_write, f"stalled after {received} of {len(frames)} frames"
        if can_write and (not readable or stuck < 200):
            try:
                pending = pending or passt.packed(frames[sent])
                pending = pending[passt.socket.send(pending) :]
                sent += not pending
                stuck += 1
            except BlockingIOError:
                stuck = 200
        else:
            passt.socket.settimeout(3)
            assert passt.receive() == answer_to(frames[received])
            passt.socket.setblocking(False)
            received += 1
    passt.socket.settimeout(3)
    assert passt.end() == (0, "")


@pytest.mark.parametrize("length", [0, 13, 65536, 0xFFFFFFFF])
def test_passt_that_breaks_the_protocol_is_left(length: int) -> None:
    passt = Passt()
    passt.socket.sendall(struct.pack(">I", length) + bytes(64))
    assert passt.vm.stderr is not None
    assert "host's side is gone" in wait_for_line(passt.vm.stderr, "kernlet-monitor")[-1]
    assert passt.vm.poll() is None
    passt.close()


def test_passt_that_ends_does_not_end_the_guest() -> None:
    passt = Passt()
    passt.socket.close()
    assert passt.vm.stderr is not None
    assert "host's side is gone" in wait_for_line(passt.vm.stderr, "kernlet-monitor")[-1]
    passt.vm.terminate()
    assert passt.vm.wait(5) == 143
    passt.close()


@pytest.mark.parametrize(
    ("net", "text"),
    [
        ("tap:nosuchtap", "no such interface"),
        ("tap:lo", "tap lo: "),
        ("passt:/nowhere", "passt at /nowhere: "),
        ("passt-fd:0", "not a stream socket"),
        ("passt-fd:99", "not a stream socket"),
    ],
)
def test_missing_network_gets_one_clear_line(net: str, text: str) -> None:
    done = run("echo", "--net", net)
    assert done.status == 125
    assert text in done.log
    assert len(done.log.splitlines()) == 1
