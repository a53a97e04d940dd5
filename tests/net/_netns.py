# SPDX-License-Identifier: Apache-2.0
"""A network namespace with a tap in it, netstack-host on the tap, and the Linux side in the namespace."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = ROOT / "build" / "net"
MODULES = ("net", "ether", "arp", "ipv4", "icmp", "inet", "tcp", "udp", "dhcp", "loopback")
HOST = "10.9.0.2"
PEER = "10.9.0.1"
_FLAGS = (
    "-std=gnu11",
    "-g",
    "-D_GNU_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
)
_SANITIZE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def missing() -> str | None:
    """Return why these tests can't run here, or None."""
    if os.geteuid() != 0:
        return "needs root: network namespace and tap"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    if shutil.which("ip") is None:
        return "no ip(8)"
    probe = f"klprobe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode != 0:
        return "no network namespaces here"
    subprocess.run(["ip", "netns", "del", probe], capture_output=True)
    return None


def build(name: str = "netstack-host", flags: Sequence[str] = _SANITIZE) -> Path:
    """Compile netstack-host, unless it is newer than its sources; return the program."""
    sources = sorted((HERE / "host").glob("*.c"))
    for module in MODULES:
        sources += sorted((ROOT / "kernel/lib" / module).glob("*.c"))
    # What happens at the end of the program: here there is none.
    sources.remove(ROOT / "kernel/lib/tcp/tcp_exit.c")
    sources += sorted((ROOT / "tests/host/support").glob("*.c"))
    sources += [ROOT / "kernel/lib/base/format.c", ROOT / "kernel/lib/uaccess/iter.c"]
    headers = [
        *(ROOT / "kernel").rglob("*.h"),
        *(ROOT / "abi").glob("*.h"),
        *(HERE / "host").glob("*.h"),
    ]
    output = BUILD / name
    newest = max(path.stat().st_mtime for path in (*sources, *headers, Path(__file__)))
    if output.exists() and output.stat().st_mtime > newest:
        return output
    BUILD.mkdir(parents=True, exist_ok=True)
    folders = ["abi", "kernel/include", "tests/host/support", "kernel/lib/uaccess"]
    folders += [
        str(path.relative_to(ROOT)) for path in sorted((ROOT / "kernel/lib").glob("*/include"))
    ]
    command = ["gcc", *_FLAGS, *flags, *(f"-I{folder}" for folder in folders), *map(str, sources)]
    fresh = BUILD / f"{name}.{os.getpid()}"
    subprocess.run([*command, "-lm", "-o", str(fresh)], cwd=ROOT, check=True)
    fresh.replace(output)
    return output


class Namespace:
    """A network namespace with the tap tk0, whose Linux end has the address PEER."""

    def __init__(self, offload: bool = False, mtu: int = 1500) -> None:
        self.name = f"kl-net-{os.getpid()}"
        flags = ["vnet_hdr"] if offload else []
        self._ip("netns", "add", self.name)
        try:
            self._inside("ip", "tuntap", "add", "dev", "tk0", "mode", "tap", *flags)
            self._inside("ip", "addr", "add", f"{PEER}/24", "dev", "tk0")
            self._inside("ip", "link", "set", "tk0", "mtu", str(mtu), "up")
            self._inside("ip", "link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            self.close()
            raise

    @staticmethod
    def _ip(*args: str) -> None:
        subprocess.run(["ip", *args], check=True, capture_output=True)

    def _inside(self, *args: str) -> None:
        self._ip("netns", "exec", self.name, *args)

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program in the namespace."""
        command = ["ip", "netns", "exec", self.name, *args]
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, **options)

    def run(self, *args: str, timeout_s: float = 100) -> str:
        """Run a program in the namespace; return its output. AssertionError when it fails."""
        command = ["ip", "netns", "exec", self.name, *args]
        done = subprocess.run(command, text=True, capture_output=True, timeout=timeout_s)
        assert done.returncode == 0, (
            f"{' '.join(args)}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
        )
        return done.stdout

    def client(
        self, service: str, size: int, connections: int = 1, parallel: int = 1
    ) -> dict[str, Any]:
        """Use a service of netstack-host from Linux; return what peer.py says."""
        counts = [
            "--bytes",
            str(size),
            "--connections",
            str(connections),
            "--parallel",
            str(parallel),
        ]
        program = [sys.executable, str(HERE / "peer.py"), "client", HOST, service, *counts]
        result: dict[str, Any] = json.loads(self.run(*program).splitlines()[-1])
        return result

    def close(self) -> None:
        """Delete it; the tap goes with it."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


class Host:
    """netstack-host in a namespace. Leaving the context stops it and checks that it ended cleanly."""

    def __init__(
        self, namespace: Namespace, *args: str, net: str = f"ip:{HOST}/24,gw:{PEER}"
    ) -> None:
        command = [str(build()), "--tap", "tk0", "--net", net, *args]
        self.process = namespace.start(*command, stderr=subprocess.PIPE)
        self.configuration = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "ready\n":
                return
            self.configuration += line
        raise AssertionError(
            f"netstack-host did not start: {self.process.communicate()[1][-3000:]}"
        )

    def __enter__(self) -> Host:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            errors = self.process.communicate(timeout=160)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if kind is None:
            assert self.process.returncode == 0, re.sub(r"(?m)^\s*0x.*\n", "", errors)[-4000:]

    def wait(self, timeout_s: float = 100) -> str:
        """Wait for a client's end; return its output."""
        output, errors = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, output[-2000:] + errors[-4000:]
        return output
