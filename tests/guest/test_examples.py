# SPDX-License-Identifier: Apache-2.0
"""Every example, under every runner that works on this machine, against its expected output."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/kernlet.toml"))
LIMIT = {"monitor": 20, "qemu": 40}

Image = Callable[[str], Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(300)


def expected(name: str, file: str = "expected.txt") -> str:
    return (ROOT / "examples" / name / file).read_text()


def test_every_example_is_tested() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in EXAMPLES if f'"{name}"' not in tests] == []
    assert {"echo", "hello", "hello-glibc", "nginx", "redis"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", ["hello", "hello-glibc"])
def test_programs_that_end(name: str, runner: str, image: Image, cli: Cli) -> None:
    done = cli("run", "--runner", runner, str(image(name)), timeout=LIMIT[runner])
    assert (done.returncode, done.stdout, done.stderr) == (0, expected(name), "")


def test_arguments_reach_the_program(runner: str, image: Image, cli: Cli) -> None:
    words = ["you", "two words", "100%", "ünï", ""]
    command = ("run", "--runner", runner, str(image("hello")), "--", *words)
    done = cli(*command, timeout=LIMIT[runner])
    greetings = "".join(f"Hello, {word}.\n" for word in words)
    assert (done.returncode, done.stdout) == (0, expected("hello") + greetings), done.stderr


def test_echo_returns_every_byte_of_many_connections(
    runner: str, image: Image, service: Any
) -> None:
    with service(image("echo"), runner, 7) as echo:
        assert echo.talk(b"ping\n", lambda answer: answer == b"ping\n") == b"ping\n"
        blocks = [os.urandom(200_000) for _ in range(8)]
        answers: list[bytes] = [b""] * len(blocks)

        def exchange(number: int) -> None:
            with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as connection:
                sender = threading.Thread(target=connection.sendall, args=(blocks[number],))
                sender.start()
                parts = []
                size = 0
                while size < len(blocks[number]) and (data := connection.recv(65536)):
                    parts.append(data)
                    size += len(data)
                sender.join()
                answers[number] = b"".join(parts)

        threads = [threading.Thread(target=exchange, args=(n,)) for n in range(len(blocks))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert answers == blocks
        assert expected("echo").strip() in echo.console()


def test_nginx_serves_the_page(runner: str, image: Image, service: Any) -> None:
    page = (ROOT / "examples" / "nginx" / "index.html").read_bytes()
    assert len(page) == 612
    request = b"GET / HTTP/1.1\r\nHost: kernlet\r\nConnection: close\r\n\r\n"
    with service(image("nginx"), runner, 80) as nginx:
        for _ in range(20):
            head, _, body = nginx.talk(request, lambda _: False).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert body == page
        missing = nginx.talk(request.replace(b"/ ", b"/none "), lambda _: False)
        assert missing.startswith(b"HTTP/1.1 404")


def test_redis_keeps_values(runner: str, image: Image, service: Any) -> None:
    with service(image("redis"), runner, 6379) as redis:
        assert redis.talk(b"PING\r\n", lambda answer: answer.endswith(b"\n")) == b"+PONG\r\n"
        value = os.urandom(100_000).hex().encode()
        put = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n" % (len(value), value)
        assert redis.talk(put, lambda answer: answer.endswith(b"\n")) == b"+OK\r\n"
        whole = b"$%d\r\n%s\r\n" % (len(value), value)
        assert redis.talk(b"GET k\r\n", lambda answer: len(answer) >= len(whole)) == whole
