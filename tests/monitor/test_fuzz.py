# SPDX-License-Identifier: Apache-2.0
"""The harnesses tests/fuzz/monitor_*.c, built and run for a few seconds each."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from monitor.harness import BUILD, ROOT, build_guest

FUZZ = ROOT / "tests" / "fuzz"
SECONDS = 3
# What each harness is made of.
SOURCES = {
    "monitor_virtqueue": ["virtqueue.c"],
    "monitor_image": ["image.c"],
    "monitor_json": ["json.c"],
}
FLAGS = ["-std=gnu11", "-g", "-O1", "-D_GNU_SOURCE", "-fsanitize=fuzzer,address,undefined"]


def build(name: str) -> Path:
    program = BUILD / "fuzz" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    inputs = [FUZZ / f"{name}.c", *(ROOT / "monitor" / source for source in SOURCES[name])]
    headers = [*(ROOT / "monitor").glob("*.h"), *(ROOT / "abi").glob("*.h")]
    newest = max(path.stat().st_mtime for path in [*inputs, *headers])
    if not program.exists() or program.stat().st_mtime < newest:
        include = [f"-I{ROOT / 'monitor'}", f"-I{ROOT / 'abi'}"]
        flags = [*FLAGS, "-fno-sanitize-recover=all", *include]
        subprocess.run(["clang-14", *flags, "-o", str(program), *map(str, inputs)], check=True)
    return program


def image_seeds(folder: Path) -> None:
    """A whole image, its start alone, and one with a root file system in its note."""
    data = bytearray(build_guest("hello").read_bytes())
    (folder / "hello").write_bytes(data)
    (folder / "start").write_bytes(data[:0x400])
    struct.pack_into("<QQ", data, data.index(b"kernlet\0") + 16, 0x106000, 0x40)
    (folder / "rootfs").write_bytes(data)


@pytest.mark.skipif(not shutil.which("clang-14"), reason="clang-14 is not installed")
@pytest.mark.parametrize("name", SOURCES)
def test_no_input_breaks_it(name: str, tmp_path: Path) -> None:
    program = build(name)
    corpus = BUILD / "fuzz" / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus, *(path for path in [FUZZ / "seeds" / name] if path.is_dir())]
    if name == "monitor_image":
        image_seeds(tmp_path)
        folders.append(tmp_path)
    limits = [f"-max_total_time={SECONDS}", "-timeout=5", "-rss_limit_mb=1024", "-max_len=40960"]
    prefix = f"-artifact_prefix={tmp_path}/crash-"
    done = subprocess.run(
        [str(program), *limits, prefix, *map(str, folders)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
