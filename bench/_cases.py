# SPDX-License-Identifier: Apache-2.0
"""What is measured. Each case takes one sample of each host in turn, so drift hits all alike."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kernlet.runner import monitor_path

from . import _client
from ._samples import Samples
from ._servers import QEMU, Monitor, Running, Server

HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
HTTP_OK = b"HTTP/1.1 200"
REDIS_REQUEST = b"PING\r\n"
REDIS_OK = b"+PONG"
START_TIMEOUT = 60
MIB = 1 << 20


def _milliseconds(command: list[str]) -> float:
    """Run a program that says hello and ends with 0."""
    started = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    elapsed = time.perf_counter() - started
    if done.returncode != 0 or b"hello" not in done.stdout.lower():
        raise _client.ClientError(
            f"exit status {done.returncode}: {done.stdout!r} {done.stderr[-300:]!r}"
        )
    return 1e3 * elapsed


def hello(
    samples: Samples, image: Path, program: Path, docker: Sequence[str], tsc_khz: int
) -> None:
    """Whole runs of a program that prints one line."""
    monitor = [monitor_path(), "--image", str(image), "--memory", str(16 * MIB)]
    kernlet = [str(Path(sys.executable).parent / "kernlet"), "run", str(image)]
    machine = "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,acpi=off"
    qemu = [*QEMU, "-M", f"{machine},auto-kernel-cmdline=off", "-m", "32"]
    qemu += ["-global", "virtio-mmio.force-legacy=false", "-kernel", str(image)]
    qemu += ["-append", f"tsc_khz={tsc_khz}", "-serial", "null", "-chardev", "stdio,id=out"]
    qemu += ["-device", "virtio-serial-device,max_ports=1", "-device", "virtconsole,chardev=out"]
    qemu += ["-device", "isa-debug-exit,iobase=0x501,iosize=4"]
    hosts = {"native": [str(program)], "kernlet": monitor, "kernlet run": kernlet}
    if docker:
        hosts["Docker"] = list(docker)
    for host, command in hosts.items():
        _sample(samples, "hello, whole run, ms", host, partial(_milliseconds, command))
    _sample(
        samples,
        "hello, whole run, ms",
        "kernlet, QEMU TCG",
        partial(_qemu_milliseconds, qemu),
    )


def _qemu_milliseconds(command: list[str]) -> float:
    """As :func:`_milliseconds`; QEMU's own exit status is the debug device's."""
    started = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    elapsed = time.perf_counter() - started
    if b"hello" not in done.stdout.lower():
        raise _client.ClientError(f"QEMU: {done.stdout!r} {done.stderr[-300:]!r}")
    return 1e3 * elapsed


def _sample(samples: Samples, figure: str, host: str, take: Callable[[], float]) -> None:
    try:
        samples.add(figure, host, take())
    except (_client.ClientError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        samples.failed(figure, host, error)


def syscall(samples: Samples, image: Path, program: Path) -> None:
    """One system call, rewritten and not."""
    monitor = [monitor_path(), "--image", str(image), "--memory", str(16 * MIB)]
    for host, command in {"native": [str(program)], "kernlet": monitor}.items():
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        try:
            report = json.loads(done.stdout)
        except ValueError as error:
            samples.failed("system call, ns", host, error)
            continue
        if host == "native":
            samples.add("system call, ns", host, report["rewritten_ns"])
        else:
            samples.add("system call, ns", "kernlet, rewritten", report["rewritten_ns"])
            samples.add("system call, ns", "kernlet, not rewritten", report["unrewritten_ns"])


def _started(server: Server, port: int, request: bytes, expect: bytes) -> tuple[Running, float]:
    running = server.start()
    try:
        first = _client.first_response(running.address, port, request, expect, START_TIMEOUT)
    except BaseException:
        running.stop()
        raise
    return running, first - running.started


def web(samples: Samples, servers: Sequence[Server], seconds: int, name: str = "nginx") -> None:
    """Start to first 200, throughput with 30 connections kept alive, memory after it."""
    for server in servers:
        try:
            running, first = _started(server, 80, HTTP_REQUEST, HTTP_OK)
        except (_client.ClientError, OSError, RuntimeError) as error:
            samples.failed(name, server.name, error)
            continue
        try:
            samples.add(f"{name}, start to first 200, ms", server.name, 1e3 * first)
            samples.add(f"{name}, memory idle, MB", server.name, running.resident_bytes() / 1e6)
            rate = _client.wrk(running.address, 80, seconds)
            samples.add(f"{name}, requests/s", server.name, rate)
            samples.add(
                f"{name}, memory after load, MB", server.name, running.resident_bytes() / 1e6
            )
        except (_client.ClientError, OSError, subprocess.SubprocessError) as error:
            samples.failed(name, server.name, error)
        finally:
            running.stop()


def redis(samples: Samples, servers: Sequence[Server], requests: int) -> None:
    """SET and GET by 30 clients, one and sixteen at a time."""
    for server in servers:
        try:
            running, first = _started(server, 6379, REDIS_REQUEST, REDIS_OK)
        except (_client.ClientError, OSError, RuntimeError) as error:
            samples.failed("redis", server.name, error)
            continue
        try:
            samples.add("redis, start to first answer, ms", server.name, 1e3 * first)
            for pipeline in (1, 16):
                count = requests * (5 if pipeline > 1 else 1)
                rates = _client.redis_benchmark(running.address, 6379, pipeline, count)
                for call, rate in rates.items():
                    samples.add(f"redis {call} -P {pipeline}, requests/s", server.name, rate)
        except (_client.ClientError, OSError, subprocess.SubprocessError) as error:
            samples.failed("redis", server.name, error)
        finally:
            running.stop()


def smallest_memory(samples: Samples, image: Path, seconds: int, mebibytes: Sequence[int]) -> None:
    """Throughput of nginx by memory beyond the image; a guest that does not come up has none."""
    for size in mebibytes:
        server = Monitor(image, size * MIB, f"{size} MiB")
        figure = "nginx by memory beyond the image, requests/s"
        try:
            running, _ = _started(server, 80, HTTP_REQUEST, HTTP_OK)
        except (_client.ClientError, OSError, RuntimeError) as error:
            samples.failed(figure, server.name, error)
            continue
        try:
            samples.add(figure, server.name, _client.wrk(running.address, 80, seconds))
        except (_client.ClientError, OSError, subprocess.SubprocessError) as error:
            samples.failed(figure, server.name, error)
        finally:
            running.stop()


def churn(samples: Samples, servers: Sequence[Server], connections: int) -> None:
    """Open and close connections in waves; every request must be answered."""
    figure = f"nginx, {connections:,} connections, each for one request, connections/s"
    for server in servers:
        try:
            running, _ = _started(server, 80, HTTP_REQUEST, HTTP_OK)
        except (_client.ClientError, OSError, RuntimeError) as error:
            samples.failed(figure, server.name, error)
            continue
        try:
            samples.add(figure, server.name, _client.churn(running.address, 80, connections, 100))
        except (_client.ClientError, OSError, subprocess.SubprocessError) as error:
            samples.failed(figure, server.name, error)
        finally:
            running.stop()
