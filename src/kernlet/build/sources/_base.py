# SPDX-License-Identifier: Apache-2.0
"""What every program expects to find, however small its root file system."""

from __future__ import annotations

from kernlet.build.sources._entries import EntrySet

__all__ = ["DEFAULT_ENV", "add_base"]

DEFAULT_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
}

# The users and groups that Debian gives every system the same numbers for: servers look up their own by name.
_USERS = (
    ("root", 0, 0, "/root"),
    ("daemon", 1, 1, "/usr/sbin"),
    ("bin", 2, 2, "/bin"),
    ("sys", 3, 3, "/dev"),
    ("games", 5, 60, "/usr/games"),
    ("man", 6, 12, "/var/cache/man"),
    ("lp", 7, 7, "/var/spool/lpd"),
    ("mail", 8, 8, "/var/mail"),
    ("news", 9, 9, "/var/spool/news"),
    ("uucp", 10, 10, "/var/spool/uucp"),
    ("proxy", 13, 13, "/bin"),
    ("www-data", 33, 33, "/var/www"),
    ("backup", 34, 34, "/var/backups"),
    ("list", 38, 38, "/var/list"),
    ("irc", 39, 39, "/run/ircd"),
    ("nobody", 65534, 65534, "/nonexistent"),
)
_GROUPS = (
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("man", 12),
    ("proxy", 13),
    ("kmem", 15),
    ("www-data", 33),
    ("backup", 34),
    ("list", 38),
    ("irc", 39),
    ("utmp", 43),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
    ("nogroup", 65534),
)

_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_SERVICES = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"


def add_base(entries: EntrySet) -> None:
    """Put in the usual directories and a minimal /etc; what is there already stays.

    There is no /etc/resolv.conf: the library OS makes one of the name servers that it is given.
    """
    for path in ("/dev", "/proc", "/sys", "/run", "/etc", "/var/log", "/var/lib", "/var/cache"):
        if path not in entries:
            entries.directory(path)
    for path in ("/tmp", "/var/tmp"):  # noqa: S108 - directories of the guest
        if path not in entries:
            entries.directory(path, 0o1777)
    if "/root" not in entries:
        entries.directory("/root", 0o700)
    if "/var/run" not in entries:
        entries.symlink("/var/run", "/run")
    users = "".join(f"{n}:x:{u}:{g}:{n}:{home}:/usr/sbin/nologin\n" for n, u, g, home in _USERS)
    groups = "".join(f"{n}:x:{g}:\n" for n, g in _GROUPS)
    for path, content in (
        ("/etc/passwd", users),
        ("/etc/group", groups),
        ("/etc/hosts", _HOSTS),
        ("/etc/nsswitch.conf", _SERVICES),
    ):
        if path not in entries:
            entries.text(path, content)
