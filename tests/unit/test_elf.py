# SPDX-License-Identifier: Apache-2.0
"""ELF files: the same facts as readelf, and clear errors for everything that is none."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.elf import PHDR, TinyElf
from kernlet.elf import (
    ElfError,
    ElfFile,
    ElfKind,
    MalformedElfError,
    NotElfError,
    UnsupportedElfError,
    read_frames,
    read_functions,
    read_imports,
    read_labels,
    read_relocations,
)

# What every Debian has, and what the project installs; those that are missing are skipped, and said so.
PROGRAMS = [
    "/bin/ls",
    "/bin/cat",
    "/bin/bash",
    "/bin/busybox",
    "/bin/sh",
    "/bin/tar",
    "/usr/bin/python3",
    "/usr/bin/perl",
    "/usr/bin/gcc",
    "/usr/bin/ld",
    "/usr/bin/objdump",
    "/usr/bin/gdb",
    "/usr/bin/strace",
    "/usr/bin/git",
    "/usr/bin/make",
    "/usr/bin/ssh",
    "/usr/bin/curl",
    "/usr/bin/openssl",
    "/usr/sbin/nginx",
    "/usr/bin/redis-server",
    "/usr/bin/qemu-system-x86_64",
    "/usr/bin/mkfs.erofs",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/x86_64-linux-gnu/libssl.so.3",
    "/lib/x86_64-linux-gnu/libz.so.1",
    "/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/lib/x86_64-linux-gnu/libgcc_s.so.1",
    "/lib/x86_64-linux-gnu/libpthread.so.0",
    "/lib/ld-musl-x86_64.so.1",
    "/usr/bin/wrk",
    "/usr/bin/env",
]


def present(path: str) -> str:
    if not Path(path).is_file():
        pytest.skip(f"{path} is not installed")
    return path


def readelf(*flags: str, path: str) -> str:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    return subprocess.run(["readelf", "-W", *flags, path], capture_output=True, text=True).stdout


@pytest.mark.parametrize("path", PROGRAMS)
def test_headers_are_what_readelf_says(path: str) -> None:
    elf = ElfFile.open(present(path))
    text = readelf("-l", path=path)
    rows = re.findall(
        r"^  (\w+) +0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+) (...) ",
        text,
        re.M,
    )
    flags = [
        ((s.flags & 4 and "R") or " ")
        + ((s.flags & 2 and "W") or " ")
        + ((s.flags & 1 and "E") or " ")
        for s in elf.segments
    ]
    assert [(int(o, 16), int(v, 16), int(f, 16), int(m, 16), g) for _, o, v, f, m, g in rows] == [
        (s.offset, s.vaddr, s.filesz, s.memsz, flag)
        for s, flag in zip(elf.segments, flags, strict=True)
    ]
    found = re.search(r"program interpreter: (\S+)\]", text)
    assert elf.interpreter == (found[1] if found else None)


@pytest.mark.parametrize("path", PROGRAMS)
def test_dynamic_section_is_what_readelf_says(path: str) -> None:
    elf = ElfFile.open(present(path))
    text = readelf("-d", path=path)
    needed = re.findall(r"\(NEEDED\) +Shared library: \[(.*?)\]", text)
    soname = re.findall(r"\(SONAME\) +Library soname: \[(.*?)\]", text)
    runpath = re.findall(r"\(RUNPATH\) +Library runpath: \[(.*?)\]", text)
    if elf.dynamic is None:
        assert not needed
        return
    assert list(elf.dynamic.needed) == needed
    assert [elf.dynamic.soname] == (soname or [None])
    assert ":".join(elf.dynamic.runpath) == "".join(runpath)


@pytest.mark.parametrize("path", PROGRAMS)
def test_build_id_is_what_readelf_says(path: str) -> None:
    elf = ElfFile.open(present(path))
    found = re.search(r"Build ID: ([0-9a-f]+)", readelf("-n", path=path))
    assert elf.build_id == (found[1] if found else None)


@pytest.mark.parametrize("path", PROGRAMS)
def test_functions_are_what_readelf_says(path: str) -> None:
    elf = ElfFile.open(present(path))
    rows = re.findall(
        r"^ +\d+: ([0-9a-f]+) +(\d+|0x[0-9a-f]+) (?:FUNC|IFUNC) +\w+ +\w+ +(?!UND)\S+",
        readelf("-s", "-D", path=path),
        re.M,
    )
    wanted = {int(start, 16) for start, _ in rows if int(start, 16)}
    assert wanted <= {function.start for function in read_functions(elf)}


@pytest.mark.parametrize("path", PROGRAMS)
def test_relocations_are_as_many_as_readelf_says(path: str) -> None:
    elf = ElfFile.open(present(path))
    if elf.dynamic is None:
        return
    text = readelf("-r", "-D", path=path)
    assert len(re.findall(r"^[0-9a-f]{16}  [0-9a-f]{16} R_X86_64_", text, re.M)) <= len(
        read_relocations(elf)
    )


@pytest.mark.parametrize("path", PROGRAMS)
def test_frames_are_what_readelf_says(path: str) -> None:
    elf = ElfFile.open(present(path))
    if len(elf.data) > 5_000_000:
        return  # readelf takes too long
    rows = re.findall(
        r" FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)", readelf("--debug-dump=frames", path=path)
    )
    frames = {(frame.start, frame.end) for frame in read_frames(elf)}
    assert {(int(start, 16), int(end, 16)) for start, end in rows if start != end} == frames


def test_imports_are_undefined_symbols() -> None:
    names = read_imports(ElfFile.open("/bin/ls"))
    assert "__libc_start_main" in names
    assert "main" not in names


def test_kinds(tmp_path: Path) -> None:
    assert ElfFile.open("/bin/ls").kind is ElfKind.DYNAMIC
    assert ElfFile.open("/lib/x86_64-linux-gnu/libc.so.6").kind is ElfKind.LIBRARY
    source = tmp_path / "a.c"
    source.write_text("int main(void) { return 0; }\n")
    for flags, kind in ((["-static"], ElfKind.STATIC), (["-static-pie"], ElfKind.STATIC_PIE)):
        target = tmp_path / kind
        subprocess.run(["gcc", *flags, "-o", target, source], check=True)
        assert ElfFile.open(target).kind is kind
    assert ElfFile(TinyElf(b"\xc3").bytes()).kind is ElfKind.STATIC


def test_what_is_no_elf_file_is_said() -> None:
    with pytest.raises(NotElfError, match="it is empty"):
        ElfFile(b"")
    with pytest.raises(NotElfError, match="script for /bin/sh"):
        ElfFile(b"#!/bin/sh\n")
    with pytest.raises(NotElfError, match="No such file"):
        ElfFile.open("/nonexistent")


def test_other_machines_are_named() -> None:
    data = bytearray(TinyElf(b"\xc3").bytes())
    data[18:20] = struct.pack("<H", 183)
    with pytest.raises(UnsupportedElfError, match="64-bit ARM"):
        ElfFile(bytes(data))
    data[4] = 1
    with pytest.raises(UnsupportedElfError, match="32-bit"):
        ElfFile(bytes(data))


def test_object_files_are_refused() -> None:
    data = bytearray(TinyElf(b"\xc3").bytes())
    data[16:18] = struct.pack("<H", 1)
    with pytest.raises(UnsupportedElfError, match="object file"):
        ElfFile(bytes(data))


@pytest.mark.parametrize("size", [4, 5, 20, 63, 100, 5000])
def test_truncated_files_are_refused(size: int) -> None:
    with pytest.raises(MalformedElfError, match="truncated"):
        ElfFile(TinyElf(b"\xc3").bytes()[:size])


def test_segments_that_contradict_themselves_are_refused() -> None:
    overlapping = TinyElf(b"\xc3", extra=[PHDR.pack(1, 6, 0, 0x400000, 0, 4096, 4096, 4096)])
    with pytest.raises(MalformedElfError, match="overlap"):
        ElfFile(overlapping.bytes())
    too_high = TinyElf(b"\xc3", extra=[PHDR.pack(1, 6, 0, 1 << 63, 0, 4096, 4096, 4096)])
    with pytest.raises(MalformedElfError, match="address space"):
        ElfFile(too_high.bytes())


def test_every_error_has_a_next_step() -> None:
    for data in (b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01", TinyElf(b"\xc3").bytes()[:100]):
        with pytest.raises(ElfError) as caught:
            ElfFile(data)
        assert caught.value.hint
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("library")
    source = folder / "a.c"
    source.write_text('#include <stdio.h>\nint f(int x) { return printf("%d", x); }\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", folder / "a.so", source], check=True)
    return (folder / "a.so").read_bytes()


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_files_give_elf_errors_only(small_library: bytes, data: st.DataObject) -> None:
    damaged = bytearray(small_library)
    limit = data.draw(st.sampled_from([64, 0x400, len(damaged)]))
    for at in data.draw(st.lists(st.integers(0, limit - 1), min_size=1, max_size=8)):
        damaged[at] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(len(damaged) // 2, len(damaged)))
    try:
        elf = ElfFile(bytes(damaged[:size]))
        assert elf.kind
        assert elf.build_id != ""
        read_frames(elf)
        read_functions(elf)
        read_labels(elf)
        read_imports(elf)
        read_relocations(elf)
    except ElfError:
        pass
