# SPDX-License-Identifier: Apache-2.0
"""From PROGRAM, DIR or kernlet.toml to a plan of the root file system."""

from __future__ import annotations

import glob
import os
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from kernlet.build.dependencies import CacheEntry as _CacheEntry
from kernlet.build.dependencies import (
    Dependencies,
    Found,
    Library,
    RootView,
    find_dependencies,
    render_cache,
)
from kernlet.build.sources._base import DEFAULT_ENV, add_base
from kernlet.build.sources._entries import EntrySet, host_file
from kernlet.build.sources._errors import ConfigurationError, SourceError
from kernlet.build.sources._plan import EntryKind, RootfsEntry, RootfsPlan
from kernlet.build.sources._schema import Configuration, FileRule, read_configuration
from kernlet.build.sources._tree import copy_root, copy_tree
from kernlet.elf import ElfError, ElfFile

__all__ = ["CONFIGURATION_NAME", "load_source"]

CONFIGURATION_NAME = "kernlet.toml"
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/")
_HOME = "/app"
_SCRIPTS_MAX = 4  # interpreters of interpreters: as Linux
_WILDCARD = re.compile(r"[*?\[]")
_NAME_PIECE = re.compile(r"[^a-z0-9]+")


def load_source(path: Path | str, args: list[str] | None = None) -> RootfsPlan:
    """Plan the image of ``path``: a program, a directory with a root file system, or a kernlet.toml.

    ``args`` replace the arguments that a kernlet.toml names; for a directory without one they are the whole command.
    Nothing is run and nothing is written. Raises SourceError, ElfError, PathError or DependencyError.
    """
    path = Path(path)
    try:
        is_directory = path.is_dir()
        exists = path.exists()
    except OSError as error:
        raise SourceError(
            f"can't look at {path}", cause=error.strerror, hint="check the path"
        ) from error
    if not exists:
        hint = "check the path"
        if path.is_symlink():
            hint = f"it is a link to {path.readlink()}, which is not there"
        raise SourceError(f"{path} is not there", hint=hint)
    if is_directory:
        configuration = path / CONFIGURATION_NAME
        if configuration.is_file():
            return _from_configuration(read_configuration(configuration), args)
        return _from_directory(path, args)
    if path.suffix == ".toml":
        return _from_configuration(read_configuration(path), args)
    if not path.is_file():
        raise SourceError(
            f"{path} is not a regular file", hint="give a program, a directory or a kernlet.toml"
        )
    return _from_program(path, args)


def _from_program(path: Path, args: list[str] | None) -> RootfsPlan:
    entries = EntrySet()
    builder = _HostProgram(entries, {})
    guest = builder.add_program(path)
    builder.add_libraries()
    add_base(entries)
    return RootfsPlan(
        name=_name(path.name),
        entries=entries.finish(),
        entrypoint=(guest,),
        cmd=tuple(args or ()),
        env=dict(DEFAULT_ENV),
        programs=tuple(builder.programs),
        inputs=(path,),
    )


def _from_directory(path: Path, args: list[str] | None) -> RootfsPlan:
    if not args:
        raise SourceError(
            f"nothing says which program of {path} to start",
            hint=f"""write {path / CONFIGURATION_NAME} with root = "." and program = "/path/in/it\"""",
        )
    entries = EntrySet()
    copy_root(entries, path)
    env = dict(DEFAULT_ENV)
    program = _find_command(entries, args[0], env["PATH"], path)
    programs = _check_command(path, program, ())
    add_base(entries)
    return RootfsPlan(
        name=_name(path.resolve().name),
        entries=entries.finish(),
        entrypoint=(program,),
        cmd=tuple(args[1:]),
        env=env,
        programs=programs,
        inputs=(path,),
    )


def _from_configuration(config: Configuration, args: list[str] | None) -> RootfsPlan:
    entries = EntrySet()
    env = DEFAULT_ENV | config.env
    assert config.program is not None
    inputs = [config.file]
    if config.root is not None:
        root = _host_path(config, config.root, "root")
        if not root.is_dir():
            raise ConfigurationError(
                f"{config.file}: root: {root} is no directory", hint="check the path"
            )
        copy_root(entries, root)
        program = _find_command(entries, config.program, env["PATH"], root)
        for rule in config.files:
            _apply(entries, config, rule)
        if program not in {rule.path for rule in config.files}:
            programs = _check_command(root, program, _split(env.get("LD_LIBRARY_PATH")))
        else:
            programs = (program,)
    else:
        builder = _HostProgram(entries, env)
        host = _host_path(config, config.program, "program")
        inputs.append(host)
        if not host.exists():
            raise ConfigurationError(
                f"{config.file}: program: {host} is not there", hint="check the path"
            )
        program = builder.add_program(host)
        for rule in config.files:
            _apply(entries, config, rule)
        builder.add_libraries([_host_path(config, name, "libraries") for name in config.libraries])
        programs = tuple(builder.programs)
    add_base(entries)
    if config.cwd not in entries:
        entries.directory(config.cwd)
    return RootfsPlan(
        name=config.name or _name(posixpath.basename(program)),
        entries=entries.finish(),
        entrypoint=(program,),
        cmd=tuple(args if args is not None else config.args),
        env=env,
        cwd=config.cwd,
        user=_user(entries, config.user, str(config.file)),
        ports=config.ports,
        memory=config.memory,
        modules=config.modules,
        programs=programs,
        inputs=tuple(inputs),
    )


class _HostProgram:
    """Adds programs of this machine together with what their loaders will open."""

    def __init__(self, entries: EntrySet, env: dict[str, str]) -> None:
        self._entries = entries
        self._root = RootView("/")
        self._library_path = _split(env.get("LD_LIBRARY_PATH"))
        self._program = ""
        self.programs: list[str] = []

    def add_program(self, path: Path) -> str:
        """Put in the program; return its path in the guest."""
        named = os.path.abspath(path)  # noqa: PTH100 - links stay in the name
        found = self._root.resolve(named)
        if found is None or not found.host.is_file():
            raise SourceError(f"{path} is not a regular file", hint="give a program")
        elf = ElfFile.open(found.host)
        self._program = found.path
        if named.startswith(_SYSTEM) or self._uses_origin(elf, found):
            self._entries.copy(self._root, found)
            self.programs.append(found.path)
            return named
        # Where a build tree happens to lie must not change the image.
        guest = f"{_HOME}/{posixpath.basename(named)}"
        entry = host_file(guest, found.host)
        self._entries.add(replace(entry, mode=entry.mode | 0o555))
        self.programs.append(guest)
        return guest

    def add_libraries(self, plug_ins: list[Path] | None = None) -> None:
        """Put in the loader and the libraries of the program, of plug-ins and of all ELF files among the entries."""
        libraries: dict[str, Library] = {}
        loaders: list[Dependencies] = []
        extra = [os.path.abspath(path) for path in plug_ins or ()]  # noqa: PTH100 - as above
        for path in extra:
            found = self._root.file(path)
            if found is None:
                raise SourceError(f"the library {path} is not there", hint="check the path")
            self._entries.copy(self._root, found)
            self.programs.append(found.path)
        helpers: list[str] = []
        for entry in list(self._entries.files()):
            if entry.source is None or str(entry.source) == self._program:
                continue
            elf = _elf(entry)
            if elf is None:
                continue
            self.programs.append(entry.path)
            if elf.interpreter is not None and (elf.dynamic is None or elf.dynamic.soname is None):
                helpers.append(str(entry.source))
            elif elf.dynamic is not None and elf.dynamic.needed:
                extra.append(str(entry.source))
        for name in [self._program, *helpers]:
            plug = tuple(extra) if name == self._program else ()
            found_all = find_dependencies(
                name, self._root, library_path=self._library_path, extra=plug
            )
            loaders.append(found_all)
            libraries |= {library.path: library for library in found_all.libraries}
        for loader in loaders:
            if loader.interpreter_found is not None:
                self._copy(loader.interpreter_found)
            for name in loader.configuration:
                found = self._root.file(name)
                if found is not None:
                    self._entries.copy(self._root, found)
        for library in libraries.values():
            self._copy(library.found)
        self._add_cache(loaders, libraries)

    def _add_cache(self, loaders: list[Dependencies], libraries: dict[str, Library]) -> None:
        if any(loader.cache is not None for loader in loaders):
            listed = [
                _CacheEntry(library.name, library.path)
                for library in libraries.values()
                if library.reason != "hwcaps" and "/" not in library.name
            ]
            self._entries.data("/etc/ld.so.cache", render_cache(listed))

    def _copy(self, found: Found) -> None:
        self._entries.copy(self._root, found)
        if found.path not in self.programs:
            self.programs.append(found.path)

    def _uses_origin(self, elf: ElfFile, found: Found) -> bool:
        """Whether a library is found relative to the program, so that it must stay where it is."""
        if elf.interpreter is None or elf.dynamic is None:
            return False
        paths = elf.dynamic.rpath + elf.dynamic.runpath
        if not any("ORIGIN" in path for path in paths):
            return False
        top = posixpath.dirname(posixpath.dirname(found.path))
        needed = find_dependencies(found.path, self._root, library_path=self._library_path)
        return any(library.path.startswith(top) for library in needed.libraries)


def _elf(entry: RootfsEntry) -> ElfFile | None:
    """Return the program or library at ``entry``; None if it is something else or for another machine."""
    assert entry.source is not None
    try:
        with entry.source.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                return None
        return ElfFile.open(entry.source)
    except (ElfError, OSError):
        return None


def _check_command(root: Path, program: str, library_path: tuple[str, ...]) -> tuple[str, ...]:
    """Check that ``program`` can start in ``root``; return the ELF files known to run, in guest paths."""
    view = RootView(root)
    found = _program_in(view, program)
    for _ in range(_SCRIPTS_MAX):
        try:
            with found.host.open("rb") as file:
                head = file.read(256)
        except OSError as error:
            raise SourceError(f"can't read {found.host}", cause=error.strerror) from error
        if head[:2] != b"#!":
            break
        words = head[2:].split(b"\n", 1)[0].split()
        if not words:
            break
        program = words[0].decode("utf-8", "surrogateescape")
        found = _program_in(view, program)
    needed = find_dependencies(program, view, library_path=library_path)
    found_all = [found.path]
    if needed.interpreter_found is not None:
        found_all.append(needed.interpreter_found.path)
    found_all += [library.found.path for library in needed.libraries]
    return tuple(dict.fromkeys(found_all))


def _program_in(view: RootView, program: str) -> Found:
    found = view.file(program)
    if found is None:
        raise SourceError(f"{view.root} has no program {program}", hint="check the path")
    return found


def _find_command(entries: EntrySet, command: str, search_path: str, root: Path) -> str:
    """Return the guest path of ``command``: absolute, or looked up along PATH."""
    if command.startswith("/"):
        return command
    if "/" not in command:
        for directory in search_path.split(":"):
            entry = entries.follow(f"{directory}/{command}")
            if entry is not None and entry.kind is EntryKind.FILE and entry.mode & 0o111:
                return f"{directory}/{command}"
    raise SourceError(
        f"{root} has no program {command}",
        cause=f"looked along {search_path}",
        hint="give its path inside of it",
    )


def _apply(entries: EntrySet, config: Configuration, rule: FileRule) -> None:
    """Put in what one line of [files] says."""
    if rule.content is not None:
        entries.text(rule.path, rule.content, 0o644 if rule.mode is None else rule.mode)
    elif rule.symlink is not None:
        entries.symlink(rule.path, rule.symlink)
    elif rule.directory:
        entries.directory(rule.path, 0o755 if rule.mode is None else rule.mode)
    else:
        assert rule.source is not None
        _apply_source(entries, config, rule, rule.source)
    if rule.owner is None and (rule.mode is None or rule.source is None):
        return
    entry = entries.get(rule.path)
    if entry is not None:
        uid, gid = rule.owner or (entry.uid, entry.gid)
        mode = entry.mode
        if rule.mode is not None and entry.kind is not EntryKind.SYMLINK:
            mode = rule.mode
        entries.add(replace(entry, mode=mode, uid=uid, gid=gid))


def _apply_source(entries: EntrySet, config: Configuration, rule: FileRule, source: str) -> None:
    host = _host_path(config, source, f'files."{rule.path}"')
    if not _WILDCARD.search(source) or host.exists():
        copy_tree(entries, host, rule.path)
        return
    names = sorted(glob.glob(str(host), recursive=True))  # noqa: PTH207 - absolute
    if not names:
        raise ConfigurationError(
            f'{config.file}: files."{rule.path}": nothing matches {source}',
            hint="check the pattern",
        )
    entries.directory(rule.path)
    base = _fixed_part(host)
    for name in names:
        inner = os.path.relpath(name, base) if "**" in source else posixpath.basename(name)
        if inner != ".":
            copy_tree(entries, Path(name), f"{rule.path.rstrip('/')}/{inner}")


def _fixed_part(pattern: Path) -> Path:
    """Return the directory before the first wildcard."""
    parts = pattern.parts
    count = next(i for i, part in enumerate(parts) if _WILDCARD.search(part))
    return Path(*parts[:count])


def _host_path(config: Configuration, text: str, key: str) -> Path:
    """Return the host path that a line of kernlet.toml means; relative ones stay below its folder."""
    if text.startswith("/"):
        return Path(text)
    if text.startswith("~"):
        raise ConfigurationError(
            f"{config.file}: {key}: ~ is not replaced here", hint="write the whole path"
        )
    folder = config.file.parent
    joined = Path(os.path.normpath(folder / text))
    top = Path(os.path.normpath(folder))
    if os.path.normpath(text).split("/", 1)[0] == ".." or (
        joined != top and top not in joined.parents and str(top) != "."
    ):
        raise ConfigurationError(
            f"{config.file}: {key}: {text!r} leaves the folder of the file",
            hint="write an absolute path if you mean it",
        )
    return joined


def _user(entries: EntrySet, user: str, where: str) -> str:
    """Return "uid:gid" for what the configuration says, looking names up in the image."""
    name, _, group = user.partition(":")
    uid, gid = _lookup(entries, "/etc/passwd", name, where)
    if group:
        gid = _lookup(entries, "/etc/group", group, where)[0]
    return f"{uid}:{gid}"


def _lookup(entries: EntrySet, table: str, name: str, where: str) -> tuple[int, int]:
    """Return (id, group id) of ``name``; a number's group is looked up too, or else the number itself."""
    entry = entries.follow(table)
    try:
        text = entry.read().decode("utf-8", "replace") if entry is not None else ""
    except OSError:
        text = ""
    column = 2 if name.isdigit() else 0
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) > 3 and fields[column] == name and fields[2].isdigit():
            return int(fields[2]), int(fields[3]) if fields[3].isdigit() else int(fields[2])
    if name.isdigit():
        return int(name), int(name)
    raise ConfigurationError(
        f"{where}: user: there is no {name!r} in {table} of the image",
        hint="give a number, or add it to the file",
    )


def _split(path: str | None) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[:;]", path or "") if part)


def _name(text: str) -> str:
    """Make an image's name of a file's: nginx, my-server-1.2."""
    pieces = [_NAME_PIECE.sub("-", piece).strip("-") for piece in text.lower().split(".")]
    return ".".join(piece for piece in pieces if piece)[:128] or "kernlet"
