"""The contestants and the backend behind them: their configuration, their start, and what they are asked beforehand."""

import http.client
import re
import socket
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from children import LOAD_CORE, PROXY_CORE, free_port, wait_for_port

CONFIGS = Path(__file__).parent / "configs"


@dataclass
class Contestant:
    """One proxy, ready to be started."""

    name: str
    kind: str  # nginx, haproxy or gateway
    access_log: bool = False
    binary: str = ""
    store: str = 'kind = "memory"'
    http: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    under: list = field(default_factory=list)  # A tool's command to run it under.
    process: object = None
    cookie: str = ""

    @property
    def in_redis(self):
        """Whether its sessions are in Redis."""
        return "redis" in self.store


def start_backend(children, folder):
    """Starts nginx as the backend. Returns its port."""
    files = folder / "files"
    files.mkdir()
    (files / "64k").write_bytes(b"0123456789abcdef" * 4096)
    (files / "1m").write_bytes(b"0123456789abcdef" * 65536)
    port = free_port()
    config = filled(folder, "backend.nginx.conf", BACKEND=port, BODY_1K="x" * 1024)
    log = folder / "backend.log"
    process = children.start(LOAD_CORE, ["nginx", "-e", str(log), "-c", str(config)])
    wait_for_port(port, process, "the backend", log)
    return port


def start_redis(children, folder):
    """Starts a Redis that keeps nothing on disk. Returns its port."""
    port = free_port()
    log = folder / "redis.log"
    with log.open("wb") as lines:
        process = children.start(LOAD_CORE, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                             "--appendonly", "no", "--dir", str(folder)], stdout=lines, stderr=lines)
    wait_for_port(port, process, "Redis", log)
    return port


def commands(port):
    """How many commands about sessions a Redis has carried out: not greetings, nor the pings that supervise a connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"INFO commandstats\r\n")
        text = connection.recv(65536)
        size = int(re.match(rb"\$(\d+)\r\n", text).group(1))
        while len(text) < size:
            text += connection.recv(65536)
    calls = re.findall(rb"cmdstat_(\w+)[^:]*:calls=(\d+)", text)
    return sum(int(count) for name, count in calls if name not in {b"ping", b"info", b"hello", b"client", b"auth", b"select"})


def make_certificate(folder):
    """One ECDSA P-256 certificate for every contestant."""
    key, crt = folder / "bench.key", folder / "bench.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(crt)],
        check=True, capture_output=True)
    # HAProxy reads both from one file.
    (folder / "bench.pem").write_text(crt.read_text() + key.read_text())


def start(contestant, children, folder, backend, redis=0):
    """Starts one contestant on its core, and waits until it accepts."""
    name = re.sub(r"\W+", "-", contestant.name)
    log = folder / f"{name}.log"
    ports = {"HTTP": contestant.http, "HTTPS": contestant.https, "ADMIN": contestant.admin, "BACKEND": backend}
    access = folder / f"{name}.access.log"
    if contestant.kind == "nginx":
        buffered = f"{access} combined buffer=64k flush=1s"
        config = filled(folder, "nginx.conf", name, ACCESS_LOG=buffered if contestant.access_log else "off", **ports)
        command = ["nginx", "-e", str(log), "-c", str(config)]
    elif contestant.kind == "haproxy":
        command = ["haproxy", "-q", "-f", str(filled(folder, "haproxy.cfg", name, **ports))]
    else:
        key = folder / "session.key"
        if not key.exists():
            key.write_bytes(subprocess.run([contestant.binary, "key"], check=True, capture_output=True).stdout)
            key.chmod(0o600)
        config = filled(folder, "gateway.toml", name, ACCESS_LOG="text" if contestant.access_log else "off",
                        STORE=contestant.store.replace("@REDIS@", str(redis)), **ports)
        command = [contestant.binary, "--config", str(config)]
    with log.open("wb") as errors, access.open("wb") as lines:
        contestant.process = children.start(PROXY_CORE, [*contestant.under, *command], stdout=lines, stderr=errors)
    for port in (contestant.http, contestant.https):
        wait_for_port(port, contestant.process, contestant.name, log)


def filled(folder, template, name="backend", **values):
    """Writes a configuration with its `@WORDS@` filled in. Returns where."""
    text = (CONFIGS / template).read_text()
    for word, value in {"DIR": folder, "NAME": name, **values}.items():
        text = text.replace(f"@{word}@", str(value))
    left = re.findall(r"@[A-Z_0-9]+@", text)
    assert not left, f"{template}: nothing to fill {left} with"
    path = folder / f"{name}.{template}"
    path.write_text(text)
    return path


def log_in(contestant):
    """Gives the contestant's clients a cookie: the gateway's is that of a live session with a user."""
    status, headers = ask(contestant.http, "/login")
    cookie = next((value for name, value in headers if name.lower() == "set-cookie"), "")
    if contestant.kind == "gateway" and not (status == 200 and cookie.startswith("sid=")):
        raise SystemExit(f"bench: {contestant.name}: the login was answered {status} {headers}")
    # The others are sent a cookie of the same size, so that every contestant reads the same bytes.
    contestant.cookie = cookie.split(";")[0] or f"sid={'x' * 96}"


def check_session(contestant):
    """Ends the program unless the backend is told of the user, where there should be one, on both addresses."""
    for port, context in ((contestant.http, None), (contestant.https, unverified())):
        status, headers = ask(port, "/seen", contestant.cookie, context)
        seen = {name.lower(): value for name, value in headers}.get("x-seen-user")
        expected = "bench" if contestant.kind == "gateway" else None
        if status != 200 or seen != expected:
            raise SystemExit(f"bench: {contestant.name}: the backend saw user {seen}, status {status}; not {expected}")


def check_tls(contestant):
    """What TLS 1.3 cipher it speaks; ends the program unless it offers HTTP/2."""
    context = unverified()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2", "http/1.1"])
    connection = http.client.HTTPSConnection("127.0.0.1", contestant.https, timeout=5, context=context)
    connection.connect()
    chosen, cipher = connection.sock.selected_alpn_protocol(), connection.sock.cipher()[0]
    connection.close()
    if chosen != "h2":
        raise SystemExit(f"bench: {contestant.name} chose {chosen} where h2 was offered")
    return cipher


def ask(port, path, cookie="", context=None):
    """One GET. Returns the status and the headers."""
    if context:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheaders()
    except (OSError, http.client.HTTPException) as error:
        raise SystemExit(f"bench: GET {path} on port {port}: {error!r}") from error
    finally:
        connection.close()


def unverified():
    """A TLS client that takes our self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
