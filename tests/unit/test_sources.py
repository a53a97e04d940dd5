# SPDX-License-Identifier: Apache-2.0
"""PROGRAM, DIR and kernlet.toml: what ends up in the root file system, and what is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernlet.build.dependencies import MissingLibraryError
from kernlet.build.sources import (
    ConfigurationError,
    EntryKind,
    Port,
    RootfsEntry,
    RootfsPlan,
    SourceError,
    load_source,
    parse_memory,
    parse_port,
)
from kernlet.build.sources._reference import render_reference
from kernlet.elf import ElfError
from kernlet.errors import KernletError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hello")
    source = folder / "hello.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", folder / "hello", source], check=True)
    return folder / "hello"


@pytest.fixture
def project(tmp_path: Path, hello: Path) -> Path:
    """A folder with a program, for a kernlet.toml."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(hello, folder / "hello")
    return folder


def plan_of(folder: Path, text: str, args: list[str] | None = None) -> RootfsPlan:
    (folder / "kernlet.toml").write_text(text)
    return load_source(folder, args)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        plan_of(folder, text)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


def entry(plan: RootfsPlan, path: str) -> RootfsEntry:
    return next(e for e in plan.entries if e.path == path)


def names(plan: RootfsPlan) -> set[str]:
    return {e.path for e in plan.entries}


def check_tree(plan: RootfsPlan) -> None:
    """Every plan: sorted, each parent is a directory before its children, all files readable, all links lead on."""
    paths = [e.path for e in plan.entries]
    assert paths == sorted(set(paths))
    kinds: dict[str, EntryKind] = {}
    for e in plan.entries:
        parent = e.path.rsplit("/", 1)[0] or "/"
        if e.path != "/":
            assert kinds[parent] is EntryKind.DIRECTORY
        kinds[e.path] = e.kind
        assert e.mode & ~0o7777 == 0
        assert (e.target is not None) == (e.kind is EntryKind.SYMLINK)
        if e.kind is EntryKind.FILE:
            e.read()
    assert plan.entrypoint[0].startswith("/")
    assert set(plan.programs) <= set(paths)


def test_a_static_program(hello: Path) -> None:
    plan = load_source(hello, ["a", "b"])
    check_tree(plan)
    assert plan.argv == ("/app/hello", "a", "b")
    assert plan.name == "hello"
    assert plan.programs == ("/app/hello",)
    assert entry(plan, "/tmp").mode == 0o1777
    assert entry(plan, "/dev").kind is EntryKind.DIRECTORY
    assert b"root:x:0:0:" in entry(plan, "/etc/passwd").read()
    assert entry(plan, "/var/run").target == "/run"


def test_where_a_program_was_built_does_not_matter(hello: Path, tmp_path: Path) -> None:
    shutil.copy(hello, tmp_path / "hello")

    def shape(plan: RootfsPlan) -> list[tuple[str, bytes]]:
        return [(e.path, e.read()) for e in plan.entries if e.kind is EntryKind.FILE]

    assert shape(load_source(hello)) == shape(load_source(tmp_path / "hello"))


def test_a_dynamic_program_with_its_loader_and_links() -> None:
    plan = load_source("/bin/ls")
    check_tree(plan)
    assert plan.entrypoint == ("/bin/ls",)
    view = {e.path: e for e in plan.entries}
    for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/bin/ls"):
        real = str(Path(path).resolve())
        assert view[real].kind is EntryKind.FILE
    assert b"libc.so.6" in view["/etc/ld.so.cache"].read()


def test_a_link_to_a_program_keeps_its_name() -> None:
    plan = load_source("/usr/bin/python3")
    assert plan.entrypoint == ("/usr/bin/python3",)
    assert entry(plan, "/usr/bin/python3").kind is EntryKind.SYMLINK


def test_a_program_beside_its_libraries_stays_there(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "bin").mkdir()
    source = tmp_path / "a.c"
    source.write_text("int f(void) { return 0; }\n")
    lib = tmp_path / "lib/libown.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wl,-soname,libown.so", "-o", lib, source], check=True
    )
    source.write_text("int f(void); int main(void) { return f(); }\n")
    program = tmp_path / "bin/a"
    subprocess.run(["gcc", "-o", program, source, lib, "-Wl,-rpath,$ORIGIN/../lib"], check=True)
    plan = load_source(program)
    check_tree(plan)
    assert plan.entrypoint == (str(program),)
    assert str(lib) in names(plan)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda _: None, "is not there"),
        (lambda p: p.write_text("text"), "is not an ELF file"),
        (lambda p: p.write_bytes(b"\x7fELF\x01\x01" + bytes(60)), "32-bit"),
        (lambda p: p.symlink_to("/nonexistent"), "it is a link to /nonexistent"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_bad_programs_are_refused(tmp_path: Path, make: object, text: str) -> None:
    path = tmp_path / "program"
    make(path)  # type: ignore[operator]  # one of the lambdas above
    with pytest.raises(KernletError, match=text) as caught:
        load_source(path)
    assert caught.value.hint


def test_a_directory_as_it_is(tmp_path: Path, hello: Path) -> None:
    root = tmp_path / "root"
    for folder in ("bin", "etc", "dev", "run/lock", "data"):
        (root / folder).mkdir(parents=True)
    shutil.copy(hello, root / "bin/hello")
    (root / "etc/passwd").write_text("me:x:1000:1000::/:/bin/sh\n")
    (root / "data/link").symlink_to("../bin/hello")
    (root / "data").chmod(0o700)
    os.mkfifo(root / "dev/pipe")
    plan = load_source(root, ["hello", "x"])
    check_tree(plan)
    assert plan.argv == ("/bin/hello", "x")
    assert entry(plan, "/etc/passwd").read().startswith(b"me:")
    assert entry(plan, "/data").mode == 0o700
    assert entry(plan, "/data/link").target == "../bin/hello"
    assert "/dev/pipe" not in names(plan)
    assert "/run/lock" not in names(plan)
    assert plan.programs == ("/bin/hello",)


def test_a_directory_needs_a_command(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing says which program") as caught:
        load_source(tmp_path)
    assert "kernlet.toml" in str(caught.value.hint)


def test_a_directory_without_the_program(tmp_path: Path) -> None:
    for command in ("nothing", "/bin/nothing"):
        with pytest.raises(SourceError, match=f"has no program {command}"):
            load_source(tmp_path, [command])


def test_a_script_in_a_directory_needs_its_interpreter(tmp_path: Path) -> None:
    (tmp_path / "start").write_text("#!/bin/sh\n")
    (tmp_path / "start").chmod(0o755)
    with pytest.raises(SourceError, match="has no program /bin/sh"):
        load_source(tmp_path, ["/start"])


def test_a_directory_without_a_library(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/ls", tmp_path / "bin/ls")
    with pytest.raises(MissingLibraryError):
        load_source(tmp_path, ["/bin/ls"])


@pytest.mark.parametrize("kind", ["socket", "pipe"])
def test_what_has_no_place_in_an_image(
    tmp_path: Path, hello: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(hello, tmp_path / "hello")
    if kind == "pipe":
        os.mkfifo(tmp_path / "it")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(tmp_path)  # a socket's path must be short
            server.bind("it")
    with pytest.raises(SourceError, match=kind):
        load_source(tmp_path, ["/hello"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_are_named(tmp_path: Path, hello: Path) -> None:
    shutil.copy(hello, tmp_path / "hello")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(SourceError, match=r"can't read .*secret: Permission denied"):
        load_source(tmp_path, ["/hello"])


def test_a_whole_configuration(project: Path) -> None:
    (project / "site/sub").mkdir(parents=True)
    (project / "site/index.html").write_text("<p>")
    (project / "site/sub/b.css").write_text("b")
    (project / "site/sub/c.css").write_text("c")
    plan = plan_of(
        project,
        """
name = "my-web"
program = "hello"
args = ["-v", ""]
env = { LANG = "C.UTF-8", PATH = "/bin" }
cwd = "/srv/www"
user = "www-data"
ports = [80, "8080:81", "53/udp"]
memory = "64M"
[files]
"/srv/www" = "site"
"/styles" = "site/**/*.css"
"/flat" = "site/sub/*.css"
"/etc/motd" = { content = "hello\\n", mode = "0600", owner = "33:34" }
"/etc/passwd" = { source = "/etc/passwd" }
"/var/lib/web" = { directory = true, mode = "1777" }
"/www" = { symlink = "srv/www" }
[modules]
include = ["procfs"]
exclude = ["ipv6"]
""",
    )
    check_tree(plan)
    assert plan.name == "my-web"
    assert plan.argv == ("/app/hello", "-v", "")
    assert (plan.env["LANG"], plan.env["PATH"], plan.env["HOME"]) == ("C.UTF-8", "/bin", "/root")
    assert (plan.cwd, plan.user, plan.memory) == ("/srv/www", "33:33", 64 << 20)
    assert plan.ports == (Port(80), Port(81, "tcp", 8080), Port(53, "udp"))
    assert plan.modules.include == ("procfs",)
    assert plan.modules.exclude == ("ipv6",)
    assert entry(plan, "/srv/www/index.html").read() == b"<p>"
    assert {"/styles/sub/b.css", "/flat/b.css", "/flat/c.css"} <= names(plan)
    motd = entry(plan, "/etc/motd")
    assert (motd.read(), motd.mode, motd.uid, motd.gid) == (b"hello\n", 0o600, 33, 34)
    assert entry(plan, "/var/lib/web").mode == 0o1777
    assert entry(plan, "/www").target == "srv/www"


def test_arguments_replace_those_of_the_configuration(project: Path) -> None:
    assert plan_of(project, 'program = "hello"\nargs = ["a"]\n', ["b"]).cmd == ("b",)


def test_a_root_with_a_configuration(tmp_path: Path, hello: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(hello, tmp_path / "bin/hello")
    plan = plan_of(
        tmp_path, 'root = "."\nprogram = "/bin/hello"\nfiles = { "/extra" = { content = "x" } }\n'
    )
    check_tree(plan)
    assert plan.entrypoint == ("/bin/hello",)
    assert {"/extra", "/bin/hello", "/tmp"} <= names(plan)
    assert "/kernlet.toml" not in names(plan)


def test_libraries_of_plug_ins_come_along(project: Path) -> None:
    plan = plan_of(
        project, 'program = "/bin/ls"\nlibraries = ["/usr/lib/x86_64-linux-gnu/libssl.so.3"]\n'
    )
    assert any("libcrypto" in path for path in plan.programs)
    copied = plan_of(
        project,
        'program = "/bin/ls"\nfiles = { "/plug.so" = "/usr/lib/x86_64-linux-gnu/libssl.so.3" }\n',
    )
    assert any("libcrypto" in path for path in copied.programs)
    assert "/plug.so" in copied.programs


def test_links_that_leave_a_copied_folder_are_replaced(project: Path) -> None:
    (project / "site").mkdir()
    (project / "outside").write_text("far")
    (project / "site/near").write_text("near")
    (project / "site/inner").symlink_to("near")
    (project / "site/outer").symlink_to("../outside")
    (project / "site/broken").symlink_to("nowhere")
    plan = plan_of(project, 'program = "hello"\nfiles = { "/s" = "site" }\n')
    check_tree(plan)
    assert entry(plan, "/s/inner").target == "near"
    assert entry(plan, "/s/outer").read() == b"far"
    assert entry(plan, "/s/broken").target == "nowhere"


def test_links_in_circles_are_refused(project: Path) -> None:
    (project / "site").mkdir()
    (project / "site/up").symlink_to("..")
    with pytest.raises(SourceError, match="circle"):
        plan_of(project, 'program = "hello"\nfiles = { "/s" = "site" }\n')
    (project / "site/up").unlink()
    (project / "site/a").symlink_to("b")
    (project / "site/b").symlink_to("a")
    with pytest.raises(SourceError, match="circle"):
        plan_of(project, 'program = "hello"\nfiles = { "/s" = "site" }\n')


def test_files_go_behind_links_of_the_root(project: Path, hello: Path) -> None:
    root = project / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    shutil.copy(hello, root / "usr/bin/hello")
    plan = plan_of(
        project,
        'root = "root"\nprogram = "/bin/hello"\nfiles = { "/bin/more" = { content = "x" } }\n',
    )
    check_tree(plan)
    assert entry(plan, "/usr/bin/more").read() == b"x"
    assert entry(plan, "/bin").kind is EntryKind.SYMLINK


BAD = {
    "args = []": "does not say which program",
    'program = "hello"\nprogramm = "x"': "did you mean program?",
    "program = 3": "a text is expected, not a number",
    'program = ""': "the text is empty",
    'program = "missing"': "missing is not there",
    'program = "../hello"': "leaves the folder",
    'program = "~/hello"': "~ is not replaced",
    'program = "hello"\nargs = "x"': "a list is expected, not a text",
    'program = "hello"\nargs = ["x", 1]': r"args\[1\]: a text is expected",
    'program = "hello"\nenv = { "1A" = "x" }': "no variable's name",
    'program = "hello"\nenv = { A = 1 }': "env.A: a text is expected",
    'program = "hello"\ncwd = "srv"': "not an absolute path",
    'program = "hello"\ncwd = "/a/../b"': r"contains \.\.",
    'program = "hello"\nuser = "nobody-here"': "there is no 'nobody-here'",
    'program = "hello"\nuser = "a:b:c"': "is no user",
    'program = "hello"\nuser = 99999999999': "out of range",
    'program = "hello"\nports = [0]': "ports go from 1 to 65535",
    'program = "hello"\nports = [true]': "is no port",
    'program = "hello"\nports = ["80/icmp"]': "is no port",
    'program = "hello"\nports = 80': "a list is expected",
    'program = "hello"\nmemory = "lots"': "no amount of memory",
    'program = "hello"\nmemory = 10': "out of range",
    'program = "hello"\nname = "A B"': "is no name",
    'program = "hello"\nfiles = ["x"]': "a table is expected",
    'program = "hello"\nfiles = { "x" = "y" }': "not an absolute path",
    'program = "hello"\nfiles = { "/x/../../y" = "y" }': r"contains \.\.",
    'program = "hello"\nfiles = { "/x" = "../y" }': "leaves the folder",
    'program = "hello"\nfiles = { "/x" = "*.none" }': "nothing matches",
    'program = "hello"\nfiles = { "/x" = {} }': "one of source, content",
    'program = "hello"\nfiles = { "/x" = { source = "a", content = "b" } }': "one of source, content",
    'program = "hello"\nfiles = { "/x" = { content = "b", mode = 644 } }': "is no mode",
    'program = "hello"\nfiles = { "/x" = { content = "b", owner = "me" } }': "is no owner",
    'program = "hello"\nfiles = { "/x" = { directory = false } }': "only true makes sense",
    'program = "hello"\nmodules = { include = ["A"] }': "is no module's name",
    'program = "hello"\nmodules = { add = [] }': "no key 'add'",
    'program = "hello"\nmodules = { include = ["a"], exclude = ["a"] }': "both included and excluded",
    'program = "hello"\nroot = "nowhere"': "is not an absolute path",
    'program = "/hello"\nroot = "nowhere"': "is no directory",
    "program = ": "not valid TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_configurations_are_refused(project: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=BAD[text]) as caught:
        plan_of(project, text)
    assert "kernlet.toml" in str(caught.value)
    assert caught.value.hint


def test_files_that_are_in_each_others_way(project: Path) -> None:
    text = 'program = "hello"\nfiles = { "/a" = { content = "x" }, "/a/b" = { content = "y" } }\n'
    with pytest.raises(SourceError, match="can't be put in"):
        plan_of(project, text)
    text = (
        'program = "hello"\nfiles = { "/tmp" = { directory = true }, "/etc" = { content = "y" } }\n'
    )
    assert load_plan_or_error(project, text)


def load_plan_or_error(folder: Path, text: str) -> bool:
    try:
        check_tree(plan_of(folder, text))
    except SourceError as error:
        return bool(error.hint)
    return True


@given(st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.none()))
def test_ports_and_memory_of_any_kind(value: object) -> None:
    for parse in (parse_port, parse_memory):
        try:
            parse(value, "here")
        except ConfigurationError as error:
            found = str(error)
        else:
            continue
        assert found.startswith("here")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120))
def test_any_text_as_a_configuration(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "kernlet.toml").write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises((SourceError, ElfError)):
        load_source(folder)


def test_the_reference_page_is_up_to_date() -> None:
    page = ROOT / "docs" / "reference" / "kernlet-toml.md"
    assert page.read_text() == render_reference()


def test_the_example_of_the_reference_page_is_valid(project: Path) -> None:
    text = render_reference().split("```toml\n")[1].split("```")[0]
    (project / "nginx.conf").write_text("x")
    (project / "site").mkdir()
    if not Path("/usr/sbin/nginx").is_file():
        pytest.skip("nginx is not installed")
    check_tree(plan_of(project, text))
