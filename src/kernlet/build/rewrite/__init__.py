# SPDX-License-Identifier: Apache-2.0
"""Turning the system calls of finished programs and libraries into calls of the library OS."""

from __future__ import annotations

from kernlet.build.rewrite._rewrite import RewriteResult, Site, SiteStatus, rewrite_elf

__all__ = ["RewriteResult", "Site", "SiteStatus", "rewrite_elf"]
