# SPDX-License-Identifier: Apache-2.0
"""Building the monitor and its test guests, and running one with the other."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
MONITOR = BUILD / "monitor" / "kernlet-monitor"
GUESTS = BUILD / "tests" / "monitor"
MEMORY = 8 << 20

_SOURCES = Path(__file__).with_name("guests")
_GUEST_FLAGS = [
    *("-std=gnu11", "-O1", "-ffreestanding", "-fno-stack-protector", "-fPIE", "-mno-red-zone"),
    *("-mgeneral-regs-only", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables"),
    *("-fcf-protection=none", "-nostdlib", "-static", "-no-pie", "-Wall", "-Wextra", "-Werror"),
    *("-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096"),
]


def build_monitor() -> None:
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "monitor"), f"BUILD={MONITOR.parent}"], check=True
    )


def build_guest(name: str) -> Path:
    """Compile a guest unless it is newer than everything it is made of; return the image."""
    image = GUESTS / f"{name}.elf"
    inputs = [*_SOURCES.iterdir(), *(ROOT / "abi").iterdir(), Path(__file__)]
    if image.exists() and image.stat().st_mtime > max(path.stat().st_mtime for path in inputs):
        return image
    GUESTS.mkdir(parents=True, exist_ok=True)
    script = str(_SOURCES / "guest.ld")
    sources = [str(_SOURCES / "stub.S"), str(_SOURCES / f"{name}.c")]
    include = str(ROOT / "abi")
    command = ["gcc", *_GUEST_FLAGS, "-I", include, "-T", script, "-o", str(image), *sources]
    subprocess.run(command, check=True)
    return image


@dataclass
class Done:
    """How a run of the monitor ended."""

    status: int
    stdout: bytes
    log: str

    def numbers(self, label: str) -> list[int]:
        """Return the numbers of the log's lines that start with ``label``."""
        lines = [line for line in self.log.splitlines() if line.startswith(label + " ")]
        return [int(line.rpartition(" ")[2]) for line in lines]


def command(guest: str | Path, *options: str, memory: int = MEMORY) -> list[str]:
    image = build_guest(guest) if isinstance(guest, str) else guest
    return [str(MONITOR), "--image", str(image), "--memory", str(memory), *options]


def run(
    guest: str | Path,
    *options: str,
    cmdline: str = "",
    stdin: bytes | None = None,
    memory: int = MEMORY,
    seconds: float = 20,
) -> Done:
    """Run a guest to its end, which must come within ``seconds``."""
    arguments = command(guest, *options, "--cmdline", cmdline, memory=memory)
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {}
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        arguments, input=stdin, capture_output=True, timeout=seconds, check=False, **source
    )  # type: ignore[call-overload]
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def start(guest: str, *options: str, **rest: Any) -> subprocess.Popen[bytes]:
    rest.setdefault("stdin", subprocess.DEVNULL)
    rest.setdefault("stdout", subprocess.DEVNULL)
    rest.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.Popen(command(guest, *options), **rest)


def wait_for_line(stream: IO[bytes], text: str) -> list[str]:
    """Read lines up to the one that starts with ``text``; return all of them."""
    lines = []
    for raw in stream:
        lines.append(raw.decode().rstrip("\n"))
        if lines[-1].startswith(text):
            return lines
    raise AssertionError(f"{text!r} never came, but {lines}")


class Control:
    """A client of the control socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(5)
        deadline = time.monotonic() + 5
        while True:
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        self._file = self._socket.makefile("rb")

    def send(self, line: bytes) -> None:
        self._socket.sendall(line)

    def receive(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise ConnectionError("closed by the monitor")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __call__(self, cmd: str, **arguments: int) -> dict[str, Any]:
        self.send(json.dumps({"cmd": cmd, **arguments}).encode() + b"\n")
        return self.receive()

    def close(self) -> None:
        self._file.close()
        self._socket.close()
