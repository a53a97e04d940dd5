# SPDX-License-Identifier: Apache-2.0
"""What the tests of examples as ordinary programs share."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of the loopback address that neither TCP nor UDP uses at the moment."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            number = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number
