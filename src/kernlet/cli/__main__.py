# SPDX-License-Identifier: Apache-2.0
"""``python -m kernlet.cli``: the same as ``kernlet``."""

from __future__ import annotations

from kernlet.cli import main

main()
