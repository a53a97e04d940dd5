# SPDX-License-Identifier: Apache-2.0
"""Rewriting every `syscall` of a file into a jump to the library OS."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kernlet.build.rewrite._code import SYSCALL, Code
from kernlet.build.rewrite._flags import flags_live_after
from kernlet.build.rewrite._references import protected_addresses
from kernlet.build.rewrite._segment import append_segment, segment_address, table_bytes
from kernlet.build.rewrite._survey import survey_elf
from kernlet.build.rewrite._trampoline import FILLING, encode_jump, encode_trampoline
from kernlet.build.rewrite._window import JUMP_BYTES, Window, choose_window
from kernlet.elf import ElfFile, read_labels

__all__ = ["RewriteResult", "Site", "SiteStatus", "rewrite_elf"]

_MAGIC = b"kernlet syscall trampolines 1\0\0\0"
# The return from a signal handler; libgcc and gdb know a signal frame by exactly these bytes.
_SIGNAL_RETURN = b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"


class SiteStatus(enum.StrEnum):
    """What became of a `syscall` instruction."""

    REWRITTEN = "rewritten"
    LEFT = "left"
    KEPT = "kept"
    """Left on purpose: others look for these very bytes."""
    UNREACHED = "unreached"
    """Bytes that read as a system call, but nothing known leads to them: dead code, or data."""


@dataclass(frozen=True, slots=True)
class Site:
    """One `syscall` instruction at ``address`` (as linked).

    For a rewritten one, [start, end) are the bytes that were replaced and ``trampoline`` is where
    they lead. ``reason`` says why another one was left.
    """

    address: int
    status: SiteStatus
    reason: str = ""
    start: int = 0
    end: int = 0
    trampoline: int = 0


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """The rewritten file (the very same bytes if it had nothing to rewrite) and every site in address order."""

    data: bytes
    sites: tuple[Site, ...]

    @property
    def rewritten(self) -> int:
        """How many sites now are jumps."""
        return sum(site.status == SiteStatus.REWRITTEN for site in self.sites)

    @property
    def share(self) -> float:
        """Rewritten sites, of those that are reached and not kept on purpose.

        1.0 if there is none.
        """
        left = sum(site.status == SiteStatus.LEFT for site in self.sites)
        return self.rewritten / (self.rewritten + left) if self.rewritten + left else 1.0


def rewrite_elf(data: bytes, *, gate_va: int, name: str = "file") -> RewriteResult:
    """Rewrite the system calls of the ELF file ``data`` into jumps to ``gate_va``.

    What can't be rewritten safely is left and listed with the reason. The same input gives the
    same bytes. A file that was rewritten before is returned as it is. Raises ElfError if ``data``
    is no usable ELF file.
    """
    elf = ElfFile(data, name)
    if SYSCALL not in data or _is_rewritten(elf):
        return RewriteResult(data, ())
    survey = survey_elf(elf)
    protected = protected_addresses(elf, survey.explorer, read_labels(elf), survey.reached)
    plan = _Plan(elf, survey.explorer.code, gate_va)
    for address in survey.reached:
        plan.add(address, protected)
    for address in survey.unreached:
        plan.leave(address, "nothing known leads here: dead code or data", SiteStatus.UNREACHED)
    return plan.finish()


def _is_rewritten(elf: ElfFile) -> bool:
    last = elf.loads[-1]
    return elf.data[last.offset : last.offset + last.filesz].find(_MAGIC, 0, 8192) >= 0


class _Plan:
    """Collects the decisions and then makes the new file."""

    def __init__(self, elf: ElfFile, code: Code, gate_va: int) -> None:
        self._elf = elf
        self._code = code
        self._gate_va = gate_va
        self._room = table_bytes(elf)
        self._base = segment_address(elf)
        self._content = bytearray(bytes(self._room) + _MAGIC)
        self._patched = bytearray(elf.data)
        self._sites: list[Site] = []
        self._taken_to = 0

    def leave(self, address: int, reason: str, status: SiteStatus = SiteStatus.LEFT) -> None:
        """Note a site that stays as it is."""
        self._sites.append(Site(address, status, reason))

    def add(self, address: int, protected: set[int]) -> None:
        """Decide about the site at ``address``; sites come in ascending order."""
        code = self._code
        if address in code.conflicts:
            self.leave(address, "the code around it reads in two ways")
            return
        if self._is_signal_return(address):
            self.leave(address, "the return from a signal, known by its bytes", SiteStatus.KEPT)
            return
        if flags_live_after(code, address + len(SYSCALL)):
            self.leave(address, "the flags are used behind it")
            return
        window = choose_window(code, address, protected)
        if isinstance(window, str):
            self.leave(address, window)
            return
        if window.start < self._taken_to:
            self.leave(address, "no room for a jump: the one of another system call is there")
            return
        try:
            self._patch(window)
        except ValueError as error:
            self.leave(address, f"an instruction beside it can't be moved ({error})")

    def finish(self) -> RewriteResult:
        """Return the new file."""
        sites = tuple(sorted(self._sites, key=lambda site: site.address))
        if not any(site.status == SiteStatus.REWRITTEN for site in sites):
            return RewriteResult(self._elf.data, sites)
        data = append_segment(self._elf, self._patched, bytes(self._content))
        return RewriteResult(data, sites)

    def _is_signal_return(self, address: int) -> bool:
        start = address + len(SYSCALL) - len(_SIGNAL_RETURN)
        region = self._code.region_at(address)
        return (
            region is not None
            and start >= region.start
            and self._code.slice(start, address + len(SYSCALL)) == _SIGNAL_RETURN
        )

    def _patch(self, window: Window) -> None:
        trampoline = self._base + len(self._content)
        code = encode_trampoline(self._code, window, trampoline, self._gate_va)
        jump = encode_jump(window.start, trampoline)
        filled = jump + FILLING * (window.end - window.start - JUMP_BYTES)
        at = self._offset(window.start)
        self._patched[at : at + len(filled)] = filled
        self._content += code
        self._taken_to = window.end
        self._sites.append(
            Site(
                window.site,
                SiteStatus.REWRITTEN,
                start=window.start,
                end=window.end,
                trampoline=trampoline,
            )
        )

    def _offset(self, address: int) -> int:
        for segment in self._elf.loads:
            if segment.executable and segment.vaddr <= address < segment.vaddr + segment.filesz:
                return segment.offset + address - segment.vaddr
        raise AssertionError("a site outside of the executable segments")
