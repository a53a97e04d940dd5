# SPDX-License-Identifier: Apache-2.0
"""The cache of results: right or empty, never wrong, never in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kernlet.build.cache import ContentCache


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    cache = ContentCache("x", tmp_path)
    key = cache.key(b"a", "b")
    assert cache.get(key) is None
    cache.put(key, b"content")
    assert cache.get(key) == b"content"


def test_a_result_is_made_once(tmp_path: Path) -> None:
    cache = ContentCache("x", tmp_path)
    made = []

    def make() -> bytes:
        made.append(1)
        return b"result"

    assert cache.compute(cache.key("k"), make) == b"result"
    assert cache.compute(cache.key("k"), make) == b"result"
    assert made == [1]


def test_damaged_entries_are_made_again(tmp_path: Path) -> None:
    cache = ContentCache("x", tmp_path)
    key = cache.key("k")
    cache.put(key, b"content")
    (file,) = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    for damage in (b"", file.read_bytes()[:-1], b"x" * 100):
        file.write_bytes(damage)
        assert cache.get(key) is None
        assert cache.compute(key, lambda: b"content") == b"content"


def test_a_cache_that_can_not_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = ContentCache("x", tmp_path / "file")
    assert cache.compute(cache.key("k"), lambda: b"content") == b"content"


def test_nothing_is_left_behind_when_the_disk_is_full(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from kernlet.build.cache import ContentCache\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "cache = ContentCache('x', Path(sys.argv[1]))\n"
        "cache.put('abcd', b'x' * 100000)\n"
        "assert cache.get('abcd') is None\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_many_writers_of_one_entry(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from kernlet.build.cache import ContentCache\n"
        "cache = ContentCache('x', Path(sys.argv[1]))\n"
        "for _ in range(200):\n"
        "    cache.put('abcd', b'x' * 50000)\n"
        "    assert cache.get('abcd') == b'x' * 50000\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, tmp_path]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_different_parts_have_different_keys(one: list[bytes], other: list[bytes]) -> None:
    assert (ContentCache.key(*one) == ContentCache.key(*other)) == (one == other)
