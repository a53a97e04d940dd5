# SPDX-License-Identifier: Apache-2.0
"""Prints what rewriting would do: `python -m kernlet.build.rewrite FILE...`; with -v also every site that is left."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from kernlet.abi import layout
from kernlet.build.rewrite import SiteStatus, rewrite_elf
from kernlet.errors import KernletError


def main(args: list[str]) -> int:
    """Print one line a file; return 1 if one of them can't be read."""
    verbose = "-v" in args
    status = 0
    print("rewritten  left  kept  unreached  share   seconds  file")
    for name in args:
        if name == "-v":
            continue
        started = time.monotonic()
        try:
            result = rewrite_elf(
                Path(name).read_bytes(), gate_va=layout()["KL_GATE_SYSCALL_VA"], name=name
            )
        except (KernletError, OSError) as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        counts = Counter(site.status for site in result.sites)
        numbers = [counts[kind] for kind in SiteStatus]
        row = "{:9}  {:4}  {:4}  {:9}".format(*numbers)
        print(f"{row}  {result.share:6.1%}  {time.monotonic() - started:7.2f}  {name}")
        for site in result.sites if verbose else ():
            if site.status is not SiteStatus.REWRITTEN:
                print(f"    {site.address:#x} {site.status}: {site.reason}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
