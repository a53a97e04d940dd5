# SPDX-License-Identifier: Apache-2.0
"""``python -m kernlet.kernel``: link the library OS alone, compile some modules only, or write the reference pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._build import build_kernel, compile_modules, copy_out, describe
from ._errors import CompileError, KernelError
from ._generate import ImageConfig, read_syscall_numbers
from ._manifest import load_modules
from ._reference import modules_page, syscalls_page
from ._tree import SourceTree, default_tree


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kernlet.kernel", description=__doc__)
    parser.add_argument("--out", type=Path, help="where to put the linked library OS (ELF)")
    parser.add_argument(
        "--modules", default="usual", help="a,b,c with what they require; all; usual (not optional)"
    )
    parser.add_argument("--without", default="", help="a,b,c to leave out")
    parser.add_argument(
        "--only", help="compile just a,b,c ('arch' is the architecture's code); no check, no link"
    )
    parser.add_argument(
        "--argv", nargs="*", default=[], help="the program that the library OS starts"
    )
    parser.add_argument("--debug", action="store_true", help="with debugging information")
    parser.add_argument("--docs", type=Path, help="write the reference pages into this folder")
    parser.add_argument("--json", action="store_true", help="print facts as JSON")
    parser.add_argument(
        "--tree", type=Path, help="a checkout other than the one around this package"
    )
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _write_docs(tree: SourceTree, folder: Path) -> None:
    modules = load_modules(tree.lib)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.md").write_text(modules_page(modules), encoding="utf-8")
    (folder / "syscalls.md").write_text(
        syscalls_page(modules, read_syscall_numbers()), encoding="utf-8"
    )


def _main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    tree = SourceTree(options.tree.resolve()) if options.tree else default_tree()
    if options.docs is not None:
        _write_docs(tree, options.docs)
        return 0
    if options.only is not None:
        objects = compile_modules(_names(options.only), tree=tree, debug=options.debug)
        print(f"compiled {len(objects)} files")
        return 0
    every = {"usual": None, "all": list(load_modules(tree.lib))}
    modules = every[options.modules] if options.modules in every else _names(options.modules)
    build = build_kernel(
        ImageConfig(argv=tuple(options.argv)),
        modules=modules,
        without=_names(options.without),
        tree=tree,
        debug=options.debug,
    )
    if options.out is not None:
        copy_out(build, options.out)
    if options.json:
        print(describe(build))
    else:
        sizes = build.sizes
        print(
            f"{options.out or build.elf}: {len(build.selection.modules)} modules, {len(build.syscalls)} system calls; "
            f"text {sizes.text}, rodata {sizes.rodata}, data {sizes.data}, bss {sizes.bss} bytes; "
            f"{build.compiled} files compiled"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(_main(sys.argv[1:]))
    except CompileError as error:
        print(error.output, file=sys.stderr)
        sys.exit(f"error: {error}")
    except KernelError as error:
        sys.exit(f"error: {error}")
