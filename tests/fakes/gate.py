# SPDX-License-Identifier: Apache-2.0
"""Running rewritten programs on Linux.

tests/rewrite/launcher.c maps a gate into the process that enters the kernel as the library OS's gate would be entered:
it spoils the flags and r11, and returns to rcx.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kernlet.abi import layout
from kernlet.build.rewrite import rewrite_elf

GATE = layout()["KL_GATE_SYSCALL_VA"]
SOURCE = Path(__file__).resolve().parents[1] / "rewrite" / "launcher.c"
SECONDS = 30

Outcome = tuple[int, bytes, bytes]
"""Exit status, standard output, standard error."""


def make_launcher(folder: Path) -> Path:
    """Compile the launcher, statically, so that rewritten libraries concern only the program."""
    target = folder / "launcher"
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", target, SOURCE], check=True
    )
    done = subprocess.run([target, hex(GATE), folder / "count", "/bin/true"], capture_output=True)
    if done.returncode == 125:
        pytest.skip(f"ptrace does not work here: {done.stderr.decode().strip()}")
    return target


def write_program(path: Path, data: bytes) -> Path:
    """Write an executable file; a new one each time, because the old one may still run."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def write_rewritten(folder: Path, path: str) -> Path:
    """Put a rewritten copy of ``path`` into ``folder``."""
    target = folder / Path(path).name
    if target.exists():
        return target
    return write_program(target, rewrite_elf(Path(path).read_bytes(), gate_va=GATE, name=path).data)


def run(command: list[str | Path], **env: str) -> Outcome:
    """Run ``command``; killed by signal N is status 128 + N, as a shell says it."""
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", **env},
        check=False,
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return status, done.stdout, done.stderr


def through_gate(launcher: Path, command: list[str | Path], **env: str) -> tuple[Outcome, int]:
    """Run ``command`` with a gate; return what it did and how often it entered the gate."""
    count = launcher.with_name("count")
    count.unlink(missing_ok=True)
    outcome = run([launcher, hex(GATE), count, *command], **env)
    return outcome, int(count.read_text()) if count.exists() else 0
