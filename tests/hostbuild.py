# SPDX-License-Identifier: Apache-2.0
"""Builds modules as host programs: tests with gcc, ASan and UBSan; fuzzing harnesses with clang and libFuzzer."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kernlet.errors import KernletError
from kernlet.kernel import Compiler, Fuzz, HostTest, Module, SourceTree, Unit

ROOT = Path(__file__).resolve().parents[1]
SUPPORT = Path("tests/host/support")
BUILD = ROOT / "build" / "host"

_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter")
_COMMON = (
    "-std=gnu11",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-D_GNU_SOURCE",
    "-DKL_HOST_TEST=1",
)
_CHECKS = ("-fno-sanitize-recover=all",)
_SANITIZE = "-fsanitize=address,undefined"


class HostBuildError(KernletError):
    """A host program can't be linked."""


def missing_files(module: Module) -> list[str]:
    """Return what the module's tests and harnesses name and does not exist."""
    return module.missing_files(tests=True)


def build_test(tree: SourceTree, module: Module, test: HostTest) -> Path:
    """Build a host test; return the program."""
    return _build(tree, module, test, "gcc", [_SANITIZE, *_WARNINGS], [])


def build_fuzz(tree: SourceTree, module: Module, fuzz: Fuzz) -> Path:
    """Build a fuzzing harness; return the program. Warnings are the other compiler's business."""
    flags = ["-fsanitize=fuzzer-no-link,address,undefined", "-w"]
    return _build(tree, module, fuzz, clang(), flags, ["-fsanitize=fuzzer"])


def clang() -> str:
    """Return the clang to use."""
    return "clang-14" if shutil.which("clang-14") else "clang"


def can_fuzz() -> bool:
    """Return whether a compiler with libFuzzer is here."""
    BUILD.mkdir(parents=True, exist_ok=True)
    source = BUILD / "probe.c"
    source.write_text(
        "int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return !p && n; }\n"
    )
    command = [
        clang(),
        "-fsanitize=fuzzer,address,undefined",
        str(source),
        "-o",
        str(BUILD / "probe"),
    ]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def _build(
    tree: SourceTree,
    module: Module,
    program: HostTest | Fuzz,
    cc: str,
    flags: Sequence[str],
    link_flags: Sequence[str],
) -> Path:
    flags = [*_COMMON, *_CHECKS, *flags, *_includes(tree, module), *program.flags]
    version = subprocess.run([cc, "--version"], capture_output=True, text=True, check=True).stdout
    compiler = Compiler(cc, version.split("\n")[0], tree.root, BUILD / "cache", flags)
    folder = module.path.relative_to(tree.root)
    sources = [folder / name for name in (*program.sources, *program.with_sources)]
    sources += sorted((ROOT / SUPPORT).glob("*.c")) if tree.root != ROOT else _support()
    objects = compiler.compile_all([Unit(module.name, source) for source in sources])
    key = hashlib.sha256("".join(item.key for item in objects).encode()).hexdigest()[:16]
    kind = "test" if isinstance(program, HostTest) else "fuzz"
    output = BUILD / kind / f"{module.name}-{program.name}-{key}"
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        for old in output.parent.glob(f"{module.name}-{program.name}-*"):
            old.unlink()
        inputs = [str(item.path) for item in objects]
        command = [cc, _SANITIZE, *link_flags, "-o", str(output), *inputs, "-lm", "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise HostBuildError(f"{module.name}/{program.name} does not link", cause=done.stderr)
    return output


def _support() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / SUPPORT).glob("*.c"))


def _includes(tree: SourceTree, module: Module) -> list[str]:
    folders = [path.relative_to(tree.root) for path in tree.include_dirs()]
    return [f"-I{folder}" for folder in (*folders, module.path.relative_to(tree.root), SUPPORT)]
