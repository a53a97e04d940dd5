# SPDX-License-Identifier: Apache-2.0
"""The web example as an ordinary Linux program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.native import free_port
from examples.web_checks import CHECKS, check_slow_client, curl

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "examples" / "web"


@pytest.fixture(scope="module")
def program() -> Path:
    subprocess.run(["make", "-s", "-C", WEB], check=True, timeout=120)
    return WEB / "build" / "web"


@contextmanager
def serving(program: Path, folder: Path) -> Iterator[int]:
    port = free_port()
    command = [str(program), "-p", str(port), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == f"web: {folder} on port {port}\n"
            yield port
            assert process.poll() is None
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port(program: Path) -> Iterator[int]:
    with serving(program, WEB / "site") as number:
        yield number


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_native(check: Callable[[int], None], port: int) -> None:
    check(port)


@pytest.mark.slow
def test_slow_client(port: int) -> None:
    check_slow_client(port)


def test_odd_files(program: Path, tmp_path: Path) -> None:
    """What is no file, what is very large, what is empty, and what changes."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(5 << 30)
        file.seek((4 << 30) + 10)
        file.write(b"here")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "new\nline").write_text("x")
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "index.html").mkdir()
    with serving(program, tmp_path) as port:
        part = curl(port, "/large.bin", "-r", f"{(4 << 30) + 9}-{(4 << 30) + 14}")
        assert (part.status, part.body) == (206, b"\0here\0")
        assert curl(port, "/large.bin", "-I").fields["content-length"] == str(5 << 30)
        assert curl(port, "/pipe").status == 403
        assert (curl(port, "/empty").status, curl(port, "/empty").body) == (200, b"")
        assert curl(port, "/empty", "-r", "0-0").status == 416
        assert curl(port, "/new%0aline").body == b"x"
        assert curl(port, "/up/").status == 403
        assert curl(port, "/").status == 404
        before = curl(port, "/empty").fields["etag"]
        (tmp_path / "empty").write_text("no more")
        after = curl(port, "/empty", "-H", f"If-None-Match: {before}")
        assert (after.status, after.body) == (200, b"no more")


def test_wrong_use_is_explained(program: Path, tmp_path: Path) -> None:
    def error(*argv: str) -> str:
        command = [str(program), *argv]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        assert done.returncode == 1
        return done.stderr

    assert error() == "web: usage: web [-p PORT] FOLDER\n"
    assert error("-p", "0", str(tmp_path)) == "web: 0: is not a port\n"
    assert "No such file" in error(str(tmp_path / "none"))
    assert "Not a directory" in error(str(WEB / "Makefile"))
