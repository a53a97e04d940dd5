# SPDX-License-Identifier: Apache-2.0
"""kernlet.toml: its keys, stated once; the parser and the reference page both come from here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kernlet.build.sources._entries import clean_guest_path
from kernlet.build.sources._errors import ConfigurationError, SourceError
from kernlet.build.sources._plan import ModuleOverrides, Port

__all__ = [
    "KEYS",
    "Configuration",
    "FileRule",
    "Key",
    "parse_memory",
    "parse_port",
    "read_configuration",
]

_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_USER = re.compile(r"[a-z_][a-z0-9_-]*\$?|[0-9]+")
_MEMORY = re.compile(r"([0-9]+)\s*(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE)
_PORT = re.compile(r"(?:([0-9]+):)?([0-9]+)(?:/(tcp|udp))?")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_ID_MAX = (1 << 32) - 2
_SIZE_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class FileRule:
    """One line of [files]: where something goes and what it is; exactly one of the last four is set."""

    path: str
    mode: int | None = None
    owner: tuple[int, int] | None = None
    source: str | None = None
    content: str | None = None
    symlink: str | None = None
    directory: bool = False


@dataclass(slots=True)
class Configuration:
    """A kernlet.toml that was read and found valid; paths are still as written."""

    file: Path
    name: str | None = None
    program: str | None = None
    root: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str = "0:0"
    ports: tuple[Port, ...] = ()
    memory: int | None = None
    libraries: tuple[str, ...] = ()
    files: tuple[FileRule, ...] = ()
    modules: ModuleOverrides = field(default_factory=ModuleOverrides)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of kernlet.toml: ``kind`` and ``text`` are for the reference, ``parse`` checks a value."""

    name: str
    kind: str
    default: str
    text: str
    example: str
    parse: Callable[[Any, str], Any]


def read_configuration(path: Path) -> Configuration:
    """Read and check a kernlet.toml. Raises ConfigurationError with the file, the key and what is expected."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"can't read {path}", cause=error.strerror, hint="check the path and its permissions"
        ) from error
    if len(raw) > _SIZE_MAX:
        raise ConfigurationError(
            f"{path} is too large", hint="put file contents into files of their own"
        )
    try:
        table = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not valid TOML", cause=str(error), hint="see https://toml.io for the syntax"
        ) from error
    return parse_configuration(table, path)


def parse_configuration(table: dict[str, Any], path: Path) -> Configuration:
    """Check a parsed kernlet.toml. Raises ConfigurationError."""
    _known(table, [key.name for key in KEYS], str(path))
    found = Configuration(path)
    for key in KEYS:
        if key.name in table:
            setattr(found, key.name, key.parse(table[key.name], f"{path}: {key.name}"))
    if found.program is None:
        raise ConfigurationError(
            f"{path} does not say which program to start", hint='add program = "/path/to/program"'
        )
    if found.root is not None and not found.program.startswith("/"):
        raise ConfigurationError(
            f"{path}: program: {found.program!r} is not an absolute path",
            cause="with a root, the program is one inside of it",
            hint="start it with /",
        )
    return found


def _fail(where: str, problem: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: {problem}", hint=hint)


def _known(table: dict[str, Any], names: list[str], where: str) -> None:
    for name in table:
        if name not in names:
            close = get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
            raise ConfigurationError(f"{where}: there is no key {name!r}", hint=hint)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _fail(where, f"a text is expected, not {_kind(value)}", "put it between quotes")
    if not value:
        raise _fail(where, "the text is empty", "write something or remove the line")
    return _no_zero(value, where)


def _any_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _fail(where, f"a text is expected, not {_kind(value)}", "put it between quotes")
    return _no_zero(value, where)


def _no_zero(value: str, where: str) -> str:
    if "\0" in value:
        raise _fail(where, "it contains a zero character", "remove it")
    return value


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "a table"}
    return names.get(type(value), "a date")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _fail(where, f"a list is expected, not {_kind(value)}", "put it between [ and ]")
    return tuple(_any_text(item, f"{where}[{index}]") for index, item in enumerate(value))


def _name(value: Any, where: str) -> str:
    text = _text(value, where)
    if not _NAME.fullmatch(text) or len(text) > 128:
        raise _fail(
            where, f"{text!r} is no name", "use a to z, 0 to 9 and single . _ - between them"
        )
    return text


def _env(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _fail(where, f"a table is expected, not {_kind(value)}", 'write { NAME = "value" }')
    found = {}
    for name, item in value.items():
        if not _VARIABLE.fullmatch(name):
            raise _fail(where, f"{name!r} is no variable's name", "use letters, digits and _")
        found[name] = _any_text(item, f"{where}.{name}")
    return found


def _guest(value: Any, where: str) -> str:
    try:
        return clean_guest_path(_text(value, where), where)
    except SourceError as error:
        raise ConfigurationError(error.message, hint=error.hint) from error


def _user(value: Any, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = _text(value, where)
    pieces = text.split(":")
    if len(pieces) > 2 or not all(_USER.fullmatch(p) for p in pieces):
        raise _fail(where, f"{text!r} is no user", 'write "name", "uid" or "uid:gid"')
    if any(p.isdigit() and int(p) > _ID_MAX for p in pieces):
        raise _fail(where, f"{text!r} is out of range", f"numbers go up to {_ID_MAX}")
    return text


def _ports(value: Any, where: str) -> tuple[Port, ...]:
    if not isinstance(value, list):
        raise _fail(where, f"a list is expected, not {_kind(value)}", "write [80] or ['8080:80']")
    return tuple(parse_port(item, f"{where}[{index}]") for index, item in enumerate(value))


def parse_port(value: Any, where: str) -> Port:
    """Parse 80, "80", "8080:80" or "53/udp". Raises ConfigurationError."""
    match = _PORT.fullmatch(str(value)) if isinstance(value, (str, int)) else None
    if match is None or isinstance(value, bool):
        raise _fail(where, f"{value!r} is no port", 'write 80, "8080:80" or "53/udp"')
    host, guest, protocol = match.groups()
    for number in (guest, host or "1"):
        if not 1 <= int(number) <= 65535:
            raise _fail(where, f"{number} is no port", "ports go from 1 to 65535")
    return Port(int(guest), protocol or "tcp", int(host) if host else None)


def parse_memory(value: Any, where: str) -> int:
    """Parse a number of bytes or "64M"; return bytes. Raises ConfigurationError."""
    match = _MEMORY.fullmatch(str(value).strip()) if isinstance(value, (str, int)) else None
    if match is None or isinstance(value, bool):
        raise _fail(where, f"{value!r} is no amount of memory", 'write "64M" or a number of bytes')
    amount = int(match[1]) * _UNITS[(match[2] or "").upper()]
    if not 1 << 20 <= amount <= 1 << 46:
        raise _fail(where, f"{value!r} is out of range", 'give at least "1M"')
    return amount


def _modules(value: Any, where: str) -> ModuleOverrides:
    if not isinstance(value, dict):
        raise _fail(where, f"a table is expected, not {_kind(value)}", "write include = [...]")
    _known(value, ["include", "exclude"], where)
    lists = {}
    for name in ("include", "exclude"):
        lists[name] = _texts(value.get(name, []), f"{where}.{name}")
        for item in lists[name]:
            if not _MODULE.fullmatch(item):
                raise _fail(
                    f"{where}.{name}", f"{item!r} is no module's name", "see kernlet modules"
                )
    both = sorted(set(lists["include"]) & set(lists["exclude"]))
    if both:
        raise _fail(where, f"{both[0]} is both included and excluded", "remove one of the two")
    return ModuleOverrides(lists["include"], lists["exclude"])


_RULE_KEYS = ["source", "content", "symlink", "directory", "mode", "owner"]


def _files(value: Any, where: str) -> tuple[FileRule, ...]:
    if not isinstance(value, dict):
        raise _fail(where, f"a table is expected, not {_kind(value)}", 'write "/guest" = "host"')
    return tuple(_rule(path, item, f'{where}."{path}"') for path, item in value.items())


def _rule(path: str, value: Any, where: str) -> FileRule:
    guest = _guest(path, where)
    if isinstance(value, str):
        return FileRule(guest, source=_text(value, where))
    if not isinstance(value, dict):
        raise _fail(
            where, f"a path or a table is expected, not {_kind(value)}", 'write "host path"'
        )
    _known(value, _RULE_KEYS, where)
    kinds = [name for name in _RULE_KEYS[:4] if name in value]
    if len(kinds) != 1:
        raise _fail(where, "one of source, content, symlink, directory is expected", "give one")
    directory = value.get("directory", False)
    if not isinstance(directory, bool) or (kinds == ["directory"] and not directory):
        raise _fail(f"{where}.directory", "only true makes sense here", "write directory = true")
    return FileRule(
        guest,
        mode=_mode(value["mode"], f"{where}.mode") if "mode" in value else None,
        owner=_owner(value["owner"], f"{where}.owner") if "owner" in value else None,
        source=_text(value["source"], f"{where}.source") if "source" in value else None,
        content=_any_text(value["content"], f"{where}.content") if "content" in value else None,
        symlink=_text(value["symlink"], f"{where}.symlink") if "symlink" in value else None,
        directory=directory,
    )


def _mode(value: Any, where: str) -> int:
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise _fail(where, f"{value!r} is no mode", 'write it in octal between quotes, as "0644"')
    return int(text, 8)


def _owner(value: Any, where: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", value) if isinstance(value, str) else None
    if match is None or max(int(match[1]), int(match[2])) > _ID_MAX:
        raise _fail(where, f"{value!r} is no owner", 'write "uid:gid" in numbers')
    return int(match[1]), int(match[2])


KEYS = (
    Key("program", "text", "required", "The program to start. Without `root` it is a file of this machine (a relative "
        "path starts at kernlet.toml's folder); its interpreter and shared libraries are found and come along. With "
        "`root` it is an absolute path inside of that.", '"/usr/sbin/nginx"', _text),
    Key("root", "text", "none", "A directory that holds a whole root file system, taken as it is.", '"rootfs"', _text),
    Key("args", "list of texts", "`[]`", "The program's arguments. Those given to `kernlet run` replace them.",
        '["-g", "daemon off;"]', _texts),
    Key("env", "table of texts", "`PATH` and `HOME`", "Environment variables, added to the usual ones. "
        "`LD_LIBRARY_PATH` counts when libraries are looked for.", '{ LANG = "C.UTF-8" }', _env),
    Key("cwd", "text", '`"/"`', "The directory in which the program starts; made if need be.", '"/srv"', _guest),
    Key("user", "text or number", '`"0:0"`', "The user and group it runs as: a name from the image's /etc/passwd, a "
        "number, or two of them with a colon.", '"www-data"', _user),
    Key("ports", "list of numbers or texts", "`[]`", "Ports on which the program listens: `80`, with a default host "
        'port `"8080:80"`, with a protocol `"53/udp"`.', '["8080:80"]', _ports),
    Key("memory", "text or number", "chosen by `kernlet run`", "Memory of the guest, in bytes or with K, M or G "
        "(powers of 1024).", '"64M"', parse_memory),
    Key("name", "text", "the program's name", "Name of the image and of the host inside.", '"web"', _name),
    Key("libraries", "list of texts", "`[]`", "Plug-ins of this machine that the program loads by path at run time; "
        "what they need comes along.", '["/usr/lib/nginx/modules/ngx_mail_module.so"]', _texts),
    Key("files", "table", "`{}`", 'More files: `"/guest/path" = "host path"`. The host path is relative to '
        "kernlet.toml's folder or absolute; a directory is copied with all that is in it; one with wildcards "
        "(`*`, `?`, `[...]`, `**`) goes into the guest path as a directory. Links that lead out of what is copied are "
        "replaced by what they lead to. A table instead of the host path has one of `source`, `content` (the text "
        'itself), `symlink` (the target), `directory = true`, and optionally `mode = "0644"` and `owner = "uid:gid"`.',
        '{ "/srv/www" = "site" }', _files),
    Key("modules", "table", "`{}`", "Library OS modules to put in or leave out, whatever the analysis says: `include` "
        "and `exclude`, lists of names.", '{ include = ["procfs"] }', _modules),
)  # fmt: skip
