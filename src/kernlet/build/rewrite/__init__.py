# SPDX-License-Identifier: Apache-2.0
"""Turning the system calls of finished programs and libraries into calls of the library OS."""

from __future__ import annotations

from kernlet.build.rewrite._rewrite import RewriteResult, Site, SiteStatus, rewrite_elf
from kernlet.build.rewrite._survey import SyscallScan, scan_syscalls

__all__ = [
    "RewriteResult",
    "Site",
    "SiteStatus",
    "SyscallScan",
    "rewrite_elf",
    "scan_syscalls",
]
