# SPDX-License-Identifier: Apache-2.0
"""Rules that hold for every file of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 800
CODE = {".c", ".h", ".S", ".py", ".ld", ".sh"}
# Written by tools, or data.
EXEMPT = ("bench/results/", "docs/reference/", "requirements.lock", "LICENSE")
# A path of somebody's machine: it can't be right on another one.
MACHINE_PATH = re.compile(r"(?<![\w.$}])(/work/|/home/\w|/root/\w|/Users/\w|[A-Z]:\\)")
MACHINE_PATH_ALLOWED = {
    "tests/unit/test_style.py",
}


def repository_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str | None:
    """Return a file's text, None for data."""
    data = path.read_bytes()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def code_files() -> list[Path]:
    found = []
    for path in repository_files():
        if name(path).startswith(EXEMPT):
            continue
        if path.suffix in CODE or (path.stat().st_mode & 0o111 and path.read_bytes()[:2] == b"#!"):
            found.append(path)
    return found


def test_files_are_short() -> None:
    long = {}
    for path in code_files():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LINES_MAX:
            long[name(path)] = lines
    assert not long, f"look for the missing concept: more than {LINES_MAX} lines"


def test_code_says_its_licence_first() -> None:
    bare = []
    for path in code_files():
        head = path.read_text(encoding="utf-8").splitlines()[:2]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            bare.append(name(path))
    assert not bare


def test_no_path_of_a_machine() -> None:
    found = []
    for path in repository_files():
        text = text_of(path)
        if text is None or name(path) in MACHINE_PATH_ALLOWED or name(path).startswith(EXEMPT):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{name(path)}:{number}: {line.strip()[:100]}")
    assert not found


def test_text_is_tidy() -> None:
    """Tabs, trailing blanks and the last line's end are the formatters' business; this is for all other files."""
    found = []
    for path in repository_files():
        text = text_of(path)
        if (
            text
            and path.suffix in {".md", ".toml", ".txt", ".ld", ".S"}
            and not name(path).startswith(EXEMPT)
        ):
            found += [
                f"{name(path)}:{number}: blank at the end"
                for number, line in enumerate(text.splitlines(), 1)
                if line != line.rstrip()
            ]
            if not text.endswith("\n"):
                found.append(f"{name(path)}: no end of line at the end")
    assert not found
