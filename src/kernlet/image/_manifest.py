# SPDX-License-Identifier: Apache-2.0
"""What an image says of itself: typed records, and their JSON form in a note of the image.

``kernlet run`` reads a manifest before each boot, so this file imports little. A manifest comes from a file that
anyone may have written: ``manifest_from_json()`` believes nothing.
"""

from __future__ import annotations

import json
from typing import NamedTuple, TypeVar

from ._errors import ImageFormatError

__all__ = [
    "MANIFEST_BYTES_MAX",
    "SCHEMA",
    "ImageSizes",
    "Manifest",
    "ManifestPort",
    "ModuleUse",
    "RewriteStatistics",
    "manifest_from_json",
    "manifest_to_json",
]

SCHEMA = 1
MANIFEST_BYTES_MAX = 8 << 20
_ITEMS_MAX = 100_000
_NUMBER_MAX = 1 << 62


class ModuleUse(NamedTuple):
    """A module of the library OS and why it is in the image."""

    name: str
    reason: str


class ManifestPort(NamedTuple):
    """A port on which the program listens; ``host``: where to publish it unless told otherwise; 0: nowhere."""

    guest: int
    protocol: str = "tcp"
    host: int = 0


class ImageSizes(NamedTuple):
    """Bytes, by what they are: the library OS's text, constants, data, zeroed data; the root file system."""

    text: int = 0
    rodata: int = 0
    data: int = 0
    bss: int = 0
    rootfs: int = 0

    @property
    def kernel(self) -> int:
        """Return the bytes of the library OS in memory."""
        return self.text + self.rodata + self.data + self.bss


class RewriteStatistics(NamedTuple):
    """What became of the ``syscall`` instructions of all files: turned into calls, left, kept on purpose, not code."""

    files: int = 0
    rewritten: int = 0
    left: int = 0
    kept: int = 0
    unreached: int = 0


class Manifest(NamedTuple):
    """All that an image says of itself.

    ``env`` holds pairs; ``user`` is "uid:gid"; ``memory_bytes`` is RAM beyond the image, 0 for the default;
    ``program_sha256`` is the hash of the program as it was before its system calls were rewritten, in hexadecimal.
    """

    schema: int
    name: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = "0:0"
    ports: tuple[ManifestPort, ...] = ()
    memory_bytes: int = 0
    modules: tuple[ModuleUse, ...] = ()
    syscalls: tuple[str, ...] = ()
    sizes: ImageSizes = ImageSizes()
    program_sha256: str = ""
    rewrite: RewriteStatistics = RewriteStatistics()
    builder: str = ""
    left_out: tuple[ModuleUse, ...] = ()
    """Modules that are not in the image, and why."""
    why: tuple[tuple[str, str], ...] = ()
    """For each system call a way to it, from the program to the instruction."""
    failing: tuple[tuple[str, str], ...] = ()
    """System calls that the program can make and the library OS lacks, and a function that makes each."""

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the whole argument vector."""
        return self.entrypoint + self.cmd

    def has_module(self, name: str) -> bool:
        """Return whether a module of the library OS is in the image."""
        return any(module.name == name for module in self.modules)


def manifest_to_json(manifest: Manifest) -> bytes:
    """Return the JSON form, the same for the same manifest."""
    table = {
        **manifest._asdict(),
        "env": dict(manifest.env),
        "ports": [port._asdict() for port in manifest.ports],
        "modules": [module._asdict() for module in manifest.modules],
        "sizes": manifest.sizes._asdict(),
        "rewrite": manifest.rewrite._asdict(),
        "left_out": [module._asdict() for module in manifest.left_out],
        "why": dict(manifest.why),
        "failing": dict(manifest.failing),
    }
    # Arguments need not be UTF-8; ASCII escapes keep every byte of them.
    return json.dumps(table, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def manifest_from_json(data: bytes) -> Manifest:
    """Return the manifest in ``data``; ImageFormatError if it is not one, or of a newer schema."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise ImageFormatError("the image's manifest is too large")
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageFormatError("the image's manifest is not JSON", hint="build it again") from error
    if not isinstance(table, dict):
        raise ImageFormatError("the image's manifest is not a table", hint="build it again")
    schema = _number(table, "schema", 0)
    if schema != SCHEMA:
        raise ImageFormatError(
            f"the image's manifest has schema {schema}, this kernlet reads {SCHEMA}",
            hint="build the image again with this kernlet",
        )
    environment = _take(table, "env", dict, {})
    return Manifest(
        schema=schema,
        name=_text(table, "name"),
        entrypoint=_texts(table, "entrypoint"),
        cmd=_texts(table, "cmd"),
        env=tuple((key, _checked_text("env", value)) for key, value in environment.items()),
        cwd=_text(table, "cwd", "/"),
        user=_text(table, "user", "0:0"),
        ports=tuple(_port(item) for item in _tables(table, "ports")),
        memory_bytes=_number(table, "memory_bytes", 0),
        modules=tuple(
            ModuleUse(_text(item, "name"), _text(item, "reason", ""))
            for item in _tables(table, "modules")
        ),
        syscalls=_texts(table, "syscalls"),
        sizes=ImageSizes(*_numbers(table, "sizes", ImageSizes._fields)),
        program_sha256=_text(table, "program_sha256", ""),
        rewrite=RewriteStatistics(*_numbers(table, "rewrite", RewriteStatistics._fields)),
        builder=_text(table, "builder", ""),
        left_out=tuple(
            ModuleUse(_text(item, "name"), _text(item, "reason", ""))
            for item in _tables(table, "left_out")
        ),
        why=_pairs(table, "why"),
        failing=_pairs(table, "failing"),
    )


def _pairs(table: dict[str, object], key: str) -> tuple[tuple[str, str], ...]:
    inner = _take(table, key, dict, {})
    return tuple((name, _checked_text(key, value)) for name, value in inner.items())


_T = TypeVar("_T")


def _take(table: dict[str, object], key: str, kind: type[_T], default: _T | None = None) -> _T:
    value = table.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise ImageFormatError(
            f"the image's manifest has no usable {key!r}", hint="build the image again"
        )
    return value


def _number(table: dict[str, object], key: str, default: int) -> int:
    value = _take(table, key, int, default)
    if not 0 <= value <= _NUMBER_MAX:
        raise ImageFormatError(
            f"the image's manifest has an absurd {key!r}", hint="build the image again"
        )
    return value


def _checked_text(key: str, value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ImageFormatError(
            f"the image's manifest has no usable {key!r}", hint="build the image again"
        )
    return value


def _text(table: dict[str, object], key: str, default: str | None = None) -> str:
    return _checked_text(key, table.get(key, default))


def _items(table: dict[str, object], key: str) -> list[object]:
    items: list[object] = _take(table, key, list, [])
    if len(items) > _ITEMS_MAX:
        raise ImageFormatError(
            f"the image's manifest has an absurd {key!r}", hint="build the image again"
        )
    return items


def _texts(table: dict[str, object], key: str) -> tuple[str, ...]:
    return tuple(_checked_text(key, item) for item in _items(table, key))


def _tables(table: dict[str, object], key: str) -> list[dict[str, object]]:
    tables = []
    for item in _items(table, key):
        if not isinstance(item, dict):
            raise ImageFormatError(
                f"the image's manifest has no usable {key!r}", hint="build the image again"
            )
        tables.append(item)
    return tables


def _numbers(table: dict[str, object], key: str, fields: tuple[str, ...]) -> list[int]:
    inner = _take(table, key, dict, {})
    return [_number(inner, field, 0) for field in fields]


def _port(table: dict[str, object]) -> ManifestPort:
    port = ManifestPort(
        _number(table, "guest", 0), _text(table, "protocol", "tcp"), _number(table, "host", 0)
    )
    if not 0 < port.guest < 65536 or port.host > 65535 or port.protocol not in ("tcp", "udp"):
        raise ImageFormatError(
            "the image's manifest has an impossible port", hint="build the image again"
        )
    return port
