# SPDX-License-Identifier: Apache-2.0
"""The clients: who fetches, and what is read off their reports."""

from __future__ import annotations

import re
import selectors
import socket
import subprocess
import time

ATTEMPT_SECONDS = 0.001


class ClientError(Exception):
    """A client failed; the text says how."""


def first_response(address: str, port: int, request: bytes, expect: bytes, timeout: float) -> float:
    """Return when (``time.perf_counter``) the first answer that contains ``expect`` had come.

    A new connection is tried every millisecond, since a guest that boots loses the first ones.
    """
    deadline = time.perf_counter() + timeout
    with selectors.DefaultSelector() as selector:
        try:
            while time.perf_counter() < deadline:
                _attempt(selector, address, port)
                until = time.perf_counter() + ATTEMPT_SECONDS
                while (left := until - time.perf_counter()) > 0:
                    for key, _ in selector.select(left):
                        if _advance(selector, key, request, expect):
                            return time.perf_counter()
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    raise ClientError(f"no answer from {address}:{port} within {timeout:.0f} s")


def _attempt(selector: selectors.BaseSelector, address: str, port: int) -> None:
    if len(selector.get_map()) >= 64:
        oldest = min(selector.get_map().values(), key=lambda key: key.fd)
        selector.unregister(oldest.fileobj)
        oldest.fileobj.close()  # type: ignore[union-attr]
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect((address, port))
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        return
    selector.register(sock, selectors.EVENT_WRITE, b"")


def _advance(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, request: bytes, expect: bytes
) -> bool:
    sock = key.fileobj
    if not isinstance(sock, socket.socket):
        return False
    try:
        if key.events & selectors.EVENT_WRITE:
            sock.send(request)
            selector.modify(sock, selectors.EVENT_READ, b"")
            return False
        data = sock.recv(65536)
        if not data:
            raise ConnectionError
    except OSError:
        selector.unregister(sock)
        sock.close()
        return False
    received = key.data + data
    selector.modify(sock, selectors.EVENT_READ, received)
    return expect in received


def wrk(address: str, port: int, seconds: int, connections: int = 30) -> float:
    """Return requests per second of ``wrk -t1``; an answer other than 200 is an error."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://{address}:{port}/"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if done.returncode != 0 or rate is None:
        raise ClientError(f"wrk failed: {done.stdout}{done.stderr}")
    for trouble in (r"Non-2xx or 3xx responses: (\d+)", r"Socket errors: (.*)"):
        if found := re.search(trouble, done.stdout):
            raise ClientError(f"wrk: {found.group(0)}")
    return float(rate.group(1))


def churn(address: str, port: int, connections: int, at_once: int) -> float:
    """Return connections per second of opening, asking once and closing; all must be answered."""
    command = ["wrk", "-t1", f"-c{at_once}", "-H", "Connection: close", "--timeout", "10s"]
    answered, started = 0, time.perf_counter()
    while answered < connections:
        done = subprocess.run(
            [*command, "-d10s", f"http://{address}:{port}/"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = re.search(r"(\d+) requests in", done.stdout)
        if done.returncode != 0 or found is None or "Socket errors" in done.stdout:
            raise ClientError(f"after {answered} connections, wrk: {done.stdout}{done.stderr}")
        answered += int(found.group(1))
    return answered / (time.perf_counter() - started)


def redis_benchmark(address: str, port: int, pipeline: int, requests: int) -> dict[str, float]:
    """Return requests per second of SET and GET by ``redis-benchmark -c 30``."""
    command = ["redis-benchmark", "-h", address, "-p", str(port), "-n", str(requests)]
    command += ["-c", "30", "-t", "set,get", "-P", str(pipeline), "--csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    rates = dict(re.findall(r'^"(SET|GET)","([\d.]+)"', done.stdout, re.MULTILINE))
    if done.returncode != 0 or set(rates) != {"SET", "GET"}:
        raise ClientError(f"redis-benchmark failed: {done.stdout}{done.stderr}")
    return {name: float(rate) for name, rate in rates.items()}
