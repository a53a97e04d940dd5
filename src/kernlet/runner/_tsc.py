# SPDX-License-Identifier: Apache-2.0
"""The frequency of the time-stamp counter, which an emulated guest cannot ask anybody for.

QEMU's emulation hands the host's counter through, so measuring it here, once a boot of the
machine, saves every guest from doing so.
"""

from __future__ import annotations

import time

from . import _cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MEASURE_SECONDS = 0.05
# mfence; rdtsc; shl rdx, 32; or rax, rdx; ret
_READ_COUNTER = bytes.fromhex("0faef0 0f31 48c1e220 4809d0 c3")


def tsc_khz() -> int:
    """Return the counter's frequency in kHz; 0 when it cannot be found out."""
    key = _cache.boot_id()
    known = _cache.load("tsc", key)
    if known is not None:
        return int(known["khz"])
    khz = measure()
    if khz:
        _cache.store("tsc", key, {"khz": khz})
    return khz


def measure() -> int:
    """Compare the counter with CLOCK_MONOTONIC_RAW over some milliseconds.

    0 where that is not possible.
    """
    read = _counter()
    if read is None:
        return 0
    first_ns, first = _sample(read)
    time.sleep(_MEASURE_SECONDS)
    last_ns, last = _sample(read)
    return round((last - first) * 1_000_000 / (last_ns - first_ns))


def _sample(read: Callable[[], int]) -> tuple[int, int]:
    """Return the clock and the counter, as close together as eight tries give."""
    best = None
    for _ in range(8):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        counter = read()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        if best is None or after - before < best[0]:
            best = (after - before, (before + after) // 2, counter)
    assert best is not None
    return best[1], best[2]


def _counter() -> Callable[[], int] | None:
    import ctypes
    import mmap
    import platform

    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a policy against memory that is writable and executable
        return None
    page.write(_READ_COUNTER)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)

    def read() -> int:
        return int(function()) if page else 0  # the closure keeps the page mapped

    return read
