# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the library OS and the monitor; a file is looked at again only when it or a header changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kernlet.kernel import default_tree

ROOT = Path(__file__).resolve().parents[1]
STAMPS = ROOT / "build" / "lint"
KERNEL_FLAGS = ["-std=gnu11", "-ffreestanding", "-mgeneral-regs-only", "-DKL_LINT=1"]
MONITOR_FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", '-DKL_VERSION="0"', "-Iabi", "-Imonitor"]


def sources() -> list[tuple[Path, list[str]]]:
    """Return each file with its flags. Assembly, tests and harnesses are left to the compilers' warnings."""
    tree = default_tree()
    includes = [f"-I{path.relative_to(ROOT)}" for path in tree.include_dirs()]
    kernel = sorted((ROOT / "kernel").glob("arch/*/*.c")) + sorted(
        (ROOT / "kernel").glob("lib/*/*.c")
    )
    monitor = sorted((ROOT / "monitor").glob("*.c"))
    return [(path, [*KERNEL_FLAGS, *includes]) for path in kernel] + [
        (path, MONITOR_FLAGS) for path in monitor
    ]


def stamp(path: Path, flags: list[str], headers: str) -> Path:
    digest = hashlib.sha256("\0".join([*flags, headers]).encode())
    digest.update(path.read_bytes())
    return STAMPS / digest.hexdigest()[:32]


def all_headers() -> str:
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for folder in ("abi", "kernel", "monitor"):
        for path in sorted((ROOT / folder).rglob("*.h")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def lint(tool: str, path: Path, flags: list[str], mark: Path) -> str:
    name = str(path.relative_to(ROOT))
    command = [tool, "--quiet", name, "--", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        mark.touch()
        return ""
    return done.stdout + ("" if done.stdout.strip() else done.stderr)


def main() -> int:
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if tool is None:
        print("clang-tidy is not installed (package clang-tidy-14)", file=sys.stderr)
        return 1
    STAMPS.mkdir(parents=True, exist_ok=True)
    headers = all_headers()
    work = [(path, flags, stamp(path, flags, headers)) for path, flags in sources()]
    todo = [item for item in work if not item[2].exists()]
    print(f"{len(work)} files, {len(todo)} of them new or changed", flush=True)
    problems = 0
    with ThreadPoolExecutor(
        int(os.environ.get("KERNLET_JOBS", "0")) or os.cpu_count() or 1
    ) as pool:
        for text in pool.map(lambda item: lint(tool, *item), todo):
            if text:
                problems += 1
                print(text, flush=True)
    print(f"{problems} files with problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
