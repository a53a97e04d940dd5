# SPDX-License-Identifier: Apache-2.0
"""Module manifests: ``kernel/lib/<name>/module.toml``.

Nothing but its folder declares a module. The manifests are read strictly: an unknown key or a wrong type is an error
that names the manifest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ._errors import ManifestError

__all__ = ["STAGES", "Fuzz", "HostTest", "Init", "Module", "Syscall", "load_module", "load_modules"]

STAGES = ("early", "core", "device", "fs", "net", "late")

OPTIMIZE = {"size": (), "speed": ("-O2",)}
"""What a module may be compiled for, and the flags that come behind the usual ones."""

WHEN = ("socket", "type", "path")
"""Keys of ``when``: address families, types of sockets (all keys have to fit), beginnings of file names."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CASE = re.compile(r"[a-z0-9_]+\Z")


@dataclass(frozen=True)
class Init:
    """A function that runs at start-up. ``after``: the capabilities it needs running; None: all of ``requires``."""

    stage: str
    fn: str
    after: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Syscall:
    """A system call, by its Linux name. ``ops``: the operations there are, for calls that have operations."""

    name: str
    ops: tuple[str, ...] = ()
    note: str = ""

    @property
    def function(self) -> str:
        """Return the name of the C function."""
        return f"kl_sys_{self.name}"


@dataclass(frozen=True)
class HostTest:
    """A host program under ASan and UBSan. Paths are relative to the module's folder."""

    name: str
    sources: tuple[str, ...]
    with_sources: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    timeout_s: int = 60


@dataclass(frozen=True)
class Fuzz:
    """A libFuzzer harness. Paths are relative to the module's folder; ``seeds`` is a folder there."""

    name: str
    sources: tuple[str, ...]
    with_sources: tuple[str, ...] = ()
    seeds: str | None = None
    flags: tuple[str, ...] = ()
    max_bytes: int = 4096


@dataclass(frozen=True)
class Module:
    """One selectable unit of the library OS."""

    name: str
    summary: str
    path: Path
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    init: tuple[Init, ...] = ()
    syscalls: tuple[Syscall, ...] = ()
    tests: tuple[HostTest, ...] = ()
    fuzz: tuple[Fuzz, ...] = ()
    config: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False
    optimize: str = "size"
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a program must be able to use so that the module is worth having: see WHEN."""

    def missing_files(self, *, tests: bool = False) -> list[str]:
        """Return the sources that the manifest names and that are not there; with ``tests`` those of tests too."""
        files = list(self.sources)
        if tests:
            for test in self.tests:
                files += [*test.sources, *test.with_sources]
            for fuzz in self.fuzz:
                files += [*fuzz.sources, *fuzz.with_sources, *([fuzz.seeds] if fuzz.seeds else [])]
        return [file for file in files if not (self.path / file).exists()]


class _Reader:
    """Takes values out of one TOML table, checks their types, and complains about what nobody took."""

    def __init__(self, where: str, table: Mapping[str, object]) -> None:
        self.where = where
        self.left = dict(table)

    def fail(self, message: str, hint: str | None = None) -> ManifestError:
        return ManifestError(f"{self.where}: {message}", hint=hint)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.left.pop(key, default)
        if not isinstance(value, str):
            raise self.fail(f"'{key}' is missing" if value is None else f"'{key}' must be a string")
        return value

    def flag(self, key: str) -> bool:
        value = self.left.pop(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"'{key}' must be true or false")
        return value

    def number(self, key: str, default: int) -> int:
        value = self.left.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fail(f"'{key}' must be a whole number")
        return value

    def texts(self, key: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        value = self.left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(f"'{key}' must be a list of strings")
        items = cast("list[str]", value)
        for item in items:
            if pattern is not None and not pattern.match(item):
                raise self.fail(f"'{key}' has an ill-formed name: {item!r}")
        twice = sorted({item for item in items if items.count(item) > 1})
        if twice:
            raise self.fail(f"'{key}' names {', '.join(twice)} twice")
        return tuple(items)

    def tables(self, key: str) -> list[_Reader]:
        value = self.left.pop(key, [])
        if isinstance(value, dict):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.fail(f"'{key}' must be a table or a list of tables")
        tables = cast("list[dict[str, object]]", value)
        return [_Reader(f"{self.where}: {key}", table) for table in tables]

    def done(self) -> None:
        if self.left:
            raise self.fail(f"unknown key {', '.join(sorted(map(repr, self.left)))}")


def _read_init(reader: _Reader) -> Init:
    stage = reader.text("stage")
    if stage not in STAGES:
        raise reader.fail(f"unknown stage {stage!r}", f"use one of {', '.join(STAGES)}")
    function = reader.text("fn")
    if not _SYMBOL.match(function):
        raise reader.fail(f"ill-formed function name {function!r}")
    after = reader.texts("after", _NAME) if "after" in reader.left else None
    reader.done()
    return Init(stage, function, after)


def _read_syscall(reader: _Reader) -> Syscall:
    name = reader.text("name")
    if not _SYMBOL.match(name):
        raise reader.fail(f"ill-formed system call name {name!r}")
    call = Syscall(name, reader.texts("ops"), reader.text("note", ""))
    reader.done()
    return call


def _read_test(reader: _Reader) -> HostTest:
    name = reader.text("name")
    if not _CASE.match(name):
        raise reader.fail(f"ill-formed name {name!r}", "use lower-case letters, digits and _")
    test = HostTest(
        name,
        reader.texts("sources"),
        reader.texts("with"),
        reader.texts("flags"),
        reader.number("timeout", 60),
    )
    reader.done()
    return test


def _read_fuzz(reader: _Reader) -> Fuzz:
    name = reader.text("name")
    if not _CASE.match(name):
        raise reader.fail(f"ill-formed name {name!r}", "use lower-case letters, digits and _")
    seeds = reader.text("seeds", "") or None
    fuzz = Fuzz(
        name,
        reader.texts("sources"),
        reader.texts("with"),
        seeds,
        reader.texts("flags"),
        reader.number("max_bytes", 4096),
    )
    reader.done()
    return fuzz


def _read_config(reader: _Reader) -> dict[str, int]:
    value = reader.left.pop("config", {})
    if not isinstance(value, dict):
        raise reader.fail("'config' must be a table")
    config: dict[str, int] = {}
    for key, number in value.items():
        if not re.fullmatch(r"KL_[A-Z0-9_]+", key):
            raise reader.fail(f"ill-formed constant {key!r}", "use KL_ and capital letters")
        if not isinstance(number, int) or isinstance(number, bool):
            raise reader.fail(f"the constant {key} must be a whole number")
        config[key] = number
    return config


def _read_when(reader: _Reader) -> dict[str, tuple[str, ...]]:
    tables = reader.tables("when")
    if len(tables) > 1:
        raise reader.fail("'when' must be one table")
    found = {}
    for table in tables:
        found = {key: table.texts(key) for key in WHEN if key in table.left}
        table.done()
    return found


def load_module(folder: Path) -> Module:
    """Read ``folder/module.toml``. ManifestError when it is not there or not right."""
    path = folder / "module.toml"
    where = f"{folder.name}/module.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{where}: can't read it", cause=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{where}: not valid TOML", cause=str(error)) from error
    reader = _Reader(where, table)
    name = reader.text("name")
    if name != folder.name:
        raise reader.fail(f"'name' is {name!r}, but the folder is {folder.name!r}")
    module = Module(
        name=name,
        summary=reader.text("summary"),
        path=folder,
        provides=reader.texts("provides", _NAME),
        requires=reader.texts("requires", _NAME),
        exports=reader.texts("exports", _SYMBOL),
        sources=reader.texts("sources"),
        init=tuple(_read_init(item) for item in reader.tables("init")),
        syscalls=tuple(_read_syscall(item) for item in reader.tables("syscall")),
        tests=tuple(_read_test(item) for item in reader.tables("test")),
        fuzz=tuple(_read_fuzz(item) for item in reader.tables("fuzz")),
        config=_read_config(reader),
        optional=reader.flag("optional"),
        optimize=reader.text("optimize", "size"),
        when=_read_when(reader),
    )
    reader.done()
    if module.optimize not in OPTIMIZE:
        raise reader.fail(
            f"unknown goal {module.optimize!r}", f"optimize for {' or '.join(OPTIMIZE)}"
        )
    itself = sorted(set(module.provides) & set(module.requires))
    if itself:
        raise reader.fail(f"provides and requires {', '.join(itself)}")
    return module


def load_modules(lib: Path) -> dict[str, Module]:
    """Read every module under ``lib`` (``kernel/lib``), by name, sorted. A folder without a manifest is no module."""
    if not lib.is_dir():
        raise ManifestError(f"no modules: {lib} is not a folder")
    folders = sorted(path.parent for path in lib.glob("*/module.toml"))
    modules = {folder.name: load_module(folder) for folder in folders}
    _refuse_duplicates(modules.values())
    return modules


def _refuse_duplicates(modules: Iterable[Module]) -> None:
    """Two test or fuzz programs of one name in the tree would overwrite each other's results."""
    seen: dict[str, str] = {}
    for module in modules:
        for kind, items in (("test", module.tests), ("fuzz", module.fuzz)):
            for item in items:
                key = f"{kind} {module.name}/{item.name}"
                if key in seen:
                    raise ManifestError(f"{module.name}/module.toml: {key} is there twice")
                seen[key] = module.name
