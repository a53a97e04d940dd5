# SPDX-License-Identifier: Apache-2.0
"""What the web example must answer for the files of examples/web/site, asked by curl, by hand and by wrk."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

SITE = Path(__file__).resolve().parents[2] / "examples" / "web" / "site"
NUMBERS = (SITE / "numbers.txt").read_bytes()
INDEX = (SITE / "index.html").read_bytes()
HOST = "127.0.0.1"


class Answer:
    """A response: status, fields by their names in small letters, body."""

    def __init__(self, data: bytes) -> None:
        head, mark, self.body = data.partition(b"\r\n\r\n")
        assert mark, data
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        assert first.startswith("HTTP/1.1 ")
        self.fields = {name.lower(): value for name, value in (li.split(": ", 1) for li in lines)}
        assert len(self.fields) == len(lines)


def curl(port: int, path: str, *options: str) -> Answer:
    command = ["curl", "-s", "-S", "-i", "--path-as-is", "--max-time", "10", *options]
    done = subprocess.run(
        [*command, f"http://{HOST}:{port}{path}"], capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return Answer(done.stdout)


def exchange(port: int, data: bytes, seconds: float = 5) -> bytes:
    """Send everything, return everything until the server closes."""
    out = b""
    with socket.create_connection((HOST, port), seconds) as client:
        client.sendall(data)
        while part := client.recv(65536):
            out += part
    return out


def check_files(port: int) -> None:
    index = curl(port, "/")
    assert (index.status, index.body) == (200, INDEX)
    assert index.fields["content-type"] == "text/html; charset=utf-8"
    assert index.fields["content-length"] == str(len(INDEX))
    assert index.fields["connection"] == "keep-alive"
    assert index.fields["accept-ranges"] == "bytes"
    for date in (index.fields["date"], index.fields["last-modified"]):
        time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")
    for path in ("/index.html", "//index.html", "/./index.html", "/%69ndex.html", "/?x=1", "/."):
        assert curl(port, path).body == INDEX, path
    types = {"/style.css": "text/css; charset=utf-8", "/numbers.txt": "text/plain; charset=utf-8"}
    types["/bare/file.bin"] = "application/octet-stream"
    types["/sub/"] = "text/html; charset=utf-8"
    for path, kind in types.items():
        assert curl(port, path).fields["content-type"] == kind
    assert curl(port, "/numbers.txt").body == NUMBERS
    assert curl(port, "/100%25%20plain.txt").body == b"percent\n"
    moved = curl(port, "/sub?a=b")
    assert (moved.status, moved.fields["location"]) == (301, "/sub/?a=b")
    assert curl(port, "//sub").fields["location"] == "/sub/"
    assert b"folder's index" in curl(port, "/sub", "-L").body


def check_head(port: int) -> None:
    head, whole = curl(port, "/numbers.txt", "-I"), curl(port, "/numbers.txt")
    for answer in (head, whole):
        del answer.fields["date"]
    assert (head.status, head.fields, head.body) == (200, whole.fields, b"")
    assert curl(port, "/none", "-I").status == 404


def check_refusals(port: int) -> None:
    for path in ("/none", "/none/", "/index.html/", "/index.html/x", "/" + "x" * 300):
        assert curl(port, path).status == 404, path
    for path in (
        "/../../etc/passwd",
        "/%2e%2e/web.c",
        "/..%2fMakefile",
        "/sub/../../Makefile",
        "/sub/..",
        "/%00",
        "/%",
        "/%4",
        "/%zz",
    ):
        answer = curl(port, path)
        assert (answer.status, b"Bad Request" in answer.body) == (400, True), path
    assert curl(port, "/bare/").status == 404
    assert curl(port, "/" + "x" * 1100).status == 414
    refused = curl(port, "/", "-d", "x=1")
    assert (refused.status, refused.fields["allow"]) == (405, "GET, HEAD")
    assert curl(port, "/", "-H", "X: " + "x" * 4096).status == 431
    cases = {
        b"GET / HTTP/1.1\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n": 413,
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 413,
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n": 505,
        b"GET /\r\n\r\n": 400,
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n": 405,
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n": 400,
        b"\r\n\r\n": 400,
        b"\x16\x03\x01\x00\xa5\x01\x00\n\n": 400,
    }
    for request, status in cases.items():
        with socket.create_connection((HOST, port), 5) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            data = b""
            while part := client.recv(65536):
                data += part
        answer = Answer(data)
        assert (answer.status, answer.fields["connection"]) == (status, "close"), request


def check_ranges(port: int) -> None:
    size = len(NUMBERS)
    whole = curl(port, "/numbers.txt")
    cases = {
        "0-0": (0, 1),
        "10-19": (10, 20),
        "19990-": (19990, size),
        "-10": (size - 10, size),
        f"5-{size * 2}": (5, size),
        f"-{size * 2}": (0, size),
    }
    for text, (start, end) in cases.items():
        part = curl(port, "/numbers.txt", "-r", text)
        assert (part.status, part.body) == (206, NUMBERS[start:end]), text
        assert part.fields["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.fields["content-length"] == str(end - start)
    for text in (f"{size}-", f"{size + 5}-{size + 9}", "-0"):
        none = curl(port, "/numbers.txt", "-r", text)
        assert (none.status, none.fields["content-range"]) == (416, f"bytes */{size}")
    for text in ("bytes=9-5", "bytes=x-y", "bytes=0-1,4-5", "lines=0-1", "bytes=", "bytes=-"):
        assert curl(port, "/numbers.txt", "-H", f"Range: {text}").body == NUMBERS, text
    for value in (whole.fields["etag"], whole.fields["last-modified"]):
        assert curl(port, "/numbers.txt", "-r", "0-4", "-H", f"If-Range: {value}").status == 206
    for value in ('"other"', "Sun, 06 Nov 1994 08:49:37 GMT", "W/" + whole.fields["etag"]):
        assert curl(port, "/numbers.txt", "-r", "0-4", "-H", f"If-Range: {value}").status == 200


def check_conditions(port: int) -> None:
    whole = curl(port, "/numbers.txt")
    etag, date = whole.fields["etag"], whole.fields["last-modified"]
    same = [f"If-None-Match: {etag}", f'If-None-Match: "x", W/{etag}', "If-None-Match: *"]
    same += [f"If-Modified-Since: {date}", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"]
    for line in same:
        answer = curl(port, "/numbers.txt", "-H", line)
        assert (answer.status, answer.body, answer.fields["etag"]) == (304, b"", etag), line
        assert "content-length" not in answer.fields
    other = ['If-None-Match: "x"', "If-Modified-Since: Wed, 31 Dec 1969 23:59:59 GMT"]
    other += ["If-Modified-Since: yesterday"]
    for line in other:
        assert curl(port, "/numbers.txt", "-H", line).status in (
            200,
            304 if "1970" in line else 200,
        )
    both = ("-H", 'If-None-Match: "x"', "-H", f"If-Modified-Since: {date}")
    assert curl(port, "/numbers.txt", *both).status == 200


def check_connections(port: int) -> None:
    """Kept, in a row, in pieces, with bodies to ignore, closed when asked."""
    urls = [f"http://{HOST}:{port}/{name}" for name in ("", "style.css", "none", "numbers.txt")]
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{num_connects} %{http_code}\n"]
    flags = [part for url in urls for part in ("-o", "/dev/null", url)]
    done = subprocess.run([*command[:2], *command[4:], *flags], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "200", "0", "200", "0", "404", "0", "200"]

    one = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    names = [b"numbers.txt", b"index.html", b"none", b"style.css"] * 60
    data = exchange(port, b"".join(one % name for name in names) + last % b"index.html", 20)
    assert re.findall(rb"^HTTP/1.1 (\d+)", data, re.M) == [b"200", b"200", b"404", b"200"] * 60 + [
        b"200"
    ]
    assert data.count(NUMBERS) == 60
    assert data.endswith(INDEX)

    with_body = (
        one.replace(b"Host", b"Content-Length: 5000\r\nHost") % b"none" + b"\r\n\r\nx" * 1000
    )
    data = exchange(port, with_body + last % b"style.css")
    assert re.findall(rb"^HTTP/1.1 (\d+)", data, re.M) == [b"404", b"200"]

    old = exchange(port, b"GET /style.css HTTP/1.0\n\n")
    assert Answer(old).fields["connection"] == "close"
    absolute = exchange(port, last % b"style.css".replace(b"/style", b"http://a/style"))
    assert Answer(absolute).status == 200
    with socket.create_connection((HOST, port), 5) as client:
        for octet in last % b"style.css":
            client.sendall(bytes([octet]))
            time.sleep(0.001)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def check_crowd(port: int) -> None:
    """More connections than there is room for, most of them silent; one that takes nothing."""
    crowd: list[socket.socket] = []
    try:
        with suppress(OSError):
            for _ in range(470):
                crowd.append(socket.create_connection((HOST, port), 2))
        crowd[-1].sendall(b"GET / HT")
        greedy = socket.create_connection((HOST, port), 5)
        crowd.append(greedy)
        greedy.settimeout(1)
        with suppress(OSError):
            greedy.sendall(b"GET /numbers.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
        assert curl(port, "/").body == INDEX
    finally:
        for client in crowd:
            client.close()
    assert curl(port, "/").body == INDEX


def check_load(port: int) -> None:
    """Wrk sees no error; at the end the server is as before."""
    for path, connections in (("/", 32), ("/numbers.txt", 8)):
        command = ["wrk", "-t1", f"-c{connections}", "-d2s", f"http://{HOST}:{port}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert "Socket errors" not in done.stdout, done.stdout
        assert "Non-2xx" not in done.stdout, done.stdout
        requests = re.search(r"(\d+) requests in", done.stdout)
        assert requests, done.stdout
        assert int(requests.group(1)) > 100, done.stdout
    assert curl(port, "/numbers.txt").body == NUMBERS


def check_slow_client(port: int) -> None:
    """A head that comes too slowly ends the connection after fifteen seconds."""
    with socket.create_connection((HOST, port), 5) as client:
        client.settimeout(20)
        started = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(5)
        client.sendall(b"Host: a\r\n")
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert 13 < time.monotonic() - started < 19


CHECKS = [
    check_files,
    check_head,
    check_refusals,
    check_ranges,
    check_conditions,
    check_connections,
    check_crowd,
    check_load,
]
