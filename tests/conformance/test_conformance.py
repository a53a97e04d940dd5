# SPDX-License-Identifier: Apache-2.0
"""One binary on Linux and as a kernlet: same output, same exit status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kernlet.runner import all_runners

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.c"))
COMPILERS = {
    # The programs make mistakes on purpose; both compilers would warn of them.
    "glibc": ["gcc", "-w", "-O1", "-pthread"],
    "glibc static-pie": ["gcc", "-w", "-O1", "-pthread", "-static-pie"],
    "musl": ["musl-gcc", "-w", "-O1"],
    "musl static": ["musl-gcc", "-w", "-O1", "-static"],
}
LIMIT_SECONDS = {"linux": 30, "monitor": 60, "qemu": 120}
ENVIRONMENT = {"PATH": "/bin", "KEY": "value"}
ARGUMENTS = ["one", "two words", "100%"]


@pytest.fixture(scope="module", params=COMPILERS)
def libc(request: pytest.FixtureRequest) -> str:
    """Return each C library's name."""
    return str(request.param)


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda path: path.stem)
def binary(
    request: pytest.FixtureRequest, libc: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the compiled program."""
    source: Path = request.param
    out = tmp_path_factory.mktemp(libc.replace(" ", "-")) / source.stem
    command = [*COMPILERS[libc], "-o", str(out), str(source)]
    subprocess.run(command, check=True, timeout=60)
    return out


@pytest.fixture(scope="module")
def expected(binary: Path) -> subprocess.CompletedProcess[bytes]:
    """Return what Linux makes of it."""
    return _run([str(binary), *ARGUMENTS], LIMIT_SECONDS["linux"])


@pytest.fixture(scope="module")
def image(binary: Path) -> Path:
    """Return the program's image."""
    out = binary.with_suffix(".kernlet")
    done = _run([sys.executable, "-m", "kernlet.cli", "build", str(binary), "-o", str(out)], 240)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return out


@pytest.mark.parametrize("runner", [runner.name for runner in all_runners()])
def test_output_is_the_same_as_on_linux(
    runner: str,
    image: Path,
    expected: subprocess.CompletedProcess[bytes],
    record_property: Callable[[str, object], None],
) -> None:
    probe = next(one for one in all_runners() if one.name == runner).probe()
    if not probe.usable:
        pytest.skip(f"{runner}: {probe.reason}")
    record_property("accelerator", f"{runner}: {probe.accelerator}")
    command = [sys.executable, "-m", "kernlet.cli", "run", "--runner", runner, "-m", "64M"]
    for key, value in ENVIRONMENT.items():
        command += ["-e", f"{key}={value}"]
    done = _run([*command, str(image), "--", *ARGUMENTS], LIMIT_SECONDS[runner])
    assert done.stdout.decode(errors="replace") == expected.stdout.decode(errors="replace"), (
        done.stderr.decode(errors="replace")
    )
    assert done.returncode == expected.returncode % 256


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run with the programs' environment; a signal's end counts as 128 + signal, as shells have it."""
    in_python = command[0] == sys.executable
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
        env=None if in_python else ENVIRONMENT,
    )
    if done.returncode < 0:
        done.returncode = 128 - done.returncode
    return done
