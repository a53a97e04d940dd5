# SPDX-License-Identifier: Apache-2.0
"""Facts about the machine and the tools, to stand beside each figure."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "not installed"
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def facts() -> dict[str, str]:
    """Return processor, memory, kernel and versions, as text by name."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model.group(1) if model else "unknown",
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "qemu": _first_line("qemu-system-x86_64", "--version"),
        "docker": _first_line("dockerd", "--version"),
        "nginx": _first_line("/usr/sbin/nginx", "-v"),
        "redis": _first_line("redis-server", "--version"),
        "wrk": _first_line("wrk", "-v"),
    }


def resident_bytes(pids: list[int]) -> int:
    """Return the proportional set size of the processes together; 0 when they have ended."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        pss = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(pss.group(1)) * 1024 if pss else 0
    return total


def tree(pid: int) -> list[int]:
    """Return ``pid`` and all processes below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid] + [below for child in children for below in tree(int(child))]
