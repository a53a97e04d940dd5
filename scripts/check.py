# SPDX-License-Identifier: Apache-2.0
"""Runs every check of the repository and prints one table: what ``make check`` does after the set-up.

A step is a command. Test programs leave their results in a file (JUnit XML of pytest, JSON of the fuzzer), so that the
table counts single tests; any other step counts as one. Steps go on after a failure; the status is 1 when anything
failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "check"
PYTHON = sys.executable
C_KINDS = ("*.c", "*.h")


@dataclass
class Result:
    """What a step did."""

    passed: int = 0
    failed: int = 0
    skips: dict[str, int] = field(default_factory=dict)
    accelerators: set[str] = field(default_factory=set)
    seconds: float = 0

    @property
    def skipped(self) -> int:
        return sum(self.skips.values())


@dataclass(frozen=True)
class Step:
    """One check; ``read`` takes its results out of a file that it has written."""

    name: str
    command: list[str]
    read: Callable[[], Result] | None = None
    timeout_s: int = 600


def c_files(*, also_fixtures: bool = True) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *C_KINDS]
    names = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    names = [name for name in names if (ROOT / name).is_file()]
    return names if also_fixtures else [name for name in names if "/fixtures/" not in name]


def read_junit(path: Path) -> Result:
    result = Result()
    root = ET.parse(path).getroot()  # noqa: S314 - our own pytest wrote it
    for case in root.iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif skip is not None:
            reason = skip.get("message", "no reason given").splitlines()[0]
            result.skips[reason] = result.skips.get(reason, 0) + 1
        else:
            result.passed += 1
    for prop in root.iter("property"):
        if prop.get("name") == "accelerator":
            result.accelerators.add(prop.get("value", ""))
    return result


def read_fuzz(path: Path) -> Result:
    result = Result()
    for row in json.loads(path.read_text()):
        if row["result"] == "skipped":
            result.skips[row["detail"]] = result.skips.get(row["detail"], 0) + 1
        else:
            result.passed += row["result"] == "passed"
            result.failed += row["result"] == "failed"
    return result


def pytest_step(name: str, folder: str, timeout_s: int = 600) -> Step:
    report = OUT / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [
        PYTHON,
        "-m",
        "pytest",
        "-q",
        folder,
        f"--junitxml={report}",
        "-o",
        "junit_family=xunit1",
    ]
    return Step(name, command, lambda: read_junit(report), timeout_s=timeout_s)


def format_command() -> list[str]:
    tool = "clang-format-14"
    return [tool, "--dry-run", "-Werror", *c_files()]


def all_steps() -> list[Step]:
    fuzz = OUT / "fuzz.json"
    fuzz.unlink(missing_ok=True)
    return [
        Step("format", format_command()),
        Step(
            "ruff",
            [
                "/bin/sh",
                "-c",
                f"{PYTHON} -m ruff check -q . && {PYTHON} -m ruff format -q --check .",
            ],
        ),
        Step("types", [PYTHON, "-m", "mypy", "--no-error-summary"]),
        Step("kernel", [PYTHON, "-m", "kernlet.kernel", "--out", "build/kernel.elf"]),
        Step("c-lint", [PYTHON, "scripts/c_lint.py"]),
        Step("monitor", ["make", "--no-print-directory", "-C", "monitor"]),
        pytest_step("unit", "tests/unit"),
        pytest_step("host", "tests/host"),
        Step(
            "fuzz",
            [PYTHON, "tests/fuzz/run.py", "--seconds", "2", "--json", str(fuzz)],
            lambda: read_fuzz(fuzz),
        ),
        *(pytest_step(f"{name}-tests", f"tests/{name}", 900) for name in other_test_folders()),
    ]


def other_test_folders() -> list[str]:
    """Return the folders of tests beside unit, host and fuzz; those that need least come first."""
    found = {
        path.parent.relative_to(ROOT / "tests").parts[0]
        for path in (ROOT / "tests").rglob("test_*.py")
    }
    last = [name for name in ("monitor", "guest", "conformance") if name in found]
    return sorted(found - {"unit", "host", "fuzz", *last}) + last


def run(step: Step) -> Result:
    started = time.monotonic()
    print(f"\n=== {step.name}: {' '.join(step.command[:8])}", flush=True)
    try:
        status = subprocess.run(step.command, cwd=ROOT, timeout=step.timeout_s).returncode
    except subprocess.TimeoutExpired:
        print(f"{step.name}: took longer than {step.timeout_s} s", flush=True)
        status = -1
    except FileNotFoundError as error:
        print(f"{step.name}: {error.filename} is not installed", flush=True)
        status = -1
    result = Result()
    if step.read is not None:
        try:
            result = step.read()
        except (OSError, ValueError, ET.ParseError) as error:
            print(f"{step.name}: no results: {error}", flush=True)
            status = -1
    elif status == 0:
        result.passed = 1
    if status != 0 and result.failed == 0:
        result.failed = 1
    result.seconds = time.monotonic() - started
    return result


def print_table(results: dict[str, Result]) -> None:
    print(f"\n{'step':20}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for name, result in results.items():
        mark = "  FAILED" if result.failed else ""
        row = f"{name:20}{result.passed:8}{result.failed:8}{result.skipped:8}{result.seconds:9.1f}{mark}"
        print(row)
    reasons = [
        (name, text, n) for name, result in results.items() for text, n in result.skips.items()
    ]
    if reasons:
        print("\nskipped:")
        for name, text, count in reasons:
            print(f"  {name}: {count} x {text}")
    used = sorted(set().union(*(result.accelerators for result in results.values())))
    print(f"\naccelerators: {', '.join(used) or 'none ran'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of steps, with commas")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    OUT.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"
    started = time.monotonic()
    results = {}
    for step in all_steps():
        if not only or step.name in only:
            results[step.name] = run(step)
    print_table(results)
    total = [
        sum(getattr(r, kind) for r in results.values()) for kind in ("passed", "failed", "skipped")
    ]
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
