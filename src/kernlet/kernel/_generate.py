# SPDX-License-Identifier: Apache-2.0
"""Generates C from the manifests and the image's settings: what ``kernel/include/kl/image.h`` declares."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._errors import KernelError, ManifestError
from ._select import InitCall, Selection

__all__ = [
    "ImageConfig",
    "config_header",
    "read_syscall_numbers",
    "settings_source",
    "tables_source",
]

_HEADER = "/* Generated from the modules' manifests; not to be edited. */\n"
_UNISTD = (
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm/unistd_64.h"),
)
_NUMBER = re.compile(r"^#define\s+__NR_([a-z0-9_]+)\s+([0-9]+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ImageConfig:
    """What an image starts, unless its command line says otherwise. ``argv`` may be empty: no program."""

    argv: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    hostname: str = "kernlet"
    uid: int = 0
    gid: int = 0


def read_syscall_numbers(paths: Iterable[Path] = _UNISTD) -> dict[str, int]:
    """Return the numbers of Linux's system calls by name, from the system's own header."""
    for path in paths:
        try:
            text = path.read_text(encoding="ascii")
        except OSError:
            continue
        numbers = {name: int(value) for name, value in _NUMBER.findall(text)}
        if numbers:
            return numbers
    raise KernelError("the header <asm/unistd_64.h> is not there", hint="install linux-libc-dev")


def config_header(selection: Selection) -> str:
    """Return ``kl_config.h``: the constants of all modules of the image."""
    constants: dict[str, tuple[int, str]] = {}
    for module in selection.modules:
        for name, value in module.config.items():
            if name in constants:
                raise ManifestError(
                    f"{module.name}/module.toml: {constants[name][1]} sets {name} too"
                )
            constants[name] = (value, module.name)
    lines = [_HEADER, "#ifndef KL_CONFIG_H", "#define KL_CONFIG_H", ""]
    lines += [
        f"#define {name} {value} /* {owner} */"
        for name, (value, owner) in sorted(constants.items())
    ]
    lines += ["", "#endif", ""]
    return "\n".join(lines)


def tables_source(
    selection: Selection,
    calls: Sequence[InitCall],
    numbers: Mapping[str, int],
    wanted: Container[str] | None = None,
) -> str:
    """Return the C source of the tables of system calls (only the ``wanted`` ones, if given) and start-up functions.

    What is not in the table is not referred to, so the linker drops its code.
    """
    functions: dict[int, str] = {}
    owners: dict[str, str] = {}
    for module in selection.modules:
        for call in module.syscalls:
            if call.name not in numbers:
                raise ManifestError(
                    f"{module.name}/module.toml: Linux has no system call named {call.name!r}"
                )
            if call.name in owners:
                raise ManifestError(
                    f"{module.name}/module.toml: {owners[call.name]} has {call.name} too"
                )
            owners[call.name] = module.name
            if wanted is not None and call.name not in wanted:
                continue
            functions[numbers[call.name]] = call.function
    lines = [_HEADER, "#include <kl/image.h>", ""]
    lines += _syscall_table(functions)
    lines += _syscall_names(numbers)
    lines += _init_table(calls)
    return "\n".join(lines)


def _syscall_table(functions: Mapping[int, str]) -> list[str]:
    """Each function takes what its manual page says; the table calls all with six registers, which the ABI allows."""
    declare = [
        f"long {name}(long a0, long a1, long a2, long a3, long a4, long a5);"
        for name in functions.values()
    ]
    entries = [f"\t[{number}] = {name}," for number, name in sorted(functions.items())]
    return [
        *sorted(declare),
        "",
        f"const kl_syscall_fn kl_syscall_table[{max(functions, default=0) + 1}] = {{",
        *entries,
        "};",
        "const unsigned kl_syscall_count = sizeof(kl_syscall_table) / sizeof(kl_syscall_table[0]);",
        "",
    ]


def _syscall_names(numbers: Mapping[str, int]) -> list[str]:
    """One string and an offset for each number: a third of what pointers would take."""
    names = {number: name for name, number in numbers.items()}
    count = max(names, default=0) + 1
    offsets = []
    text = ['\t"\\0"']
    position = 1
    for number in range(count):
        name = names.get(number)
        if name is None:
            offsets.append("0")
            continue
        offsets.append(str(position))
        text.append(f'\t"{name}\\0"')
        position += len(name) + 1
    return [
        "static const char names[] =",
        *text[:-1],
        f"{text[-1]};",
        f"static const uint16_t offsets[{count}] = {{{', '.join(offsets)}}};",
        "",
        "const char *kl_syscall_name(unsigned number)",
        "{",
        f"\tif (number >= {count} || offsets[number] == 0)",
        "\t\treturn NULL;",
        "\treturn names + offsets[number];",
        "}",
        "",
    ]


def _init_table(calls: Sequence[InitCall]) -> list[str]:
    declare = sorted({f"int {call.fn}(void);" for call in calls})
    entries = [f'\t{{{call.fn}, "{call.module}", KL_INIT_{call.stage.upper()}}},' for call in calls]
    return [
        *declare,
        "",
        f"const struct kl_init kl_init_table[{max(len(calls), 1)}] = {{",
        *(entries or ["\t{NULL, NULL, KL_INIT_EARLY},"]),
        "};",
        f"const unsigned kl_init_count = {len(calls)};",
        "",
    ]


def settings_source(config: ImageConfig) -> str:
    """Return the C source of the image's settings. KernelError when a text has a zero byte in it."""
    env = [f"{key}={value}" for key, value in config.env]
    return "\n".join(
        [
            _HEADER,
            "#include <kl/image.h>",
            "",
            _strings("kl_image_argv", config.argv),
            _strings("kl_image_env", env),
            f"const char kl_image_cwd[] = {_literal(config.cwd)};",
            f"const char kl_image_hostname[] = {_literal(config.hostname)};",
            f"const unsigned kl_image_uid = {config.uid}, kl_image_gid = {config.gid};",
            "",
        ]
    )


def _strings(name: str, values: Sequence[str]) -> str:
    items = "".join(f"\t{_literal(value)},\n" for value in values)
    return f"const char *const {name}[] = {{\n{items}\tNULL,\n}};"


def _literal(text: str) -> str:
    """Return a C string literal; everything but plain characters becomes an octal escape of three digits."""
    data = text.encode("utf-8", "surrogateescape")
    if 0 in data:
        raise KernelError("a zero byte in an argument or in the environment", hint="remove it")
    plain = frozenset(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-+=/.,:;@%()[]{}<>*&^#!~|$'"
    )
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in data) + '"'
