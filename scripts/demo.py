# SPDX-License-Identifier: Apache-2.0
"""``make demo``: this distribution's nginx becomes a unikernel, boots, and serves a page.

Builds nginx.kernlet, runs it with a published port of 127.0.0.1, fetches the page, stops it and
prints what that took.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kernlet.runner import pick_runner

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "nginx"
IMAGE = ROOT / "build" / "demo" / "nginx.kernlet"
ANSWER_SECONDS = 60


class DemoError(Exception):
    """The demo did not work; the text says where."""


def kernlet(*argv: str, timeout: float = 60) -> str:
    """Run one kernlet command; return its standard output. Raises DemoError."""
    command = [sys.executable, "-m", "kernlet.cli", *argv]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise DemoError(f"kernlet {' '.join(argv)} ended with {done.returncode}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FirstAnswer(threading.Thread):
    """Asks for the page again and again, from before the boot, until it is there."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.at_ns = 0
        self.body = b""
        self.give_up = threading.Event()

    def run(self) -> None:
        while not self.give_up.is_set() and not self.at_ns:
            try:
                head, _, body = self.fetch().partition(b"\r\n\r\n")
            except OSError:
                time.sleep(0.0005)
                continue
            if head.startswith(b"HTTP/1.1 200 "):
                self.body = body
                self.at_ns = time.time_ns()

    def fetch(self) -> bytes:
        request = b"GET / HTTP/1.1\r\nHost: kernlet\r\nConnection: close\r\n\r\n"
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            while data := connection.recv(65536):
                answer += data
        return answer


def memory_of(pid: int) -> dict[str, int]:
    """Return PSS and RSS of a process in bytes (proc(5), smaps_rollup)."""
    values = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in ("Pss", "Rss"):
            values[key.lower()] = int(rest.split()[0]) * 1024
    return values


def build() -> dict[str, Any]:
    """Build the image; return its manifest."""
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    source = str(EXAMPLE / "kernlet.toml")
    manifest = json.loads(kernlet("build", source, "-o", str(IMAGE), "--json", timeout=600))
    manifest["build_seconds"] = time.monotonic() - started
    assert isinstance(manifest, dict)
    return manifest


def boot_and_fetch(runner: str, console: Console) -> dict[str, Any]:
    """Run the image, fetch the page, stop it; return what was measured."""
    port = free_port()
    first = FirstAnswer(port)
    first.start()
    begun_ns = time.time_ns()
    name = f"demo-{port}"
    flags = ("-d", "--name", name, "-p", f"127.0.0.1:{port}:80", "--runner", runner)
    try:
        kernlet("run", *flags, str(IMAGE))
        first.join(ANSWER_SECONDS)
        if not first.at_ns:
            console.print(kernlet("logs", "--kernel", name), markup=False)
            raise DemoError(f"no answer on port {port} within {ANSWER_SECONDS} s")
        if first.body != (EXAMPLE / "index.html").read_bytes():
            raise DemoError("the page that came back is not the page of the example")
        record = json.loads(kernlet("inspect", "--json", name))
        return {
            "port": port,
            "command_to_answer_ms": (first.at_ns - begun_ns) / 1e6,
            "vm_to_answer_ms": (first.at_ns - record["started_ns"]) / 1e6,
            "memory": memory_of(record["pid"]),
            "guest_memory_bytes": record["memory_bytes"],
        }
    finally:
        first.give_up.set()
        listed = json.loads(kernlet("ps", "-a", "--json"))
        if any(one["name"] == name for one in listed):
            kernlet("stop", name)
            kernlet("rm", name)


def summary(manifest: dict[str, Any], run: dict[str, Any], accelerator: str) -> Table:
    """Return the table that the demo ends with."""
    sizes = manifest["sizes"]
    library = sum(sizes[part] for part in ("text", "rodata", "data", "bss"))
    names = [module["name"] for module in manifest["modules"]]
    table = Table(title="nginx as a kernlet", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("page fetched", f"612 bytes from http://127.0.0.1:{run['port']}/")
    table.add_row("start to first response", f"{run['vm_to_answer_ms']:.1f} ms")
    table.add_row("  the whole command", f"{run['command_to_answer_ms']:.1f} ms")
    table.add_row("accelerator", accelerator)
    table.add_row("image", f"{manifest['size_bytes'] / 1e6:.2f} MB: {IMAGE.relative_to(ROOT)}")
    table.add_row("  its files", f"{sizes['rootfs'] / 1e6:.2f} MB")
    table.add_row("  library OS", f"{library / 1e3:.0f} kB (code and data)")
    table.add_row("modules", f"{len(names)}: {' '.join(names)}")
    table.add_row(
        "system calls",
        f"{manifest['rewrite']['rewritten']} places rewritten into calls, "
        f"{manifest['rewrite']['left']} left",
    )
    memory = run["memory"]
    table.add_row(
        "memory of the VM's process",
        f"{memory['pss'] / 1e6:.1f} MB (PSS), {memory['rss'] / 1e6:.1f} MB (RSS); "
        f"guest RAM {run['guest_memory_bytes'] >> 20} MiB",
    )
    table.add_row("built in", f"{manifest['build_seconds']:.1f} s")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runner", default="", help="default: the best that works here")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    try:
        runner, probe, rejected = pick_runner(options.runner)
        for line in rejected:
            console.print(f"not used: {line}", markup=False)
        console.print("building nginx.kernlet from this distribution's nginx")
        manifest = build()
        console.print("booting it and fetching its page")
        run = boot_and_fetch(runner.name, console)
    except (DemoError, subprocess.TimeoutExpired) as error:
        console.print(f"demo: {error}", markup=False)
        return 1
    accelerator = f"{runner.name}: {probe.accelerator} ({probe.reason})"
    if options.json:
        print(json.dumps({"accelerator": accelerator, "image": manifest, "run": run}, indent=2))
    else:
        console.print(summary(manifest, run, accelerator))
    return 0


if __name__ == "__main__":
    sys.exit(main())
