# SPDX-License-Identifier: Apache-2.0
"""What to run: plain records that every runner understands."""

from __future__ import annotations

from typing import NamedTuple

from kernlet.errors import KernletError

GUEST_ADDRESS = "10.0.2.15/24"
GATEWAY = "10.0.2.2"
NAMESERVER = "10.0.2.3"
_DIGITS_MAX = 20


class SpecError(KernletError):
    """A flag's value has the wrong form."""


class PortForward(NamedTuple):
    """One published port.

    ``host_ip:host_port`` of the host leads to ``guest_port`` of the guest.
    """

    host_ip: str
    host_port: int
    guest_port: int
    protocol: str

    def __str__(self) -> str:
        """Return the form that ``ps`` shows."""
        suffix = "/udp" if self.protocol == "udp" else ""
        return f"{self.host_ip}:{self.host_port}->{self.guest_port}{suffix}"


class Network(NamedTuple):
    """How the guest is connected: mode ``none``, ``user`` (passt or slirp) or ``tap``."""

    mode: str = "none"
    interface: str = ""
    address: str = ""
    gateway: str = ""
    nameserver: str = ""
    ports: tuple[PortForward, ...] = ()
    mac: str = "52:54:00:6b:6c:01"

    def setting(self) -> str:
        """Return the value of the guest's ``net0`` key."""
        if not self.address:
            return "dhcp"
        parts = [("ip", self.address), ("gw", self.gateway), ("dns", self.nameserver)]
        return ",".join(f"{key}:{value}" for key, value in parts if value)


class RunSpec(NamedTuple):
    """One run of one image.

    File descriptors stay the caller's; the runner hands them to the VM and never closes them.

    ``memory_bytes`` is memory beyond the image; ``argv`` replaces the image's when it is not
    empty; ``log_fd`` takes the library OS's own log (text lines).
    """

    image: str
    memory_bytes: int
    settings: tuple[tuple[str, str], ...] = ()
    argv: tuple[str, ...] = ()
    network: Network = Network()
    control_path: str = ""
    stdin_fd: int = 0
    stdout_fd: int = 1
    stderr_fd: int = 2
    log_fd: int = 2


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` means.

    ``64M``, ``1g``, ``512KiB``, ``1048576``. Raises :class:`SpecError`.
    """
    lowered = text.strip().lower()
    for ending in ("ib", "b"):
        if lowered.endswith(ending) and lowered[: -len(ending)]:
            lowered = lowered[: -len(ending)]
            break
    factor = 1
    if lowered and lowered[-1] in "kmgt":
        factor = 1024 ** ("kmgt".index(lowered[-1]) + 1)
        lowered = lowered[:-1]
    whole, _, part = lowered.partition(".")
    digits = whole.isascii() and whole.isdigit() and len(lowered) <= _DIGITS_MAX
    if not (digits and (part.isascii() and part.isdigit() if "." in lowered else True)):
        raise SpecError(f"{text!r} is not a size", hint="write it like 64M or 1G")
    return int(float(lowered) * factor) if part else int(whole) * factor


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise SpecError(
            f"{whole!r} is not a port to publish", hint="write [IP:]HOST_PORT:GUEST_PORT[/udp]"
        )
    return int(text)


def _is_octet(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 4 and int(text) < 256


def parse_port(text: str) -> PortForward:
    """Read ``[ip:]host:guest[/tcp|/udp]``; the address is 127.0.0.1 unless given.

    Raises :class:`SpecError`.
    """
    body, _, protocol = text.partition("/")
    parts = body.rsplit(":", 2)
    if protocol not in ("", "tcp", "udp") or len(parts) < 2:
        raise SpecError(
            f"{text!r} is not a port to publish", hint="write [IP:]HOST_PORT:GUEST_PORT[/udp]"
        )
    host_ip = parts[0] if len(parts) == 3 else "127.0.0.1"
    octets = host_ip.split(".")
    if len(octets) != 4 or not all(map(_is_octet, octets)):
        raise SpecError(
            f"{host_ip!r} is not an IPv4 address", hint="write it like 127.0.0.1:8080:80"
        )
    return PortForward(host_ip, _port(parts[-2], text), _port(parts[-1], text), protocol or "tcp")


def parse_network(text: str, ports: tuple[PortForward, ...]) -> Network:
    """Read ``none``, ``user`` or ``tap:NAME[,ip=IP/BITS][,gw=IP][,dns=IP][,mac=MAC]``.

    Raises :class:`SpecError`.
    """
    mode, _, rest = text.partition(":")
    if mode == "none" and not rest:
        if ports:
            raise SpecError("ports need a network", hint="leave out -p or --net none")
        return Network()
    if mode == "user" and not rest:
        return Network("user", "", GUEST_ADDRESS, GATEWAY, NAMESERVER, ports)
    if mode != "tap" or not rest:
        raise SpecError(f"{text!r} is not a network", hint="use none, user or tap:NAME")
    if ports:
        raise SpecError(
            "ports are published with --net user only", hint="connect to the guest's address"
        )
    interface, *pairs = rest.split(",")
    values = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in ("ip", "gw", "dns", "mac") or not value:
            raise SpecError(f"{pair!r} is not known in --net tap", hint="use ip=, gw=, dns=, mac=")
        values[key] = value
    if "ip" in values and "/" not in values["ip"]:
        raise SpecError(
            f"{values['ip']!r} lacks its prefix length", hint="write it like 10.0.0.2/24"
        )
    network = Network(
        "tap", interface, values.get("ip", ""), values.get("gw", ""), values.get("dns", "")
    )
    return network._replace(mac=values["mac"]) if "mac" in values else network
