# SPDX-License-Identifier: Apache-2.0
"""passt(1): the network of an unprivileged guest, one process a VM.

passt gets one end of a socket pair, the VM the other: no socket file that could stay behind, no
user to be allowed to connect, and both start at the same time (frames wait in the socket until
passt reads them). passt ends when the VM does.
"""

from __future__ import annotations

import os

from ._process import Helper, StartError, find_program, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._spec import Network, PortForward

GATEWAY_MAC = "52:55:0a:00:02:02"
_PASST_FD = 3


def passt_path() -> str:
    """Return where passt is; empty when it is missing."""
    return find_program("passt", ("/usr/bin", "/usr/local/bin"))


def _forwards(ports: tuple[PortForward, ...], protocol: str) -> list[str]:
    flag = "-t" if protocol == "tcp" else "-u"
    wanted = [port for port in ports if port.protocol == protocol]
    if not wanted:
        return [flag, "none"]
    out = []
    for port in wanted:
        address = "" if port.host_ip == "0.0.0.0" else f"{port.host_ip}/"  # noqa: S104 - compared, not bound
        out += [flag, f"{address}{port.host_port}:{port.guest_port}"]
    return out


def passt_command(path: str, network: Network) -> list[str]:
    """Return the command line: fixed addresses, published ports only, no way to the host.

    Interface and MAC address are given so that passt starts on a machine without a default route,
    too.
    """
    address, _, bits = network.address.partition("/")
    return [
        path,
        *("--foreground", "--quiet", "--fd", str(_PASST_FD), "--ipv4-only"),
        *("--interface", "lo", "--mac-addr", GATEWAY_MAC),
        *("--address", address, "--netmask", bits or "24", "--gateway", network.gateway),
        *("--dns-forward", network.nameserver, "--no-map-gw"),
        *_forwards(network.ports, "tcp"),
        *_forwards(network.ports, "udp"),
    ]


def start_passt(network: Network) -> tuple[Helper, int]:
    """Start passt; return it and the VM's end of the connection, which the caller closes.

    Raises :class:`StartError` when passt is missing.
    """
    import socket

    path = passt_path()
    if not path:
        raise StartError("passt is not installed", hint="apt-get install passt, or use --net none")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (ours, theirs):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
    errors_read, errors_write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        fds = {0: null, 1: null, 2: errors_write, _PASST_FD: theirs.fileno()}
        pid = spawn(passt_command(path, network), fds, own_group=True)
    except StartError:
        os.close(errors_read)
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(errors_write)
        os.close(null)
    return Helper("passt", pid, errors_read), ours.detach()
