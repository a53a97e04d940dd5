# SPDX-License-Identifier: Apache-2.0
"""The examples' harnesses (tests/fuzz/dns_*.c, web_*.c), built and run for a few seconds each."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "fuzz"
DNS = ROOT / "examples" / "dns"
BUILD = ROOT / "build" / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "3"))
DNS_LIBRARY = [
    "answer.c",
    "message.c",
    "query.c",
    "parse.c",
    "rdata.c",
    "scan.c",
    "zone.c",
    "name.c",
]
WEB = ROOT / "examples" / "web"
FLAGS = ["-std=gnu11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined"]


# The folder of each harness's example, what it takes from there, and what beside.
HARNESSES = {
    "dns_packet": (DNS, DNS_LIBRARY, ["dns_check.c", "dns_arena.c"]),
    "dns_zone": (DNS, DNS_LIBRARY, ["dns_check.c", "dns_arena.c"]),
    "web_request": (WEB, ["request.c", "text.c"], []),
}


def build(name: str) -> Path:
    """Build a harness with the example's own sources."""
    program = BUILD / name
    program.parent.mkdir(parents=True, exist_ok=True)
    example, library, support = HARNESSES[name]
    inputs = [FUZZ / f"{name}.c", *(FUZZ / source for source in support)]
    inputs += [example / source for source in library]
    headers = [*example.glob("*.h"), FUZZ / "dns_check.h"]
    newest = max(path.stat().st_mtime for path in [*inputs, *headers])
    if not program.exists() or program.stat().st_mtime < newest:
        flags = [*FLAGS, "-fno-sanitize-recover=all", f"-I{example}"]
        subprocess.run(["clang-14", *flags, "-o", str(program), *map(str, inputs)], check=True)
    return program


@pytest.mark.skipif(not shutil.which("clang-14"), reason="clang-14 is not installed")
@pytest.mark.parametrize(
    ("name", "max_bytes"), [("dns_packet", 1400), ("dns_zone", 8192), ("web_request", 4096)]
)
def test_no_input_breaks_it(name: str, max_bytes: int, tmp_path: Path) -> None:
    program = build(name)
    corpus = BUILD / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus, FUZZ / "seeds" / name]
    limits = [f"-max_total_time={SECONDS}", "-timeout=5", "-rss_limit_mb=1024"]
    prefix = f"-artifact_prefix={tmp_path}/crash-"
    done = subprocess.run(
        [str(program), *limits, f"-max_len={max_bytes}", prefix, *map(str, folders)],
        env={**os.environ, "DNS_ZONE": str(DNS / "example.zone")},
        capture_output=True,
        timeout=SECONDS + 60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
