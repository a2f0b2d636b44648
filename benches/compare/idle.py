"""What connections cost that do nothing: memory of each contestant that has answered one request on each of them."""

import resource
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import contestants
from children import free_port
from measure import family

CONNECTIONS = 10_000
# Beside one a connection: programs, logs, sockets to the backend.
OTHER_FILES = 200
PATH = "/1k"
SIZE = 1024
SETTLED = 4  # seconds: the gateway gives back what an idle connection does not need after one or two


@dataclass(frozen=True)
class Kind:
    """One kind of connection."""

    title: str
    alpn: str = ""
    target: float | None = None  # KiB that the gateway may take for one
    most: int = CONNECTIONS


KINDS = [
    Kind("clear text", target=16.0),
    Kind("TLS", alpn="http/1.1", target=24.0),
    # Fewer: they must all be counted before the first is sent a ping, which nobody answers here.
    Kind("HTTP/2 over TLS", alpn="h2", most=2_000),
]


def compare(children, folder, field, backend, count):
    """Every contestant under every kind of connection, in a process that has done nothing else. The report's part."""
    allow_files(count + OTHER_FILES)
    lines = [
        f"### {count:,} idle connections, each answered once (`idle`)",
        "",
        "| KiB a connection | " + " | ".join(heading(kind, count) for kind in KINDS) + " |",
        "|---|" + "--:|" * len(KINDS),
    ]
    verdicts = []
    for contestant in field:
        cells = []
        for kind in KINDS:
            kib = cost(children, folder, contestant, backend, kind, min(count, kind.most))
            print(f"idle     {contestant.name:22} {kib:9.2f} KiB {kind.title}", file=sys.stderr)
            cells.append(f"{kib:.1f}")
            if contestant.name == "gateway" and kind.target:
                verdict = "met" if kib <= kind.target else "missed"
                verdicts.append(f"Target for the gateway, {kind.title}: {kind.target:.0f} KiB: {verdict}.")
        lines.append(f"| {contestant.name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *verdicts, ""])


def heading(kind, count):
    """A column's."""
    return kind.title if count <= kind.most else f"{kind.title} ({kind.most:,})"


def allow_files(needed):
    """Raises the limit of open files for this process and its children; ends the program where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"bench: idle: {needed:,} open files are needed, {hard:,} are allowed; raise `ulimit -Hn`")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def cost(children, folder, contestant, backend, kind, count):
    """KiB that a new process of the contestant takes for each of so many idle connections."""
    fresh = replace(contestant, http=free_port(), https=free_port(), admin=free_port(), process=None)
    contestants.start(fresh, children, folder, backend)
    contestants.log_in(fresh)
    contestants.check_session(fresh)
    open_ones = []
    before = memory(fresh.process.pid)
    try:
        context = contestants.unverified()
        if kind.alpn:
            context.set_alpn_protocols([kind.alpn])
        for _ in range(count):
            open_ones.append(answered(fresh, kind, context))
        time.sleep(SETTLED)
        after = memory(fresh.process.pid)
        all_still_open(fresh, kind, open_ones)
    finally:
        for connection in open_ones:
            # Reset: ten thousand ports in TIME_WAIT would be missed by the next.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        children.end(fresh.process)
    return (after - before) / count


def memory(root):
    """KiB of a process and its descendants; what they share is counted once."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in family(root))
    lines = (line.split() for rollup in rollups for line in rollup.splitlines())
    return sum(int(words[1]) for words in lines if words[0] == "Pss:")


def answered(contestant, kind, context):
    """A connection on which one request was answered."""
    port = contestant.https if kind.alpn else contestant.http
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if kind.alpn:
        connection = context.wrap_socket(connection)
    if kind.alpn == "h2":
        ask_http2(connection, contestant.cookie)
    else:
        ask_http1(connection, contestant.cookie)
    return connection


def ask_http1(connection, cookie):
    """One request, and the whole of its answer."""
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
    with connection.makefile("rb") as answer:
        status = answer.readline()
        if not status.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"bench: idle: GET {PATH} was answered {status}")
        while answer.readline().strip():
            pass
        answer.read(SIZE)


def ask_http2(connection, cookie):
    """The same over HTTP/2 (RFC 9113; RFC 7541 for the fields: three of the static table, two written out)."""
    fields = b"\x82\x87" + b"\x04" + text(PATH) + b"\x01" + text("localhost") + b"\x00" + text("cookie") + text(cookie)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS) + frame(HEADERS, 0x05, 1, fields))
    with connection.makefile("rb") as answer:
        flags = stream = 0
        while not (stream == 1 and flags & END_STREAM):
            head = answer.read(9)
            if len(head) < 9:
                raise SystemExit("bench: idle: an HTTP/2 connection ended before its request was answered")
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
            answer.read(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK))
            elif kind in (RST_STREAM, GOAWAY):
                raise SystemExit(f"bench: idle: GET {PATH} over HTTP/2 was answered by a frame of type {kind}")


DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
ACK = END_STREAM = 1


def frame(kind, flags=0, stream=0, payload=b""):
    """One frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def text(value):
    """A string as HPACK writes it, without Huffman's code (RFC 7541 section 5.2)."""
    assert len(value) < 127
    return bytes([len(value)]) + value.encode()


def all_still_open(contestant, kind, connections):
    """Ends the program where a connection was closed, or anything else came, while it should have been idle."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN | select.POLLRDHUP)
    said = len(poll.poll(0))
    if said:
        raise SystemExit(f"bench: idle: {contestant.name} did not leave {said} of its connections idle ({kind.title})")
