# SPDX-License-Identifier: Apache-2.0
"""System calls that are several in one: which argument says which, and how Linux calls the operations.

Source: the manual page of each call; numbers from the kernel's UAPI headers.
"""

from __future__ import annotations

__all__ = ["IMPORTS", "OPERATIONS", "SYSCALL_ARGUMENTS", "Operation", "operation_name"]

from typing import NamedTuple


class Operation(NamedTuple):
    """Argument ``argument`` (1 is the first) of system call ``number``, called ``name``, is one of ``names``.

    Bits outside of ``mask`` are flags that don't count.
    """

    name: str
    number: int
    argument: int
    names: dict[int, str]
    mask: int = 0xFFFFFFFF


_IOCTL = {
    0x5401: "TCGETS", 0x5402: "TCSETS", 0x5403: "TCSETSW", 0x5404: "TCSETSF", 0x5405: "TCGETA", 0x5409: "TCSBRK",
    0x540A: "TCXONC", 0x540B: "TCFLSH", 0x540E: "TIOCSCTTY", 0x540F: "TIOCGPGRP", 0x5410: "TIOCSPGRP",
    0x5411: "TIOCOUTQ", 0x5412: "TIOCSTI", 0x5413: "TIOCGWINSZ", 0x5414: "TIOCSWINSZ", 0x541B: "FIONREAD",
    0x5421: "FIONBIO", 0x5422: "TIOCNOTTY", 0x5429: "TIOCGSID", 0x5430: "TIOCGPTN", 0x5431: "TIOCSPTLCK",
    0x5441: "TIOCGPTPEER", 0x5450: "FIONCLEX", 0x5451: "FIOCLEX", 0x5452: "FIOASYNC", 0x80045430: "TIOCGPTN",
    0x8910: "SIOCGIFNAME", 0x8912: "SIOCGIFCONF", 0x8913: "SIOCGIFFLAGS", 0x8914: "SIOCSIFFLAGS",
    0x8915: "SIOCGIFADDR", 0x8916: "SIOCSIFADDR", 0x8919: "SIOCGIFBRDADDR", 0x891B: "SIOCGIFNETMASK",
    0x8921: "SIOCGIFMTU", 0x8927: "SIOCGIFHWADDR", 0x8933: "SIOCGIFINDEX", 0x8946: "SIOCETHTOOL",
    0x40049409: "FICLONE", 0x4020940D: "FICLONERANGE", 0x40049432: "FITRIM", 0x80086601: "FS_IOC_GETFLAGS",
    0x40086602: "FS_IOC_SETFLAGS", 0xC020660B: "FS_IOC_FIEMAP", 0x1260: "BLKGETSIZE", 0x80081272: "BLKGETSIZE64",
    0x1268: "BLKSSZGET", 0x40045431: "TIOCSPTLCK", 0x5603: "VT_GETSTATE", 0x4B3A: "KDGETMODE", 0x4B33: "KDGKBTYPE",
}  # fmt: skip
_FCNTL = {
    0: "F_DUPFD", 1: "F_GETFD", 2: "F_SETFD", 3: "F_GETFL", 4: "F_SETFL", 5: "F_GETLK", 6: "F_SETLK", 7: "F_SETLKW",
    8: "F_SETOWN", 9: "F_GETOWN", 10: "F_SETSIG", 11: "F_GETSIG", 15: "F_SETOWN_EX", 16: "F_GETOWN_EX",
    36: "F_OFD_GETLK", 37: "F_OFD_SETLK", 38: "F_OFD_SETLKW", 1024: "F_SETLEASE", 1025: "F_GETLEASE",
    1026: "F_NOTIFY", 1030: "F_DUPFD_CLOEXEC", 1031: "F_SETPIPE_SZ", 1032: "F_GETPIPE_SZ", 1033: "F_ADD_SEALS",
    1034: "F_GET_SEALS",
}  # fmt: skip
_FAMILIES = {
    0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 3: "AF_AX25", 4: "AF_IPX", 10: "AF_INET6", 16: "AF_NETLINK",
    17: "AF_PACKET", 29: "AF_CAN", 31: "AF_BLUETOOTH", 38: "AF_ALG", 40: "AF_VSOCK", 44: "AF_XDP",
}  # fmt: skip
_SOCKET_TYPES = {
    1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET", 10: "SOCK_PACKET",
}  # fmt: skip
_FUTEX = dict(enumerate((
    "WAIT", "WAKE", "FD", "REQUEUE", "CMP_REQUEUE", "WAKE_OP", "LOCK_PI", "UNLOCK_PI", "TRYLOCK_PI", "WAIT_BITSET",
    "WAKE_BITSET", "WAIT_REQUEUE_PI", "CMP_REQUEUE_PI", "LOCK_PI2",
)))  # fmt: skip
_PRCTL = {
    1: "PR_SET_PDEATHSIG", 2: "PR_GET_PDEATHSIG", 3: "PR_GET_DUMPABLE", 4: "PR_SET_DUMPABLE", 7: "PR_GET_KEEPCAPS",
    8: "PR_SET_KEEPCAPS", 15: "PR_SET_NAME", 16: "PR_GET_NAME", 21: "PR_GET_SECCOMP", 22: "PR_SET_SECCOMP",
    23: "PR_CAPBSET_READ", 24: "PR_CAPBSET_DROP", 29: "PR_SET_TIMERSLACK", 30: "PR_GET_TIMERSLACK",
    36: "PR_SET_CHILD_SUBREAPER", 37: "PR_GET_CHILD_SUBREAPER", 38: "PR_SET_NO_NEW_PRIVS",
    39: "PR_GET_NO_NEW_PRIVS", 41: "PR_SET_THP_DISABLE", 47: "PR_CAP_AMBIENT", 53: "PR_SET_SPECULATION_CTRL",
    0x53564D41: "PR_SET_VMA", 0x59616D61: "PR_SET_PTRACER",
}  # fmt: skip
_ARCH_PRCTL = {
    0x1001: "ARCH_SET_GS", 0x1002: "ARCH_SET_FS", 0x1003: "ARCH_GET_FS", 0x1004: "ARCH_GET_GS",
    0x1011: "ARCH_GET_CPUID", 0x1012: "ARCH_SET_CPUID", 0x3001: "ARCH_CET_STATUS", 0x3002: "ARCH_CET_DISABLE",
}  # fmt: skip
_MADVISE = {
    0: "MADV_NORMAL", 1: "MADV_RANDOM", 2: "MADV_SEQUENTIAL", 3: "MADV_WILLNEED", 4: "MADV_DONTNEED", 8: "MADV_FREE",
    9: "MADV_REMOVE", 10: "MADV_DONTFORK", 11: "MADV_DOFORK", 12: "MADV_MERGEABLE", 14: "MADV_HUGEPAGE",
    15: "MADV_NOHUGEPAGE", 16: "MADV_DONTDUMP", 17: "MADV_DODUMP", 18: "MADV_WIPEONFORK", 20: "MADV_COLD",
    21: "MADV_PAGEOUT", 22: "MADV_POPULATE_READ", 23: "MADV_POPULATE_WRITE", 25: "MADV_COLLAPSE",
}  # fmt: skip
_EPOLL_CTL = {1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD"}
_LEVELS = {
    0: "SOL_IP", 1: "SOL_SOCKET", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6", 58: "SOL_ICMPV6", 263: "SOL_PACKET",
    270: "SOL_NETLINK", 282: "SOL_TLS", 279: "SOL_ALG",
}  # fmt: skip

_SOCKET_TYPE_MASK = 0xF
_FUTEX_MASK = 0x7F

OPERATIONS = (
    Operation("ioctl", 16, 2, _IOCTL),
    Operation("fcntl", 72, 2, _FCNTL),
    Operation("socket", 41, 1, _FAMILIES),
    Operation("socket", 41, 2, _SOCKET_TYPES, _SOCKET_TYPE_MASK),
    Operation("socketpair", 53, 1, _FAMILIES),
    Operation("socketpair", 53, 2, _SOCKET_TYPES, _SOCKET_TYPE_MASK),
    Operation("futex", 202, 2, _FUTEX, _FUTEX_MASK),
    Operation("prctl", 157, 1, _PRCTL),
    Operation("arch_prctl", 158, 1, _ARCH_PRCTL),
    Operation("madvise", 28, 3, _MADVISE),
    Operation("epoll_ctl", 233, 2, _EPOLL_CTL),
    Operation("setsockopt", 54, 2, _LEVELS),
    Operation("getsockopt", 55, 2, _LEVELS),
)
"""What of a call's arguments is followed and shown."""

SYSCALL_ARGUMENTS: dict[int, tuple[int, ...]] = {}
"""Which arguments are followed, by number of the system call."""
for _operation in OPERATIONS:
    SYSCALL_ARGUMENTS[_operation.number] = (
        *SYSCALL_ARGUMENTS.get(_operation.number, ()),
        _operation.argument,
    )

IMPORTS: dict[str, tuple[int, ...]] = {
    "syscall": (0, 1, 2, 3, 4),
    "ioctl": (1,),
    "fcntl": (1,),
    "fcntl64": (1,),
    "socket": (0, 1),
    "socketpair": (0, 1),
    "prctl": (0,),
    "arch_prctl": (0,),
    "madvise": (2,),
    "epoll_ctl": (1,),
    "setsockopt": (1,),
    "getsockopt": (1,),
    "dlopen": (0,),
    "dlmopen": (1,),
    "dlsym": (1,),
    "dlvsym": (1,),
}
"""Functions of which the arguments at these places (0 is the first) are followed wherever they are imported."""


def operation_name(operation: Operation, value: int) -> str:
    """Return Linux's name of an operation, the number if it has none here."""
    masked = value & operation.mask
    return operation.names.get(masked, f"{masked:#x}")
