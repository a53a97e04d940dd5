# SPDX-License-Identifier: Apache-2.0
"""Booting real guests: images built once a session, every runner that works here, time limits."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernlet.runner import all_runners

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 240
BOOT_SECONDS = {"monitor": 20, "qemu": 40}


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep instances of tests apart from the user's."""
    folder = tmp_path_factory.mktemp("kernlet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERNLET_STATE_DIR", str(folder / "state"))
        patch.setenv("KERNLET_RUNTIME_DIR", str(folder / "run"))
        yield
        with contextlib.suppress(subprocess.TimeoutExpired):
            for one in json.loads(kernlet("ps", "-a", "--json").stdout or "[]"):
                kernlet("rm", "-f", one["id"])


@pytest.fixture(scope="session", params=[runner.name for runner in all_runners()])
def runner(request: pytest.FixtureRequest) -> str:
    """Return each runner's name; those that do not work here are skipped with the reason."""
    name = str(request.param)
    probe = next(one for one in all_runners() if one.name == name).probe()
    if not probe.usable:
        pytest.skip(f"{name}: {probe.reason}")
    return name


@pytest.fixture(autouse=True)
def _accelerator(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """Leave what executed the guest in the test's results."""
    if "runner" in request.fixturenames:
        name = request.getfixturevalue("runner")
        probe = next(one for one in all_runners() if one.name == name).probe()
        record_property("accelerator", f"{name}: {probe.accelerator}")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that builds an example's image, once."""
    built: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("images")

    def build(name: str) -> Path:
        if name not in built:
            example = ROOT / "examples" / name
            if (example / "Makefile").exists():
                subprocess.run(["make", "-s", "-C", example], check=True, timeout=BUILD_SECONDS)
            path = folder / f"{name}.kernlet"
            done = kernlet(
                "build", str(example / "kernlet.toml"), "-o", str(path), timeout=BUILD_SECONDS
            )
            assert done.returncode == 0, done.stderr
            built[name] = path
        return built[name]

    return build


def kernlet(
    *argv: str, timeout: float = 30, stdin: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line; a run that takes too long is stopped and fails with its output."""
    command = [sys.executable, "-m", "kernlet.cli", *argv]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            pytest.fail(f"kernlet {' '.join(argv)} took over {timeout} s\n{_text(out, err)}")
    return subprocess.CompletedProcess(
        command, process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )


def _text(out: bytes, err: bytes) -> str:
    return (
        f"--- standard output\n{out[-8000:].decode(errors='replace')}\n"
        f"--- standard error\n{err[-8000:].decode(errors='replace')}"
    )


class Service:
    """A detached kernlet with one published TCP port."""

    def __init__(self, image: Path, runner: str, guest_port: int, *flags: str) -> None:
        self.port = free_port()
        self.limit = BOOT_SECONDS[runner]
        done = kernlet(
            *("run", "-d", "-v", "--runner", runner, "-p", f"127.0.0.1:{self.port}:{guest_port}"),
            *flags,
            str(image),
        )
        assert done.returncode == 0, done.stderr
        self.id = done.stdout.strip()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: object, *details: object) -> None:
        if kind is not None:
            print(f"--- console of {self.id}\n{self.console()}")
        kernlet("rm", "-f", self.id)

    def console(self) -> str:
        """Return all that the guest printed, its library OS's log included."""
        entries = kernlet("logs", "--json", self.id).stdout.splitlines()
        return "".join(f"{e['stream']}: {e['text']}" for e in map(json.loads, entries))

    def record(self) -> dict[str, Any]:
        """Return the instance's record."""
        value = json.loads(kernlet("inspect", "--json", self.id).stdout)
        assert isinstance(value, dict)
        return value

    def talk(self, request: bytes, enough: Callable[[bytes], bool]) -> bytes:
        """Send a request over a new connection; return the answer once it is ``enough``.

        Tries again until the guest answers at all: a published port accepts connections before the
        guest does.
        """
        deadline = time.monotonic() + self.limit
        while True:
            with contextlib.suppress(OSError):
                answer = self._once(request, enough, deadline)
                if answer:
                    return answer
            assert time.monotonic() < deadline, f"no answer in {self.limit} s\n{self.console()}"
            assert self.record()["status"] == "running", self.console()
            time.sleep(0.05)

    def _once(self, request: bytes, enough: Callable[[bytes], bool], deadline: float) -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            while not enough(answer) and time.monotonic() < deadline:
                data = connection.recv(65536)
                if not data:
                    break
                answer += data
        return answer


def free_port() -> int:
    """Return a TCP port of the loopback address that nothing uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def service() -> type[Service]:
    """Return the class of detached kernlets."""
    return Service


@pytest.fixture
def cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return the command line."""
    return kernlet
