"""The client of `websockets`. Called with an address, the file of the certificate that it must show, and what to do there."""

import http.client
import socket
import ssl
import sys
import time

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

PATIENCE = 20


class Client:
    def __init__(self, address, certificate):
        self.host, port = address.split(":")
        self.port = int(port)
        self.tls = ssl.create_default_context(cafile=certificate)
        self.cookie = None

    def open(self, path, **options):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        sock = socket.create_connection((self.host, self.port), PATIENCE)
        uri = f"wss://localhost:{self.port}{path}"
        options = {"max_size": None, "ping_interval": None, "additional_headers": headers, **options}
        return connect(uri, sock=sock, ssl=self.tls, open_timeout=PATIENCE, **options)

    def login(self):
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=PATIENCE)
        connection.sock = self.tls.wrap_socket(
            socket.create_connection((self.host, self.port), PATIENCE), server_hostname="localhost"
        )
        connection.request("GET", "/login")
        self.cookie = connection.getresponse().getheader("Set-Cookie").split(";")[0]


def closed(websocket):
    """The close frame by which this ends."""
    try:
        websocket.recv(timeout=PATIENCE)
    except ConnectionClosed as error:
        return error.rcvd.code, error.rcvd.reason
    raise AssertionError("a message instead of an end")


def messages(client):
    for compression in ("deflate", None):
        with client.open("/echo", compression=compression) as websocket:
            extensions = [type(extension).__name__ for extension in websocket.protocol.extensions]
            assert extensions == (["PerMessageDeflate"] if compression else []), extensions
            for message in ("", "text", "söme töxt \U0001f35e", b"", b"\x00\xff", "x" * 3_000_000, bytes(3_000_000)):
                websocket.send(message)
                assert websocket.recv(timeout=PATIENCE) == message, len(message)
            websocket.send(["one ", "mess", "age"])
            assert websocket.recv(timeout=PATIENCE) == "one message"


def pings(client):
    with client.open("/ping") as websocket:
        assert websocket.recv(timeout=PATIENCE) == "pong has come"
        assert websocket.ping(b"payload").wait(PATIENCE)


def closes(client):
    for code in (1000, 1001, 4001):
        with client.open(f"/close?{code}") as websocket:
            assert closed(websocket) == (code, "as you like")
    websocket = client.open("/echo")
    websocket.close(4002, "I have to go")


def subprotocols(client):
    with client.open("/echo", subprotocols=["other", "chat"]) as websocket:
        assert websocket.subprotocol == "chat"


def refusal(client):
    try:
        client.open("/refuse")
    except InvalidStatus as error:
        assert error.response.status_code == 403, error
    else:
        raise AssertionError("it should have been refused")


def revoked(client):
    """Listens until the session has ended, of which others see to it once this has said that it listens."""
    with client.open("/whoami") as websocket:
        assert websocket.recv(timeout=PATIENCE) == "nobody"
    client.login()
    with client.open("/whoami") as websocket:
        assert websocket.recv(timeout=PATIENCE) == "alice"
        print("listening", flush=True)
        sys.stdin.readline()
        began = time.monotonic()
        assert closed(websocket) == (1008, "the session has ended")
        assert time.monotonic() - began < 1.5, "within a second, and half a second for a busy machine"


if __name__ == "__main__":
    address, certificate, scenario = sys.argv[1:]
    globals()[scenario](Client(address, certificate))
    print("done", flush=True)
