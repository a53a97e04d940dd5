# SPDX-License-Identifier: Apache-2.0
"""Images: written, read back, checked by other tools, and refused when damaged."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernlet.build import build_plan
from kernlet.build.sources import EntryKind, Port, RootfsEntry, RootfsPlan
from kernlet.image import (
    ImageFormatError,
    ImageWriteError,
    Manifest,
    RootfsError,
    make_rootfs,
    manifest_from_json,
    manifest_to_json,
    read_image,
    read_manifest,
)
from kernlet.kernel import SourceTree

PROGRAM = Path("/bin/true")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNLET_CACHE_DIR", str(tmp_path / "cache"))


def entry(path: str, mode: int = 0o644, data: bytes | None = None, **more: object) -> RootfsEntry:
    kind = EntryKind.DIRECTORY if data is None and "source" not in more else EntryKind.FILE
    if "target" in more:
        kind = EntryKind.SYMLINK
    return RootfsEntry(path, kind, mode, data=data, **more)  # type: ignore[arg-type]


def plan() -> RootfsPlan:
    return RootfsPlan(
        name="My App!",
        entries=(
            entry("/", 0o755),
            entry("/app", 0o755),
            entry("/app/hello", 0o755, source=PROGRAM),
            entry("/bin", 0o777, target="app"),
            entry("/data.txt", 0o640, b"x" * 5000),
            entry("/empty", 0o600, b""),
            entry("/locked", 0o500),
            entry("/locked/secret", 0o400, b"s"),
        ),
        entrypoint=("/bin/hello",),
        cmd=("-v", "\udcff odd"),
        env={"HOME": "/root", "B": "2"},
        cwd="/app",
        user="12:34",
        ports=(Port(80, "tcp", 8080), Port(53, "udp")),
        memory=64 << 20,
    )


@pytest.fixture
def image(kernel_tree: SourceTree, tmp_path: Path) -> Path:
    return build_plan(plan(), tmp_path / "app.kernlet", tree=kernel_tree).image


def test_manifest_says_what_is_in_the_image(image: Path) -> None:
    manifest = read_manifest(image)
    assert manifest.name == "My App!"
    assert manifest.argv == ("/bin/hello", "-v", "\udcff odd")
    assert manifest.env == (("HOME", "/root"), ("B", "2"))
    assert manifest.user == "12:34"
    assert [(port.guest, port.protocol, port.host) for port in manifest.ports] == [
        (80, "tcp", 8080),
        (53, "udp", 0),
    ]
    assert manifest.memory_bytes == 64 << 20
    assert manifest.syscalls == ("fcntl", "read")
    assert manifest.has_module("alpha")
    assert not manifest.has_module("gamma")
    assert manifest.sizes.kernel > 0
    digest = subprocess.run(["sha256sum", PROGRAM], capture_output=True, text=True, check=True)
    assert manifest.program_sha256 == digest.stdout.split()[0]
    assert manifest.rewrite.files == 1


def test_segments_can_be_mapped_and_do_not_overlap(image: Path, kernel_tree: SourceTree) -> None:
    info = read_image(image)
    layout = kernel_tree.layout
    end = layout["KL_IMAGE_PA"]
    for segment in info.segments:
        assert segment.offset % 4096 == segment.paddr % 4096 == 0
        assert segment.paddr >= end
        end = segment.paddr + segment.memory_bytes
    rootfs = info.segments[-1]
    assert (rootfs.paddr, rootfs.file_bytes) == (info.rootfs_pa, info.rootfs_bytes)
    assert rootfs.vaddr == layout["KL_DIRECT_VA"] + rootfs.paddr
    assert rootfs.flags == 4
    assert info.abi_version == layout["KL_ABI_VERSION"]
    assert info.end_pa == end
    assert info.pvh_entry == 0


def test_header_names_the_root_file_system(image: Path, kernel_tree: SourceTree) -> None:
    info = read_image(image)
    gate = info.segments[0]
    at = gate.offset + kernel_tree.layout["KL_GATE_PA"] - gate.paddr
    at += kernel_tree.layout["KL_GATE_HEADER_OFFSET"] + 56
    assert struct.unpack_from("<QQ", image.read_bytes(), at) == (info.rootfs_pa, info.rootfs_bytes)


def test_pvh_note_comes_first(kernel_tree: SourceTree, tmp_path: Path) -> None:
    (kernel_tree.lib / "delta" / "module.toml").write_text(
        'name = "delta"\nsummary = "PVH"\nprovides = ["delta"]\nsources = ["delta.S"]\n'
    )
    built = build_plan(plan(), tmp_path / "a.kernlet", tree=kernel_tree)
    assert read_image(built.image).pvh_entry == kernel_tree.layout["KL_KERNEL_PA"]
    with built.image.open("rb") as file:
        notes = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_NOTE"]
        assert len(notes) == 1
        assert notes[0].data()[12:16] == b"Xen\0"


def test_symbols_are_there_and_not_loaded(image: Path) -> None:
    names = subprocess.run(["nm", image], capture_output=True, text=True, check=True).stdout
    assert " T kl_start\n" in names
    readelf = subprocess.run(["readelf", "-aW", image], capture_output=True, text=True, check=True)
    assert "arning" not in readelf.stderr + readelf.stdout


def test_root_file_system_is_sound(image: Path, tmp_path: Path) -> None:
    info = read_image(image)
    rootfs = tmp_path / "rootfs"
    data = image.read_bytes()
    rootfs.write_bytes(data[info.rootfs_offset : info.rootfs_offset + info.rootfs_bytes])
    subprocess.run(["fsck.erofs", rootfs], check=True, capture_output=True)
    facts = subprocess.run(
        ["dump.erofs", "--path=/data.txt", rootfs], check=True, capture_output=True, text=True
    ).stdout
    assert "Layout: 0" in facts, "the data is not inline: its pages can be mapped"
    assert "Access: 0640" in facts
    assert "Uid: 0   Gid: 0" in facts
    assert "Timestamp: 1970-01-01 00:00:00" in facts


def test_same_input_gives_same_bytes(
    kernel_tree: SourceTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = []
    for name in ("one", "two/deeper"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        monkeypatch.setenv("KERNLET_CACHE_DIR", str(folder / "cache"))
        outputs.append(
            build_plan(plan(), folder / f"{folder.name}.kernlet", tree=kernel_tree).image
        )
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_nothing_is_left_when_the_build_fails(
    kernel_tree: SourceTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def interrupt(stage: str, _what: str, done: int, _total: int) -> None:
        if stage == "image" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(plan(), folder / "a.kernlet", tree=kernel_tree, progress=interrupt)
    assert list(folder.iterdir()) == []
    monkeypatch.setenv("PATH", str(folder / "nothing-here"))
    with pytest.raises(RootfsError, match="apt-get install erofs-utils"):
        make_rootfs([], folder / "x")


def test_full_disk_leaves_the_old_image(kernel_tree: SourceTree, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "none", mount], capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        (mount / "a.kernlet").write_text("old")
        with pytest.raises((ImageWriteError, RootfsError)):
            build_plan(plan(), mount / "a.kernlet", tree=kernel_tree)
        assert [path.name for path in mount.iterdir()] == ["a.kernlet"]
        assert (mount / "a.kernlet").read_text() == "old"
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize("top", [65535, 4_000_000_000])
def test_owners_are_kept_whoever_builds(tmp_path: Path, top: int) -> None:
    items = [
        entry("/", 0o755),
        entry("/many", 0o750, uid=33, gid=44),
        *(
            entry(f"/many/file-with-a-long-name-{n:04}", 0o644, b"x", uid=n, gid=top)
            for n in range(300)
        ),
        entry("/many/sub", 0o755),
        entry("/many/sub/link", 0o777, target="x", uid=7, gid=8),
        entry("/root-owned", 0o4711, b"y"),
        entry("/nobody-reads", 0o000, b"y"),
    ]
    image = tmp_path / "image"
    make_rootfs(items, image)
    subprocess.run(["fsck.erofs", image], check=True, capture_output=True)
    for path, owner in {
        "/": (0, 0),
        "/many": (33, 44),
        "/many/file-with-a-long-name-0299": (299, top),
        "/many/sub/link": (7, 8),
        "/root-owned": (0, 0),
    }.items():
        facts = subprocess.run(
            ["dump.erofs", f"--path={path}", image], check=True, capture_output=True, text=True
        ).stdout
        assert f"Uid: {owner[0]}   Gid: {owner[1]} " in facts, path
    for path, mode in {"/root-owned": "0711", "/nobody-reads": "0000", "/many": "0750"}.items():
        facts = subprocess.run(
            ["dump.erofs", f"--path={path}", image], check=True, capture_output=True, text=True
        ).stdout
        assert f"Access: {mode}" in facts, path


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a//b", "/./a"])
def test_path_out_of_the_root_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(RootfsError, match="not a normalised absolute path"):
        make_rootfs([entry("/", 0o755), entry(path, 0o644, b"")], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a kernlet image"),
        (b"\x7fELF", "is not a kernlet image"),
        (b"#!/bin/sh\n" * 100, "is not a kernlet image"),
        (PROGRAM.read_bytes(), "is not a kernlet image"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.kernlet"
    path.write_bytes(content)
    with pytest.raises(ImageFormatError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_truncated_image_is_refused(image: Path, tmp_path: Path) -> None:
    data = image.read_bytes()
    info = read_image(image)
    notes_end = info.rootfs_offset + info.rootfs_bytes + 100
    for length in (100, 5000, info.rootfs_offset + 10, notes_end):
        path = tmp_path / "cut.kernlet"
        path.write_bytes(data[:length])
        with pytest.raises(ImageFormatError, match="truncated"):
            read_image(path)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_headers_raise_only_format_errors(
    image: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(image.read_bytes())
    info = read_image(image)
    notes_at = info.rootfs_offset + info.rootfs_bytes
    places = st.one_of(
        st.integers(0, 600), st.integers(notes_at, min(notes_at + 1500, len(content) - 9))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(places)
        value = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(value)] = value
    path = tmp_path / "damaged.kernlet"
    path.write_bytes(content)
    try:
        read_image(path)
    except ImageFormatError:
        return


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_in_any_field_is_refused_or_read(value: object) -> None:
    import json

    for key in Manifest._fields:
        table = json.loads(manifest_to_json(Manifest(1, "n", ("/x",))))
        table[key] = value
        try:
            manifest = manifest_from_json(json.dumps(table).encode())
        except ImageFormatError:
            continue
        assert manifest_from_json(manifest_to_json(manifest)) == manifest


def test_newer_schema_is_refused_with_a_next_step() -> None:
    with pytest.raises(ImageFormatError, match="build the image again"):
        manifest_from_json(b'{"schema": 2}')
