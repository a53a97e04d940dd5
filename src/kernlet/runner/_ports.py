# SPDX-License-Identifier: Apache-2.0
"""Finding out before the boot that a port cannot be published."""

from __future__ import annotations

from kernlet.errors import KernletError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._spec import PortForward


class PortError(KernletError):
    """A port of the host cannot be published."""


def check_ports(ports: Iterable[PortForward]) -> None:
    """Bind each port for a moment.

    Raises :class:`PortError` naming the first that is taken or not allowed.
    """
    import errno
    import socket

    seen = set()
    for port in ports:
        if port[:2] + port[3:] in seen:
            raise PortError(
                f"port {port.host_port}/{port.protocol} of {port.host_ip} is published twice",
                hint="leave out one -p, or publish another port",
            )
        seen.add(port[:2] + port[3:])
        kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
        name = f"port {port.host_port}/{port.protocol} of {port.host_ip}"
        with socket.socket(socket.AF_INET, kind) as probe:
            if port.protocol == "tcp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host_ip, port.host_port))
                if port.protocol == "tcp":
                    probe.listen(1)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    hint = "stop what uses it (ss -ltnup shows that) or publish another port"
                    raise PortError(f"{name} is in use", hint=hint) from None
                if error.errno == errno.EADDRNOTAVAIL:
                    hint = "use an address of this machine (ip addr)"
                    raise PortError(
                        f"{port.host_ip} is not an address of this machine", hint=hint
                    ) from None
                if error.errno in (errno.EACCES, errno.EPERM):
                    hint = "publish a port from 1024 up"
                    raise PortError(f"{name} is not allowed for this user", hint=hint) from None
                raise PortError(f"{name} cannot be used", cause=error.strerror) from None
