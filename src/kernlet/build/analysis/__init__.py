# SPDX-License-Identifier: Apache-2.0
"""Which system calls a program with its libraries can make, and why: found without running it.

Sound as far as these hold: code is not made at run time with system calls of its own; functions follow the psABI where
they are called; a symbol that is looked up by name has its name as a text in one of the files, or belongs to a library
that is loaded at run time; stripped data is cut only where kernlet.build.analysis._graph says. What can't be decided is
reported as unknown, never guessed.
"""

from __future__ import annotations

from kernlet.build.analysis._analyse import AnalysisError, Binary, analyse_binaries, analyse_program
from kernlet.build.analysis._plan import analyse_plan
from kernlet.build.analysis._result import (
    IMPLIED,
    Analysis,
    CallUse,
    FileUse,
    Operations,
    Step,
    UnknownCall,
    to_json,
)

__all__ = [
    "IMPLIED",
    "Analysis",
    "AnalysisError",
    "Binary",
    "CallUse",
    "FileUse",
    "Operations",
    "Step",
    "UnknownCall",
    "analyse_binaries",
    "analyse_plan",
    "analyse_program",
    "to_json",
]
