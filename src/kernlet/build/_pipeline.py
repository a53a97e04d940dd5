# SPDX-License-Identifier: Apache-2.0
"""The whole way from a source to an image: plan, rewrite, select, compile and link, root file system, image file."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from kernlet import __version__
from kernlet.build._errors import BuildError
from kernlet.build._programs import RewrittenProgram, rewrite_programs
from kernlet.build._specialise import Specialisation, specialise
from kernlet.build.sources import EntryKind, ModuleOverrides, RootfsPlan
from kernlet.image import (
    SCHEMA,
    ImageLayout,
    ImageSizes,
    Manifest,
    ManifestPort,
    ModuleUse,
    RewriteStatistics,
    make_rootfs,
    write_image,
)
from kernlet.kernel import (
    ImageConfig,
    KernelBuild,
    SourceTree,
    build_kernel,
    default_tree,
    load_modules,
)

__all__ = ["BuildProgress", "BuildResult", "build", "build_plan"]


_LINKS_MAX = 40


class BuildProgress(Protocol):
    """Hears how far a build is: ``stage`` is "plan", "rewrite", "analyse", "kernel", "rootfs" or "image", in this order."""

    def __call__(self, stage: str, what: str, done: int, total: int, /) -> None:
        """Take note that ``done`` of ``total`` steps of ``stage`` are done, the last of them ``what``."""


@dataclass(frozen=True)
class BuildResult:
    """An image that was built. ``warnings``: what the user should know, a line each."""

    image: Path
    size_bytes: int
    manifest: Manifest
    seconds: float
    warnings: tuple[str, ...] = ()


def build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    args: Sequence[str] | None = None,
    modules: Sequence[str] | None = None,
    debug: bool = False,
    specialised: bool = False,
    strict: bool = False,
    trace: str | os.PathLike[str] | None = None,
    progress: BuildProgress | None = None,
) -> BuildResult:
    """Build an image from a program, a directory or a ``kernlet.toml``.

    ``output`` defaults to NAME.kernlet in the current folder. ``args`` replace the arguments that the source names.
    ``modules`` are put in besides those that are needed; one with a leading "-" is left out. ``debug`` adds debugging
    information about the library OS. ``specialised``: only what the program can use of the library OS, by analysis.
    ``strict``: so, and fail if the program can make a system call that the library OS lacks. ``trace``: so, and a file that
    names the system calls of a run: no others will be in the image. Nothing is at ``output`` until the whole image is.
    Raises a KernletError.
    """
    from kernlet.build.sources import load_source

    started = time.monotonic()
    _tell(progress, "plan", os.fspath(source), 0, 1)
    plan = load_source(Path(source), None if args is None else list(args))
    _tell(progress, "plan", os.fspath(source), 1, 1)
    if modules:
        plan = replace(plan, modules=_with_overrides(plan.modules, modules))
    target = Path(output) if output is not None else Path(f"{plan.name}.kernlet")
    result = build_plan(
        plan,
        target,
        debug=debug,
        specialised=specialised,
        strict=strict,
        trace=trace,
        progress=progress,
    )
    return replace(result, seconds=time.monotonic() - started)


def build_plan(
    plan: RootfsPlan,
    output: Path,
    *,
    tree: SourceTree | None = None,
    debug: bool = False,
    specialised: bool = False,
    strict: bool = False,
    trace: str | os.PathLike[str] | None = None,
    progress: BuildProgress | None = None,
) -> BuildResult:
    """Build an image from a finished plan; as ``build()`` otherwise."""
    started = time.monotonic()
    tree = tree or default_tree()
    layout = tree.layout
    output = output.absolute()
    if output.is_dir():
        raise BuildError(f"{output} is a directory", hint="name a file with -o")
    if output.exists() and not output.is_file():  # a device would be replaced, for everybody
        raise BuildError(f"{output} is not a regular file", hint="name a file with -o")
    if not output.parent.is_dir():
        raise BuildError(f"there is no directory {output.parent}", hint="make it first")
    try:
        programs = rewrite_programs(
            plan.entries,
            gate_va=layout["KL_GATE_SYSCALL_VA"],
            progress=lambda what, done, total: _tell(progress, "rewrite", what, done, total),
        )
    except OSError as error:
        raise BuildError(f"can't read {error.filename}", cause=error.strerror) from error
    special = Specialisation(None, None)
    if specialised or strict or trace is not None:
        special = specialise(
            plan,
            load_modules(tree.lib),
            trace=None if trace is None else Path(trace),
            progress=lambda what, done, total: _tell(progress, "analyse", what, done, total),
        )
    if strict and special.failures:
        raise BuildError(
            f"{plan.name} can make system calls that the library OS does not have",
            cause=", ".join(f"{item} ({item.function})" for item in special.failures),
            hint="build without --strict if it can live without them",
        )
    kernel = _kernel(plan, tree, special, debug=debug, progress=progress)
    try:
        with tempfile.TemporaryDirectory(
            dir=output.parent, prefix=f".{output.name}.build-"
        ) as folder:
            rootfs = Path(folder) / "rootfs.erofs"
            _tell(progress, "rootfs", plan.name, 0, 1)
            replaced = {
                program.path: program.result for program in programs if program.result is not None
            }
            rootfs_bytes = make_rootfs(
                plan.entries, rootfs, replaced=replaced, scratch=Path(folder)
            )
            _tell(progress, "rootfs", plan.name, 1, 1)
            manifest = _manifest(plan, programs, kernel, special, rootfs_bytes)
            size = write_image(
                output,
                kernel.elf,
                rootfs,
                manifest,
                ImageLayout(
                    abi_version=layout["KL_ABI_VERSION"],
                    base_va=layout["KL_BASE_VA"],
                    direct_va=layout["KL_DIRECT_VA"],
                    header_pa=layout["KL_GATE_PA"] + layout["KL_GATE_HEADER_OFFSET"],
                ),
                progress=lambda done, total: _tell(progress, "image", output.name, done, total),
            )
    except OSError as error:
        raise BuildError(
            f"can't write in {output.parent}",
            cause=error.strerror,
            hint="choose another place with -o",
        ) from error
    return BuildResult(
        output, size, manifest, time.monotonic() - started, (*_warnings(programs), *special.warnings())
    )


def _tell(progress: BuildProgress | None, stage: str, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, what, done, total)


def _with_overrides(overrides: ModuleOverrides, names: Iterable[str]) -> ModuleOverrides:
    include = [name.removeprefix("+") for name in names if not name.startswith("-")]
    exclude = [name[1:] for name in names if name.startswith("-")]
    return ModuleOverrides((*overrides.include, *include), (*overrides.exclude, *exclude))


def _kernel(
    plan: RootfsPlan,
    tree: SourceTree,
    special: Specialisation,
    *,
    debug: bool,
    progress: BuildProgress | None,
) -> KernelBuild:
    uid, _, gid = plan.user.partition(":")
    config = ImageConfig(
        argv=plan.argv,
        env=tuple(plan.env.items()),
        cwd=plan.cwd,
        hostname=_hostname(plan.name),
        uid=int(uid),
        gid=int(gid or uid),
    )
    choice = special.choice
    return build_kernel(
        config,
        modules=None if choice is None else choice.modules,
        reasons=None if choice is None else choice.modules,
        syscalls=None if choice is None else choice.syscalls,
        extra=plan.modules.include,
        without=plan.modules.exclude,
        tree=tree,
        debug=debug,
        progress=lambda what, done, total: _tell(progress, "kernel", what, done, total),
    )


def _hostname(name: str) -> str:
    letters = "".join(
        letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower()
    )
    return letters.strip("-")[:63] or "kernlet"


def _manifest(
    plan: RootfsPlan,
    programs: Sequence[RewrittenProgram],
    kernel: KernelBuild,
    special: Specialisation,
    rootfs_bytes: int,
) -> Manifest:
    counts: Counter[str] = Counter()
    for program in programs:
        counts += program.counts
    sizes = kernel.sizes
    return Manifest(
        schema=SCHEMA,
        name=plan.name,
        entrypoint=plan.entrypoint,
        cmd=plan.cmd,
        env=tuple(plan.env.items()),
        cwd=plan.cwd,
        user=plan.user,
        ports=tuple(ManifestPort(port.guest, port.protocol, port.host or 0) for port in plan.ports),
        memory_bytes=plan.memory or 0,
        modules=tuple(ModuleUse(name, reason) for name, reason in kernel.selection.reasons.items()),
        syscalls=kernel.syscalls,
        left_out=tuple(
            ModuleUse(name, reason)
            for name, reason in (special.choice.left_out if special.choice else {}).items()
            if name not in kernel.selection.reasons
        ),
        why=tuple((name, way) for name, way in special.ways() if name in kernel.syscalls),
        failing=tuple((str(item), item.function) for item in special.failures),
        sizes=ImageSizes(sizes.text, sizes.rodata, sizes.data, sizes.bss, rootfs_bytes),
        program_sha256=_program_hash(plan, {program.path: program.sha256 for program in programs}),
        rewrite=RewriteStatistics(
            len(programs), counts["rewritten"], counts["left"], counts["kept"], counts["unreached"]
        ),
        builder=f"kernlet {__version__}",
    )


def _program_hash(plan: RootfsPlan, hashes: Mapping[str, str]) -> str:
    """Return the hash of the program to start, "" if that is no ELF file; follows links inside of the image."""
    if not plan.entrypoint:
        return ""
    links = {
        entry.path: entry.target
        for entry in plan.entries
        if entry.kind is EntryKind.SYMLINK and entry.target
    }
    path = plan.entrypoint[0]
    for _ in range(_LINKS_MAX):
        step = _follow_once(path, links)
        if step is None:
            break
        path = step
    return hashes.get(path, "")


def _follow_once(path: str, links: Mapping[str, str]) -> str | None:
    """Replace the first component that is a link; None when there is none."""
    parts = [part for part in path.split("/") if part]
    for count in range(1, len(parts) + 1):
        prefix = "/" + "/".join(parts[:count])
        if prefix in links:
            parent = PurePosixPath(prefix).parent
            return os.path.normpath(parent.joinpath(links[prefix], *parts[count:]))
    return None


def _warnings(programs: Iterable[RewrittenProgram]) -> list[str]:
    return [
        f"{program.path}: its system calls were not rewritten ({program.problem}); they work, but slower"
        for program in programs
        if program.problem
    ]
