# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernlet.runner._cmdline import MAX_BYTES, CommandLineError, decode, encode, join, split

# What os.fsdecode() can give: any text, undecodable bytes as lone surrogates.
tokens = st.binary(max_size=40).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(tokens)
def test_encoding_round_trips(token: str) -> None:
    assert decode(encode(token)) == token


@given(tokens)
def test_encoded_tokens_hold_only_printable_ascii_without_spaces(token: str) -> None:
    assert all(0x20 < ord(character) < 0x7F for character in encode(token))


@given(st.lists(st.tuples(keys, tokens), max_size=6), st.lists(tokens, max_size=6))
def test_whole_lines_round_trip(settings: list[tuple[str, str]], argv: list[str]) -> None:
    assert split(join(settings, argv)) == (settings, argv)


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=40))
def test_decoding_takes_anything(text: str) -> None:
    decode(text)


def test_documented_examples() -> None:
    line = join([("env", "A=b c"), ("cwd", "/x")], ["/bin/sh", "-c", 'echo "100%"\n'])
    assert line == 'env=A=b%20c cwd=/x -- /bin/sh -c echo%20"100%25"%0A'


def test_empty_arguments_survive() -> None:
    assert split(join([], ["/bin/x", "", ""])) == ([], ["/bin/x", "", ""])


def test_a_zero_byte_is_refused() -> None:
    with pytest.raises(CommandLineError, match="zero byte"):
        join([], ["a\0b"])


def test_too_long_a_line_is_refused() -> None:
    with pytest.raises(CommandLineError, match="limit"):
        join([], ["x" * MAX_BYTES])
    assert len(join([], ["x" * (MAX_BYTES - 3)])) == MAX_BYTES
