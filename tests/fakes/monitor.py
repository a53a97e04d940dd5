# SPDX-License-Identifier: Apache-2.0
"""A stand-in for kernlet-monitor: honours its command line, runs no guest.

The program's arguments say what the "guest" does: ``exit N``, ``echo TEXT``, ``error TEXT``,
``log TEXT``, ``cat``, ``sleep SECONDS``, ``settings``, ``kill N``, ``refuse``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[2] / "src"
SOURCE = Path("@SOURCE@")


def install(folder: Path) -> Path:
    """Write an executable that runs this file; return its path."""
    path = folder / "kernlet-monitor"
    path.write_text(
        f"#!{sys.executable} -I\n" + Path(__file__).read_text().replace("@SOURCE@", str(_SOURCE), 1)
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def stop(number: int, _frame: object) -> None:
    os._exit(128 + number)


def act(words: list[str], log_fd: int, settings: list[tuple[str, str]], memory: int) -> int:
    while words:
        word, *words = words
        if word == "exit":
            return int(words[0])
        if word == "echo":
            os.write(1, words.pop(0).encode() + b"\n")
        elif word == "error":
            os.write(2, words.pop(0).encode() + b"\n")
        elif word == "log":
            os.write(log_fd, words.pop(0).encode() + b"\n")
        elif word == "cat":
            while data := os.read(0, 65536):
                os.write(1, data)
        elif word == "sleep":
            time.sleep(float(words.pop(0)))
        elif word == "settings":
            os.write(1, json.dumps({"settings": settings, "memory": memory}).encode())
        elif word == "kill":
            os.kill(os.getpid(), int(words.pop(0)))
    return 0


def main() -> int:
    sys.path.insert(0, str(SOURCE))
    from kernlet.runner._cmdline import split

    parser = argparse.ArgumentParser()
    parser.add_argument("--image")
    parser.add_argument("--memory", type=int)
    parser.add_argument("--cmdline", default="")
    parser.add_argument("--control")
    parser.add_argument("--net")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--log-fd", type=int, default=2)
    parser.add_argument("--probe", action="store_true")
    options = parser.parse_args()
    if options.probe:
        print(json.dumps({"usable": True, "tsc_khz": 2_000_000}))
        return 0
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    settings, argv = split(options.cmdline)
    if argv[1:] == ["refuse"]:
        os.write(2, b"kernlet-monitor: image: no room for it; give more memory\n")
        return 125
    if options.control:
        Path(options.control).touch()
    return act(argv[1:], options.log_fd, settings, options.memory)


if __name__ == "__main__":
    sys.exit(main())
