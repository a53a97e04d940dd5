# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kernlet.cli import _crash
from kernlet.elf import ElfFile, read_functions

SOURCE = (
    "int deeper(int *p)\n{\n\treturn *p;\n}\nint main(void)\n{\n\treturn deeper((int *)8);\n}\n"
)


@pytest.fixture(name="files")
def make_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the image's files: a program with symbols in /bin/prog."""
    folder = tmp_path / "files"
    (folder / "bin").mkdir(parents=True)
    source = tmp_path / "prog.c"
    source.write_text(SOURCE)
    command = ["cc", "-g", "-O0", "-o", str(folder / "bin" / "prog"), str(source)]
    subprocess.run(command, check=True, timeout=60)
    monkeypatch.setattr(_crash, "_extract", lambda _image, _folder: folder)
    return folder


def offset_of(program: Path, name: str) -> int:
    elf = ElfFile.open(program)
    address = next(one.start for one in read_functions(elf) if one.name == name)
    segment = next(s for s in elf.loads if s.vaddr <= address < s.end)
    return address - segment.vaddr + segment.offset


def test_frames_get_function_and_line(files: Path) -> None:
    at = offset_of(files / "bin" / "prog", "deeper")
    caller = offset_of(files / "bin" / "prog", "main")
    log = (
        "something else\n"
        "kernlet-crash: SIGSEGV: address not mapped, address 0x8, in prog (thread 1)\n"
        f"kernlet-crash: #0 0x401000 /bin/prog+{at + 4:#x}\n"
        f"kernlet-crash: #1 0x401000 /bin/prog+{caller + 9:#x}\n"
        "kernlet-crash: #2 0x401000 /lib/none.so+0x100\n"
        "kernlet-crash: #3 0x401000\n"
    )
    lines = _crash.report(log, "image").splitlines()
    assert lines[0] == "kernlet-crash: SIGSEGV: address not mapped, address 0x8, in prog (thread 1)"
    assert lines[1].startswith("kernlet-crash: #0 0x401000 deeper+0x4")
    assert lines[1].endswith(" in /bin/prog")
    if shutil.which("addr2line"):
        assert "(prog.c:2)" in lines[1]
    assert "main+0x8" in lines[2]
    assert lines[3:] == [
        "kernlet-crash: #2 0x401000 /lib/none.so+0x100",
        "kernlet-crash: #3 0x401000",
    ]


def test_paths_out_of_the_image_are_not_followed(files: Path) -> None:
    (files / "bin" / "link").symlink_to("/proc/self/exe")
    line = "kernlet-crash: #0 0x401000 /bin/link+0x1000"
    assert _crash.report(line, "image") == f"{line}\n"


@pytest.mark.parametrize("at", ["0", "fffffffffffffff", "7"])
def test_odd_offsets_change_nothing(files: Path, at: str) -> None:
    line = f"kernlet-crash: #0 0x401000 /bin/prog+0x{at}"
    assert files
    assert _crash.report(line, "image") == f"{line}\n"


def test_an_image_that_has_gone_changes_nothing(tmp_path: Path) -> None:
    line = "kernlet-crash: #0 0x401000 /bin/prog+0x10"
    assert _crash.report(line, str(tmp_path / "gone")) == f"{line}\n"
