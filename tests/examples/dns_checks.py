# SPDX-License-Identifier: Apache-2.0
"""What the DNS example must answer for examples/dns/example.zone, wherever it runs: asked by dig and by hand."""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import subprocess
import time
from contextlib import suppress

Address = tuple[str, int]
NOTHING: dict[str, list[str]] = {"ANSWER": [], "AUTHORITY": [], "ADDITIONAL": []}


class Answer:
    """dig's view of an answer: status, flags, and the records of each section."""

    def __init__(self, text: str) -> None:
        self.text = text
        head = re.search(r"status: (\w+), id", text)
        flags = re.search(r";; flags: ([\w ]*);", text)
        assert head, text
        assert flags, text
        self.status = head.group(1)
        self.flags = set(flags.group(1).split())
        self.sections: dict[str, list[str]] = {**NOTHING}
        for name, body in re.findall(
            r";; (ANSWER|AUTHORITY|ADDITIONAL) SECTION:\n((?:[^;\n].*\n)*)", text
        ):
            self.sections[name] = [re.sub(r"\s+", " ", line) for line in body.splitlines()]

    @property
    def records(self) -> list[str]:
        """The answer section without names, TTLs and classes, sorted."""
        return sorted(record.split(" IN ", 1)[1] for record in self.sections["ANSWER"])


def dig(at: Address, name: str, kind: str = "A", *options: str) -> Answer:
    full = name if name.endswith(".") else f"{name}.example.test."
    limits = ("+norecurse", "+tries=3", "+time=3")
    done = subprocess.run(
        ["dig", f"@{at[0]}", "-p", str(at[1]), *limits, *options, full, kind],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Answer(done.stdout)


def question(name: str, kind: int, *, number: int = 1, flags: int = 0, edns: int = 0) -> bytes:
    head = struct.pack(">6H", number, flags, 1, 0, 0, 1 if edns else 0)
    labels = b"".join(bytes([len(part)]) + part for part in name.encode().split(b".") if part)
    opt = b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b""
    return head + labels + b"\0" + struct.pack(">HH", kind, 1) + opt


def ask_udp(at: Address, packet: bytes, seconds: float = 2) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        client.sendto(packet, at)
        return client.recv(65536)


def read_exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        assert part, "the connection ended"
        data += part
    return data


def read_tcp(client: socket.socket) -> bytes:
    return read_exactly(client, int.from_bytes(read_exactly(client, 2)))


def framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2) + packet


def wait_until_it_answers(at: Address, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            ask_udp(at, question("example.test", 6), 0.3)
            return
        time.sleep(0.02)
    raise AssertionError(f"no answer in {seconds} s")


def check_records(at: Address) -> None:
    """Every type of record, both transports."""
    expected = {
        ("@", "SOA"): [
            "SOA ns1.example.test. hostmaster.example.test. 2026010101 14400 3600 1209600 300"
        ],
        ("@", "NS"): ["NS ns1.example.test.", "NS ns2.example.test."],
        ("@", "A"): ["A 192.0.2.1"],
        ("@", "AAAA"): ["AAAA 2001:db8::1"],
        ("@", "MX"): ["MX 10 mail.example.test.", "MX 20 mail.elsewhere.test."],
        ("@", "TXT"): ['TXT "v=spf1 mx -all"'],
        ("@", "CAA"): [
            'CAA 0 issue "ca.example.net"',
            'CAA 128 iodef "mailto:security@example.test"',
        ],
        ("web", "A"): ["A 192.0.2.80", "A 192.0.2.81"],
        ("_sip._tcp", "SRV"): [
            "SRV 10 60 5060 web.example.test.",
            "SRV 20 0 5060 ns2.example.test.",
        ],
        ("ptr", "PTR"): ["PTR web.example.test."],
        ("host", "HINFO"): ['HINFO "x86-64" "kernlet"'],
        ("strings", "TXT"): [r'TXT "two strings" "with \"marks\"; no comment" "Three"'],
        (r"dot\.ted", "A"): ["A 192.0.2.99"],
        ("new", "TYPE65280"): [r"TYPE65280 \# 4 0A000001"],
        ("a.b.wild", "A"): ["A 192.0.2.8"],
    }
    for (name, kind), records in expected.items():
        for option in ("+notcp", "+tcp", "+noedns"):
            answer = dig(at, name if name != "@" else "example.test.", kind, option)
            assert (answer.status, answer.flags) == ("NOERROR", {"qr", "aa"}), answer.text
            assert answer.records == records
    extra = dig(at, "_sip._tcp", "SRV").sections["ADDITIONAL"]
    assert [line.split(" IN ")[1] for line in extra] == [
        "A 192.0.2.80",
        "A 192.0.2.81",
        "AAAA 2001:db8::80",
        "A 198.51.100.53",
    ]
    assert dig(at, "mail", "A").sections["ANSWER"] == ["mail.example.test. 300 IN A 192.0.2.25"]


def check_names(at: Address) -> None:
    """Aliases, wildcards, delegations, names that don't exist, names of others."""
    chain = dig(at, "alias", "AAAA").sections["ANSWER"]
    assert [line.split(" IN ")[1] for line in chain] == [
        "CNAME www.example.test.",
        "CNAME web.example.test.",
        "AAAA 2001:db8::80",
    ]
    assert dig(at, "away").records == ["CNAME www.elsewhere.test."]
    assert len(dig(at, "loop").records) == 2
    assert dig(at, "www", "CNAME").records == ["CNAME web.example.test."]
    odd = dig(at, "WeB.eXaMpLe.TeSt.")
    assert all(line.startswith("WeB.eXaMpLe.TeSt. ") for line in odd.sections["ANSWER"])

    soa = (
        "example.test. 300 IN SOA ns1.example.test. hostmaster.example.test. "
        "2026010101 14400 3600 1209600 300"
    )
    cases = [("nope", "A", 3), ("web", "MX", 0), ("wild", "A", 0), ("b.wild", "A", 0)]
    cases += [("x.b.wild", "A", 3), ("x.sub.wild", "A", 3), ("any.wild", "AAAA", 0)]
    for name, kind, rcode in cases:
        none = dig(at, name, kind)
        assert none.status == ("NXDOMAIN" if rcode else "NOERROR"), name
        assert (none.flags, none.records) == ({"qr", "aa"}, [])
        assert none.sections["AUTHORITY"] == [soa]
    gone = dig(at, "gone")
    assert (gone.status, gone.records) == ("NXDOMAIN", ["CNAME nothing.here.example.test."])
    assert gone.sections["AUTHORITY"] == [soa]

    assert dig(at, "x.y.wild").sections["ANSWER"] == ["x.y.wild.example.test. 3600 IN A 192.0.2.7"]
    assert dig(at, "*.wild", "TXT").records == ['TXT "from the wildcard"']

    for name in ("child", "a.b.child"):
        referral = dig(at, name)
        assert (referral.status, referral.flags, referral.records) == ("NOERROR", {"qr"}, [])
        assert referral.sections["AUTHORITY"] == [
            "child.example.test. 3600 IN NS ns.child.example.test.",
            "child.example.test. 3600 IN NS ns.elsewhere.test.",
        ]
        assert len(referral.sections["ADDITIONAL"]) == 2
    assert dig(at, "child", "DS").flags == {"qr", "aa"}

    for name in ("other.test.", "test.", "."):
        refused = dig(at, name)
        assert (refused.status, refused.flags, refused.sections) == ("REFUSED", {"qr"}, NOTHING)
    assert dig(at, "web", "A", "-c", "CH").status == "REFUSED"
    assert dig(at, "example.test.", "ANY", "+notcp").records == ['HINFO "RFC8482" ""']


def check_sizes(at: Address) -> None:
    """What doesn't fit is cut off, and dig then asks over TCP."""
    cut = dig(at, "big", "TXT", "+noedns", "+ignore")
    assert (cut.flags, cut.records) == ({"qr", "aa", "tc"}, [])
    whole = dig(at, "big", "TXT", "+noedns")
    assert len(whole.records) == 6
    assert "tc" not in whole.flags
    assert len(dig(at, "big", "TXT", "+bufsize=4096", "+ignore").records) == 6
    for size in (1232, 4096, 65535):
        assert "tc" in dig(at, "huge", "TXT", f"+bufsize={size}", "+ignore").flags
    assert len(dig(at, "huge", "TXT").text) > 1232
    assert "udp: 1232" in dig(at, "web").text
    assert "flags: do;" in dig(at, "web", "A", "+dnssec").text
    assert "OPT" not in dig(at, "web", "A", "+noedns").text
    assert dig(at, "web", "A", "+edns=1", "+noednsnegotiation").status == "BADVERS"
    assert dig(at, "web", "A", "+cookie", "+nsid", "+subnet=192.0.2.0/24").status == "NOERROR"
    # Names are written once: 41 octets instead of 57.
    assert len(ask_udp(at, question("www.example.test", 5))) == 12 + 22 + 12 + 6


def check_bad_packets(at: Address) -> None:
    """Nonsense gets a short answer or none; the server goes on."""
    good = question("web.example.test", 1, edns=4096)
    cases = {
        b"\0\1\x28\0" + good[4:]: 4,
        b"\0\1\x10\0" + good[4:]: 4,
        good[:4] + b"\0\0" + good[6:]: 1,
        good[:4] + b"\0\2" + good[6:34] + good[12:]: 1,
        good[:12] + b"\xc0\x0c" + good[30:]: 1,
        good[:12] + b"\x40" + good[13:]: 1,
        good[:20]: 1,
        good + b"x": 1,
        good[:10] + b"\0\2" + good[12:] + good[-11:]: 1,
        question("example.test", 252): 5,
        question("example.test", 251): 5,
    }
    for packet, rcode in cases.items():
        answer = ask_udp(at, packet)
        assert (answer[:2], answer[3] & 0xF) == (packet[:2], rcode), packet
        assert len(answer) <= len(packet)
    chance = random.Random(1035)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for silent in (b"", b"x" * 11, b"\0\1\x80" + good[3:]):
            client.sendto(silent, at)
        client.settimeout(0.3)
        with suppress(TimeoutError):
            raise AssertionError(f"an answer to nothing: {client.recv(4096)!r}")
        for number in range(500):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            client.sendto(bytes(data[: chance.randrange(len(data) + 1)]), at)
            if number % 20 == 0:
                client.sendto(os.urandom(1400), at)
                time.sleep(0.005)
    assert dig(at, "web").status == "NOERROR"


def check_connections(at: Address) -> None:
    """Queries in a row, in pieces, from more clients than there is room for; slow clients lose."""
    with socket.create_connection(at, 5) as client:
        rows = [question(f"x{n}.wild.example.test", 1, number=n) for n in range(100)]
        client.sendall(b"".join(map(framed, rows)))
        for number in range(100):
            assert int.from_bytes(read_tcp(client)[:2]) == number
        for octet in framed(question("big.example.test", 16, number=7)):
            client.sendall(bytes([octet]))
            time.sleep(0.001)
        assert len(read_tcp(client)) > 512
        client.sendall(b"\xff\xff" + b"x" * 100)
        assert client.recv(1) == b""
    crowd = [socket.create_connection(at, 5) for _ in range(80)]
    try:
        for client in crowd[:40]:
            client.sendall(b"\0")
        assert dig(at, "web", "A", "+tcp").status == "NOERROR"
        crowd[-1].sendall(framed(question("web.example.test", 1)))
        assert read_tcp(crowd[-1])[3] == 0
    finally:
        for client in crowd:
            client.close()


def check_slow_client(at: Address) -> None:
    """A query that comes too slowly ends the connection after ten seconds, other clients or not."""
    with socket.create_connection(at, 5) as client:
        client.settimeout(15)
        started = time.monotonic()
        client.sendall(b"\0\x20")
        assert client.recv(1) == b""
        assert 8 < time.monotonic() - started < 14


CHECKS = [check_records, check_names, check_sizes, check_bad_packets, check_connections]
