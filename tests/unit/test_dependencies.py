# SPDX-License-Identifier: Apache-2.0
"""Shared libraries: the same files as ldd names, the loader's order of search, and clear errors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernlet.build.dependencies import (
    CacheEntry,
    DependencyError,
    MissingLibraryError,
    PathError,
    RootView,
    find_dependencies,
    parse_cache,
    render_cache,
)
from kernlet.elf import ElfError, ElfFile, NotElfError

DIRECTORIES = ("/usr/bin", "/usr/sbin")
PROGRAMS_MAX = 60
MAIN = "int main(void) { return 0; }"
MUSL = "/lib/ld-musl-x86_64.so.1"


def dynamic_programs() -> list[str]:
    """Return dynamic programs of this machine, a spread of them."""
    found = []
    for directory in DIRECTORIES:
        for path in sorted(Path(directory).iterdir()):
            try:
                if (
                    path.is_symlink()
                    or not path.is_file()
                    or ElfFile.open(path).interpreter is None
                ):
                    continue
            except ElfError:
                continue
            found.append(str(path))
    return found[:: max(1, len(found) // PROGRAMS_MAX)]


@pytest.mark.parametrize("program", dynamic_programs())
def test_libraries_are_those_that_ldd_names(program: str) -> None:
    text = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    if "not found" in text:
        with pytest.raises(MissingLibraryError):
            find_dependencies(program)
        return
    wanted = set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", text, re.M))
    found = find_dependencies(program)
    libraries = {library.path for library in found.libraries if library.reason == "needed"}
    assert libraries == {path for path in wanted if path != found.interpreter}


def test_static_programs_need_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", tmp_path / "a", source], check=True)
    found = find_dependencies(str(tmp_path / "a"))
    assert (found.interpreter, found.libraries, found.cache) == (None, (), None)


def test_thread_exit_brings_the_unwinder(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("#include <pthread.h>\nint main(void) { pthread_exit(0); }\n")
    subprocess.run(["gcc", "-o", tmp_path / "a", source], check=True)
    found = find_dependencies(str(tmp_path / "a"))
    assert [lib.name for lib in found.libraries if lib.reason == "dlopen"] == ["libgcc_s.so.1"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root directory with the C library and its loader."""
    root = tmp_path / "root"
    for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True)
        shutil.copy(Path(path).resolve(), target)
    (root / "bin").mkdir()
    return root


def build(
    root: Path,
    name: str,
    *flags: str,
    source: str = "int main(void) { return 0; }",
    shared: bool = False,
) -> Path:
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    file = root.parent / "source.c"
    file.write_text(source + "\n")
    kind = ["-shared", "-fPIC"] if shared else []
    command: list[str | Path] = ["gcc", *kind, "-Wl,--no-as-needed", "-o", target, file, *flags]
    subprocess.run(command, check=True)
    return target


def library(root: Path, name: str, *flags: str) -> Path:
    return build(root, name, f"-Wl,-soname,{Path(name).name}", *flags, source="int f;", shared=True)


def paths(root: Path, program: str, **options: tuple[str, ...]) -> list[str]:
    found = find_dependencies(program, RootView(root), **options)
    return [lib.path for lib in found.libraries if lib.name != "libc.so.6"]


def test_nothing_is_looked_for_outside_of_the_root(tree: Path) -> None:
    build(tree, "bin/a", "-lm")
    with pytest.raises(MissingLibraryError, match=r"libm\.so\.6"):
        find_dependencies("/bin/a", RootView(tree))


def test_the_missing_library_and_who_needs_it_are_named(tree: Path) -> None:
    inner = library(tree, "lib/x86_64-linux-gnu/libinner.so")
    outer = library(tree, "lib/x86_64-linux-gnu/libouter.so", str(inner))
    build(tree, "bin/a", str(outer), "-Wl,--unresolved-symbols=ignore-all")
    inner.unlink()
    with pytest.raises(MissingLibraryError) as caught:
        find_dependencies("/bin/a", RootView(tree))
    text = str(caught.value)
    assert "libouter.so needs libinner.so" in text
    assert "libouter.so <- a" in text
    assert "/lib/x86_64-linux-gnu" in text
    assert caught.value.hint


def test_runpath_with_origin(tree: Path) -> None:
    lib = library(tree, "opt/app/lib/libown.so")
    build(tree, "opt/app/bin/a", str(lib), "-Wl,-rpath,$ORIGIN/../lib")
    assert paths(tree, "/opt/app/bin/a") == ["/opt/app/lib/libown.so"]


def test_runpath_is_not_inherited_but_rpath_is(tree: Path) -> None:
    inner = library(tree, "opt/lib/libinner.so")
    outer = library(tree, "opt/lib/libouter.so", str(inner))
    flags = [str(outer), "-Wl,-rpath,/opt/lib", "-Wl,--unresolved-symbols=ignore-all"]
    build(tree, "bin/runpath", *flags, "-Wl,--enable-new-dtags")
    build(tree, "bin/rpath", *flags, "-Wl,--disable-new-dtags")
    assert paths(tree, "/bin/rpath") == ["/opt/lib/libouter.so", "/opt/lib/libinner.so"]
    with pytest.raises(MissingLibraryError):
        paths(tree, "/bin/runpath")


def test_library_path_comes_before_runpath(tree: Path) -> None:
    lib = library(tree, "opt/one/libtwice.so")
    library(tree, "opt/two/libtwice.so")
    build(tree, "bin/a", str(lib), "-Wl,-rpath,/opt/one")
    assert paths(tree, "/bin/a") == ["/opt/one/libtwice.so"]
    assert paths(tree, "/bin/a", library_path=("/opt/two",)) == ["/opt/two/libtwice.so"]


def test_the_configuration_counts_where_there_is_no_cache(tree: Path) -> None:
    lib = library(tree, "srv/libs/libcfg.so")
    build(tree, "bin/a", str(lib))
    (tree / "etc/ld.so.conf.d").mkdir(parents=True)
    (tree / "etc/ld.so.conf").write_text("include ld.so.conf.d/*.conf\n")
    (tree / "etc/ld.so.conf.d/mine.conf").write_text("# mine\n/srv/libs\n")
    assert paths(tree, "/bin/a") == ["/srv/libs/libcfg.so"]


def test_the_cache_comes_before_the_default_directories(tree: Path) -> None:
    lib = library(tree, "srv/libs/libcached.so")
    library(tree, "lib/x86_64-linux-gnu/libcached.so")
    build(tree, "bin/a", str(lib))
    (tree / "etc").mkdir()
    (tree / "etc/ld.so.cache").write_bytes(
        render_cache([CacheEntry("libcached.so", "/srv/libs/libcached.so")])
    )
    assert paths(tree, "/bin/a") == ["/srv/libs/libcached.so"]


def test_libraries_for_newer_cpus_come_along(tree: Path) -> None:
    lib = library(tree, "lib/x86_64-linux-gnu/libfast.so")
    library(tree, "lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so")
    build(tree, "bin/a", str(lib))
    found = find_dependencies("/bin/a", RootView(tree))
    fast = [(entry.path, entry.reason) for entry in found.libraries if entry.name == "libfast.so"]
    assert fast == [
        ("/lib/x86_64-linux-gnu/libfast.so", "needed"),
        ("/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so", "hwcaps"),
    ]


def test_libraries_for_other_machines_are_passed_over(tree: Path) -> None:
    lib = library(tree, "opt/right/libx.so")
    wrong = tree / "opt/wrong/libx.so"
    wrong.parent.mkdir()
    data = bytearray(lib.read_bytes())
    data[18] = 183
    wrong.write_bytes(data)
    build(tree, "bin/a", str(lib), "-Wl,-rpath,/opt/wrong:/opt/right")
    assert paths(tree, "/bin/a") == ["/opt/right/libx.so"]


def test_a_broken_library_is_an_error(tree: Path) -> None:
    lib = library(tree, "lib/x86_64-linux-gnu/libbad.so")
    build(tree, "bin/a", str(lib))
    lib.write_bytes(lib.read_bytes()[:200])
    with pytest.raises(DependencyError, match=r"libbad\.so can't be used: .*"):
        find_dependencies("/bin/a", RootView(tree))


def test_the_missing_loader_is_named(tree: Path) -> None:
    build(tree, "bin/a", "-Wl,--dynamic-linker=/lib/ld-other.so.1")
    with pytest.raises(MissingLibraryError, match=r"/lib/ld-other\.so\.1"):
        find_dependencies("/bin/a", RootView(tree))


def test_musl_programs_use_musls_rules(tmp_path: Path) -> None:
    if shutil.which("musl-gcc") is None or not Path(MUSL).exists():
        pytest.skip("musl-tools is not installed")
    root = tmp_path / "root"
    (root / "lib").mkdir(parents=True)
    shutil.copy(MUSL, root / "lib")
    (root / "etc").mkdir()
    (root / "etc/ld-musl-x86_64.path").write_text("/lib\n/srv/libs\n")
    (root / "srv/libs").mkdir(parents=True)
    source = tmp_path / "a.c"
    source.write_text("int f;\n")
    lib = root / "srv/libs/libown.so"
    subprocess.run(
        ["musl-gcc", "-shared", "-fPIC", "-Wl,-soname,libown.so", "-o", lib, source], check=True
    )
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["musl-gcc", "-Wl,--no-as-needed", "-o", root / "a", source, lib], check=True)
    found = find_dependencies("/a", RootView(root))
    assert found.loader == "musl"
    assert found.configuration == ("/etc/ld-musl-x86_64.path",)
    assert [entry.path for entry in found.libraries] == ["/srv/libs/libown.so"]
    assert found.cache is None


def test_links_on_the_way_are_named(tree: Path) -> None:
    (tree / "usr").mkdir()
    (tree / "lib").rename(tree / "usr/lib")
    (tree / "lib").symlink_to("usr/lib")
    found = RootView(tree).file("/lib/x86_64-linux-gnu/libc.so.6")
    assert found is not None
    assert (found.path, found.links) == ("/usr/lib/x86_64-linux-gnu/libc.so.6", ("/lib",))


def test_links_stay_inside_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "inner/up").symlink_to("../../../../../secret")
    (tmp_path / "inner/absolute").symlink_to("/etc/passwd")
    view = RootView(tmp_path / "inner")
    assert view.file("/up") is None
    assert view.file("/absolute") is None
    assert view.file("/../../secret") is None


def test_link_circles_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(PathError, match="circle"):
        RootView(tmp_path).resolve("/a")


def test_what_is_no_program_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    with pytest.raises(NotElfError):
        find_dependencies("/a", RootView(tmp_path))
    with pytest.raises(PathError, match="not there"):
        find_dependencies("/b", RootView(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_directories_are_errors(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o000)
    with pytest.raises(PathError, match="Permission denied"):
        RootView(tmp_path).resolve("/shut/a")


def ldconfig() -> str:
    for place in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        if Path(place).is_file():
            return place
    pytest.skip("ldconfig is not installed")


def test_the_cache_reads_as_ldconfig_prints_it() -> None:
    if not Path("/etc/ld.so.cache").is_file():
        pytest.skip("no cache on this machine")
    text = subprocess.run([ldconfig(), "-p"], capture_output=True, text=True).stdout
    wanted = re.findall(r"^\t(\S+) \(libc6,x86-64(?:[^)]*)\) => (\S+)$", text, re.M)
    found = parse_cache(Path("/etc/ld.so.cache").read_bytes())
    assert [(entry.name, entry.path) for entry in found] == wanted


NAMES = st.from_regex(r"lib[a-z0-9+_.-]{1,12}\.so(\.[0-9]{1,3}){0,3}", fullmatch=True)


@given(st.lists(NAMES, max_size=40, unique=True))
def test_caches_survive_a_round_trip(names: list[str]) -> None:
    entries = [CacheEntry(name, f"/usr/lib/{name}") for name in names]
    assert sorted(parse_cache(render_cache(entries)), key=lambda e: e.name) == sorted(
        entries, key=lambda e: e.name
    )


def test_the_loader_finds_every_library_through_a_rendered_cache(tmp_path: Path) -> None:
    entries = [
        CacheEntry(f"lib{n}.so.{n % 13}", f"/usr/lib/lib{n}.so.{n % 13}") for n in range(300)
    ]
    entries += [
        CacheEntry(name, f"/x/{name}")
        for name in ("libz.so.1", "libstdc++.so.6", "libc.so.6", "lib-a.so")
    ]
    cache = tmp_path / "cache"
    cache.write_bytes(render_cache(entries))
    text = subprocess.run([ldconfig(), "-p", "-C", cache], capture_output=True, text=True).stdout
    assert f"{len(entries)} libs found" in text
    listed = [line.split()[0] for line in text.splitlines()[1:] if line.startswith("\t")]
    assert [entry.name for entry in parse_cache(cache.read_bytes())] == listed


def test_the_order_of_a_rendered_cache_is_the_machines_own() -> None:
    if not Path("/etc/ld.so.cache").is_file():
        pytest.skip("no cache on this machine")
    entries = [e for e in parse_cache(Path("/etc/ld.so.cache").read_bytes()) if not e.hwcaps]
    again = parse_cache(render_cache(entries))
    assert [entry.name for entry in again] == [entry.name for entry in entries]


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_as_a_cache_are_read_without_an_error(data: bytes, magic: bool) -> None:
    parse_cache((b"glibc-ld.so.cache1.1" if magic else b"ld.so-1.7.0\0") + data)
