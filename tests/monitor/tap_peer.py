# SPDX-License-Identifier: Apache-2.0
"""The host's side of the tap tests, in a network namespace of its own; prints what it saw."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

ETHERTYPE = 0x88B5
US = bytes.fromhex("020000000001")
THEM = bytes.fromhex("525400000009")
LARGE = 8000


def frame(kind: bytes, size: int) -> bytes:
    return THEM + US + ETHERTYPE.to_bytes(2, "big") + kind + os.urandom(size - 15)


def receive(peer: socket.socket) -> bytes:
    while True:
        data = peer.recv(65536)
        if data[:6] == US:
            return data


def burst(peer: socket.socket, count: int) -> int:
    """Send all frames before looking for answers; count the answers."""
    for _ in range(count):
        peer.send(frame(b"E", 1000))
    answers = 0
    try:
        while answers < count:
            receive(peer)
            answers += 1
    except TimeoutError:
        pass
    return answers


def main(command: list[str]) -> None:
    for words in ("tuntap add tapm mode tap vnet_hdr", "link set tapm up mtu 9000"):
        subprocess.run(["ip", *words.split()], check=True)
    vm = subprocess.Popen(
        [*command, "--net", "tap:tapm,mac=52:54:00:00:00:09"], stderr=subprocess.PIPE, text=True
    )
    assert vm.stderr is not None
    log = []
    for line in vm.stderr:
        log.append(line)
        if line == "ready\n":
            break
    peer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    peer.bind(("tapm", ETHERTYPE))
    peer.settimeout(3)
    same = 0
    for size in [60, 61, 1000, 1514, 1515, 2000, *range(60, 1500, 20)]:
        sent = frame(b"E", size)
        peer.send(sent)
        same += receive(peer) == US + THEM + sent[12:]
    peer.settimeout(1)
    answers = burst(peer, 60)
    peer.send(frame(b"E", LARGE))
    peer.send(frame(b"Q", 60))
    status = vm.wait(5)
    log.append(vm.stderr.read())
    print(json.dumps({"same": same, "burst": answers, "status": status, "log": "".join(log)}))


if __name__ == "__main__":
    main(sys.argv[1:])
