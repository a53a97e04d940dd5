# SPDX-License-Identifier: Apache-2.0
"""Prints the figures of monitor/README.md: python tests/monitor/measure.py [runs]."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from monitor.harness import MONITOR, build_guest, build_monitor, command


def milliseconds(arguments: list[str], runs: int) -> str:
    """Start and end a process ``runs`` times; return the median and the range."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        times.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(times):.2f} ms ({min(times):.2f} to {max(times):.2f})"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    build_monitor()
    print("process only (--version):  ", milliseconds([str(MONITOR), "--version"], runs))
    for name, options in (("sandboxed", []), ("--no-sandbox", ["--no-sandbox"])):
        arguments = command("hello", *options, memory=64 << 20)
        print(f"hello guest, {name}:".ljust(27), milliseconds(arguments, runs))
    print("\nFirst touches, nanoseconds a page:")
    build_guest("touch")
    done = subprocess.run(
        command("touch", memory=64 << 20), capture_output=True, text=True, check=True
    )
    print(done.stderr, end="")


if __name__ == "__main__":
    main()
