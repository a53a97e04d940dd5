# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the fuzzing harnesses of the modules ([[fuzz]] in module.toml).

Each starts from its seeds, the inputs found interesting before (build/fuzz/corpus) and past crashes
(tests/fuzz/crashes/MODULE-NAME), and runs for some seconds. A crash leaves its input in build/fuzz/crashes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostbuild import ROOT, HostBuildError, build_fuzz, can_fuzz
from kernlet.kernel import CompileError, Fuzz, Module, SourceTree, default_tree, load_modules

WORK = ROOT / "build" / "fuzz"
GRACE_S = 60


@dataclass
class Outcome:
    """What became of one harness; ``result`` is passed, failed or skipped."""

    name: str
    result: str
    detail: str


def run_one(tree: SourceTree, module: Module, fuzz: Fuzz, seconds: int) -> Outcome:
    name = f"{module.name}-{fuzz.name}"
    try:
        program = build_fuzz(tree, module, fuzz)
    except (CompileError, HostBuildError) as error:
        return Outcome(name, "failed", getattr(error, "output", "") or str(error))
    corpus = WORK / "corpus" / name
    crashes = WORK / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    inputs = [corpus]
    if fuzz.seeds:
        inputs.append(module.path / fuzz.seeds)
    past = ROOT / "tests" / "fuzz" / "crashes" / name
    if past.is_dir():
        inputs.append(past)
    command = [
        str(program),
        f"-max_total_time={seconds}",
        f"-max_len={fuzz.max_bytes}",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={crashes}/{name}-",
        *map(str, inputs),
    ]
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "detect_leaks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + GRACE_S,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, "failed", f"did not end within {seconds + GRACE_S} s")
    if done.returncode != 0:
        return Outcome(name, "failed", f"status {done.returncode}\n{done.stderr[-5000:]}")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    return Outcome(name, "passed", f"{runs.group(1) if runs else '?'} inputs in {seconds} s")


def run_all(seconds: int, only: str) -> list[Outcome]:
    tree = default_tree()
    harnesses = [
        (m, f)
        for m in load_modules(tree.lib).values()
        for f in m.fuzz
        if only in f"{m.name}-{f.name}"
    ]
    if harnesses and not can_fuzz():
        reason = "no clang with libFuzzer here (libclang-rt-14-dev)"
        return [
            Outcome(f"{module.name}-{fuzz.name}", "skipped", reason) for module, fuzz in harnesses
        ]
    outcomes = []
    for module, fuzz in harnesses:
        outcome = run_one(tree, module, fuzz, seconds)
        print(f"{outcome.result:8}{outcome.name}: {outcome.detail}", flush=True)
        outcomes.append(outcome)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="for each harness")
    parser.add_argument("--only", default="", help="harnesses with this in their name")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    outcomes = run_all(options.seconds, options.only)
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    count = {
        result: sum(o.result == result for o in outcomes)
        for result in ("passed", "failed", "skipped")
    }
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
