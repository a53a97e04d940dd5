# SPDX-License-Identifier: Apache-2.0
"""From a selection of modules to a linked library OS."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kernlet import _paths

from ._check import check_modules
from ._compile import CompiledObject, Compiler, Unit, store
from ._errors import CompileError, LinkError, ManifestError
from ._generate import (
    ImageConfig,
    config_header,
    read_syscall_numbers,
    settings_source,
    tables_source,
)
from ._manifest import OPTIMIZE, Module, load_modules
from ._prune import prune
from ._select import Selection, init_order, select_modules
from ._toolchain import Toolchain, compile_flags, find_toolchain, link_flags
from ._tree import SourceTree, default_tree

__all__ = ["KernelBuild", "KernelSizes", "Progress", "build_kernel", "compile_modules"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the number of steps done, and the number of all steps."""

_PT_LOAD, _PF_X, _PF_W = 1, 1, 2


@dataclass(frozen=True)
class KernelSizes:
    """Bytes of the linked library OS, by what the pages may be used for; ``bss`` is not in the file."""

    text: int
    rodata: int
    data: int
    bss: int


@dataclass(frozen=True)
class KernelBuild:
    """A linked library OS: an ELF file in the cache (not to be changed), and what it was made of."""

    elf: Path
    key: str
    selection: Selection
    sizes: KernelSizes
    syscalls: tuple[str, ...]
    compiled: int
    """How many files had to be compiled; the others came from the cache."""


def build_kernel(
    config: ImageConfig | None = None,
    *,
    modules: Iterable[str] | None = None,
    extra: Iterable[str] = (),
    without: Iterable[str] = (),
    syscalls: Iterable[str] | None = None,
    reasons: Mapping[str, str] | None = None,
    tree: SourceTree | None = None,
    cache: Path | None = None,
    debug: bool = False,
    progress: Progress | None = None,
) -> KernelBuild:
    """Select modules (None: all that are not optional; ``extra`` ones on top), generate, compile, check and link.

    ``syscalls`` are all that the table of system calls may hold (None: no limit); the others are not in the result.
    ``reasons`` say why a module of ``modules`` was asked for.

    Raises a KernelError: ManifestError, SelectionError, CompileError, ModuleCheckError or LinkError.
    """
    tree = tree or default_tree()
    cache = cache or Path(_paths.cache_dir()) / "kernel"
    everything = load_modules(tree.lib)
    selection = select_modules(everything, modules, extra=extra, without=without, why=reasons)
    wanted = None if syscalls is None else frozenset(syscalls)
    toolchain = find_toolchain()
    include = _write_generated("kl_config.h", config_header(selection), cache)
    compiler = _compiler(toolchain, tree, cache, include.parent, debug=debug)
    units = _arch_units(tree) + _module_units(tree, selection.modules)
    units += _generated_units(selection, config or ImageConfig(), cache, wanted)
    count = 0
    done = 0

    def step(unit: Unit, cached: bool) -> None:
        nonlocal count, done
        done += 1
        count += not cached
        if progress is not None:
            progress(f"{unit.owner}/{unit.source.name}", done, len(units) + 1)

    objects = compiler.compile_all(units, step)
    check_modules(selection, objects, everything)
    elf, key = _link(toolchain, tree, cache, objects)
    if progress is not None:
        progress("link", len(units) + 1, len(units) + 1)
    return KernelBuild(
        elf=elf,
        key=key,
        selection=selection,
        sizes=_sizes(elf),
        syscalls=tuple(
            sorted(
                call.name
                for module in selection.modules
                for call in module.syscalls
                if wanted is None or call.name in wanted
            )
        ),
        compiled=count,
    )


def compile_modules(
    names: Iterable[str],
    *,
    tree: SourceTree | None = None,
    cache: Path | None = None,
    debug: bool = False,
) -> list[CompiledObject]:
    """Compile just these modules and the architecture's code ("arch"): no selection, check or link."""
    tree = tree or default_tree()
    cache = cache or Path(_paths.cache_dir()) / "kernel"
    everything = load_modules(tree.lib)
    names = list(names)
    chosen = tuple(everything[name] for name in names if name in everything)
    unknown = [name for name in names if name not in everything and name != "arch"]
    if unknown:
        raise CompileError(
            f"no module named {unknown[0]!r}", hint=f"there are {', '.join(everything)}"
        )
    selection = Selection(chosen, dict.fromkeys(names, "asked for"), {})
    include = _write_generated("kl_config.h", config_header(selection), cache)
    compiler = _compiler(find_toolchain(), tree, cache, include.parent, debug=debug)
    units = _module_units(tree, chosen) + (_arch_units(tree) if "arch" in names else [])
    return compiler.compile_all(units)


def _compiler(
    toolchain: Toolchain, tree: SourceTree, cache: Path, include: Path, *, debug: bool
) -> Compiler:
    flags = compile_flags(toolchain, tree, include, debug=debug)
    return Compiler(toolchain.cc, toolchain.identity, tree.root, cache, flags)


def _arch_units(tree: SourceTree) -> list[Unit]:
    return [Unit("arch", path.relative_to(tree.root)) for path in tree.arch_sources()]


def _module_units(tree: SourceTree, modules: Sequence[Module]) -> list[Unit]:
    for module in modules:
        for file in module.missing_files():
            raise ManifestError(f"{module.name}/module.toml: names {file}, which does not exist")
    return [
        Unit(module.name, (module.path / source).relative_to(tree.root), OPTIMIZE[module.optimize])
        for module in modules
        for source in module.sources
    ]


def _generated_units(
    selection: Selection, config: ImageConfig, cache: Path, wanted: frozenset[str] | None
) -> list[Unit]:
    tables = tables_source(selection, init_order(selection), read_syscall_numbers(), wanted)
    return [
        Unit("generated", _write_generated("settings.c", settings_source(config), cache)),
        Unit("generated", _write_generated("tables.c", tables, cache)),
    ]


def _write_generated(name: str, text: str, cache: Path) -> Path:
    """Write a generated file where only the same content lands again, so that nothing gets newer for nothing."""
    path = cache / "generated" / _digest([name, text]) / name
    if not path.is_file():
        store(path, text.encode("utf-8", "surrogateescape"))
    return path


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()[:40]


def _link(
    toolchain: Toolchain, tree: SourceTree, cache: Path, objects: Sequence[CompiledObject]
) -> tuple[Path, str]:
    defined = frozenset().union(*(item.symbols.defined for item in objects))
    roots = [symbol for symbol in ("kl_pvh_start",) if symbol in defined]
    headers = sorted((tree.root / "abi").glob("*.h"))
    script_texts = [path.read_text(encoding="utf-8") for path in (tree.linker_script, *headers)]
    flags = link_flags(Path("kernel.ld"), roots)
    key = _digest([toolchain.identity, *flags, *script_texts, *(item.key for item in objects)])
    elf = cache / "linked" / f"{key}.elf"
    if elf.is_file():
        return elf, key
    elf.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=elf.parent) as folder:
        script = Path(folder) / "kernel.ld"
        preprocess = [
            "-E",
            "-P",
            "-x",
            "c",
            f"-I{tree.root / 'abi'}",
            str(tree.linker_script),
            "-o",
            str(script),
        ]
        _run([toolchain.cc, *preprocess], "preprocess the linker script")
        result = Path(folder) / "kernel.elf"
        inputs = [str(item.path) for item in objects]
        flags = link_flags(script, roots)
        _run([toolchain.cc, *flags, "-o", str(result), *inputs, "-lgcc"], "link the library OS")
        result.chmod(0o644)
        result.replace(elf)
    prune(cache)
    return elf, key


def _run(command: Sequence[str], what: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LinkError(f"can't {what}", cause=str(error)) from error
    if done.returncode != 0:
        raise LinkError(f"can't {what}", cause=done.stderr.strip())


def _sizes(elf: Path) -> KernelSizes:
    """Add up the loaded segments of the linker's own output."""
    data = elf.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    sums = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    for index in range(count):
        kind, flags, _, _, _, filled, whole = struct.unpack_from(
            "<IIQQQQQ", data, offset + index * size
        )
        if kind != _PT_LOAD:
            continue
        sums["text" if flags & _PF_X else "data" if flags & _PF_W else "rodata"] += filled
        sums["bss"] += whole - filled
    return KernelSizes(**sums)


def describe(build: KernelBuild) -> str:
    """Return the facts of a build as JSON, for tools."""
    return json.dumps(
        {
            "modules": dict(build.selection.reasons),
            "syscalls": list(build.syscalls),
            "sizes": asdict(build.sizes),
            "key": build.key,
        },
        indent=2,
    )


def copy_out(build: KernelBuild, path: Path) -> None:
    """Copy the linked library OS out of the cache, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.copyfile(build.elf, temporary)
    temporary.replace(path)
