# SPDX-License-Identifier: Apache-2.0
"""Making a crash report readable: places in files get the names of functions and lines.

The library OS writes lines that begin with ``kernlet-crash:``; a frame ends with ``PATH+0xOFFSET``,
where the offset is into the file as it lies in the image.
"""

from __future__ import annotations

import bisect
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from kernlet.elf import ElfFile, Function, read_functions
from kernlet.errors import KernletError
from kernlet.image import read_image

MARKS = ("kernlet-crash:", "kernlet: panic:")
_FRAME = re.compile(
    r"^(?P<head>kernlet-crash: #(?P<number>\d+) .*?)(?P<path>/.+)\+0x(?P<at>[0-9a-f]+)$"
)
_TOOL_SECONDS = 20


def report(log: str, image: str) -> str:
    """Return the lines of ``log`` that tell of a crash, with names where the image has them."""
    lines = [line for line in log.splitlines() if line.startswith(MARKS)]
    paths = {found["path"] for line in lines if (found := _FRAME.match(line))}
    with tempfile.TemporaryDirectory(prefix="kernlet-crash-") as folder:
        files = _extract(image, Path(folder)) if paths else None
        symbols = {path: _Symbols(files, path) for path in paths} if files else {}
        return "".join(f"{_named(line, symbols)}\n" for line in lines)


def _named(line: str, symbols: dict[str, _Symbols]) -> str:
    found = _FRAME.match(line)
    if found is None or found["path"] not in symbols:
        return line
    # A return address may lie behind the last instruction of its function.
    at = int(found["at"], 16) - (1 if int(found["number"]) else 0)
    name = symbols[found["path"]].name(at)
    return f"{found['head']}{name} in {found['path']}" if name else line


def _extract(image: str, folder: Path) -> Path | None:
    """Unpack the image's files; None where that is not possible (no erofs-utils)."""
    tool = shutil.which("fsck.erofs", path="/usr/bin:/usr/sbin:/sbin:/usr/local/bin")
    try:
        info = read_image(image)
        if tool is None or not info.rootfs_bytes:
            return None
        rootfs = folder / "rootfs.erofs"
        with open(image, "rb") as source, rootfs.open("wb") as target:  # noqa: PTH123
            source.seek(info.rootfs_offset)
            target.write(source.read(info.rootfs_bytes))
        files = folder / "files"
        command = [tool, f"--extract={files}", "--no-preserve", str(rootfs)]
        subprocess.run(command, capture_output=True, timeout=_TOOL_SECONDS, check=False)
    except (OSError, KernletError, subprocess.TimeoutExpired):
        return None
    return files if files.is_dir() else None


class _Symbols:
    """Functions of one file of the image."""

    def __init__(self, files: Path, path: str) -> None:
        self._functions: list[Function] = []
        self._elf: ElfFile | None = None
        self._file = files / path.lstrip("/")
        try:
            if self._file.resolve().is_relative_to(files.resolve()):
                self._elf = ElfFile.open(self._file)
                self._functions = read_functions(self._elf)
        except (KernletError, OSError):
            return

    def name(self, offset: int) -> str:
        """Return ``function+0x.. (source:line)`` for an offset into the file; empty if unknown."""
        if self._elf is None:
            return ""
        for segment in self._elf.loads:
            if segment.offset <= offset < segment.offset + segment.filesz:
                return self._at(offset - segment.offset + segment.vaddr)
        return ""

    def _at(self, address: int) -> str:
        starts = [function.start for function in self._functions]
        index = bisect.bisect_right(starts, address) - 1
        if index < 0:
            return ""
        function = self._functions[index]
        if function.size and address >= function.start + function.size:
            return ""
        line = self._line(address)
        name = f"{function.name}+{address - function.start:#x}"
        return f"{name} ({line})" if line else name

    def _line(self, address: int) -> str:
        tool = shutil.which("addr2line")
        if tool is None:
            return ""
        command = [tool, "-s", "-e", str(self._file), hex(address)]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_TOOL_SECONDS, check=False, text=True
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        place = done.stdout.strip().partition(" ")[0]
        return "" if place.startswith("?") or place.endswith((":0", ":?")) else place
