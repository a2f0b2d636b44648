"""The client of `websockets`. Called with an address, the file of the certificate that it must show, and what to do there.

Its asyncio client: the one of threads reads and writes a TLS connection from two threads at once, which Python's ssl does not
bear. Under load it then takes a connection for ended that nobody has closed.
"""

import asyncio
import http.client
import socket
import ssl
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE = 20


class Client:
    def __init__(self, address, certificate):
        self.host, port = address.split(":")
        self.port = int(port)
        self.tls = ssl.create_default_context(cafile=certificate)
        self.cookie = None

    def open(self, path, **options):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        uri = f"wss://localhost:{self.port}{path}"
        options = {"max_size": None, "ping_interval": None, "additional_headers": headers, **options}
        return connect(uri, host=self.host, ssl=self.tls, open_timeout=PATIENCE, **options)

    def login(self):
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=PATIENCE)
        connection.sock = self.tls.wrap_socket(
            socket.create_connection((self.host, self.port), PATIENCE), server_hostname="localhost"
        )
        connection.request("GET", "/login")
        self.cookie = connection.getresponse().getheader("Set-Cookie").split(";")[0]


async def next_of(websocket):
    """The next message."""
    return await asyncio.wait_for(websocket.recv(), PATIENCE)


async def closed(websocket):
    """The close frame by which this ends."""
    try:
        await next_of(websocket)
    except ConnectionClosed as error:
        return error.rcvd.code, error.rcvd.reason
    raise AssertionError("a message instead of an end")


async def messages(client):
    for compression in ("deflate", None):
        async with client.open("/echo", compression=compression) as websocket:
            extensions = [type(extension).__name__ for extension in websocket.protocol.extensions]
            assert extensions == (["PerMessageDeflate"] if compression else []), extensions
            for message in ("", "text", "söme töxt \U0001f35e", b"", b"\x00\xff", "x" * 3_000_000, bytes(3_000_000)):
                await websocket.send(message)
                assert await next_of(websocket) == message, len(message)
            await websocket.send(["one ", "mess", "age"])
            assert await next_of(websocket) == "one message"


async def pings(client):
    async with client.open("/ping") as websocket:
        assert await next_of(websocket) == "pong has come"
        await asyncio.wait_for(await websocket.ping(b"payload"), PATIENCE)


async def closes(client):
    for code in (1000, 1001, 4001):
        async with client.open(f"/close?{code}") as websocket:
            assert await closed(websocket) == (code, "as you like")
    websocket = await client.open("/echo")
    await websocket.close(4002, "I have to go")


async def subprotocols(client):
    async with client.open("/echo", subprotocols=["other", "chat"]) as websocket:
        assert websocket.subprotocol == "chat"


async def refusal(client):
    try:
        await client.open("/refuse")
    except InvalidStatus as error:
        assert error.response.status_code == 403, error
    else:
        raise AssertionError("it should have been refused")


async def revoked(client):
    """Listens until the session has ended, of which others see to it once this has said that it listens."""
    async with client.open("/whoami") as websocket:
        assert await next_of(websocket) == "nobody"
    client.login()
    async with client.open("/whoami") as websocket:
        assert await next_of(websocket) == "alice"
        print("listening", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.monotonic()
        assert await closed(websocket) == (1008, "the session has ended")
        assert time.monotonic() - began < 1.5, "within a second, and half a second for a busy machine"


if __name__ == "__main__":
    address, certificate, scenario = sys.argv[1:]
    asyncio.run(globals()[scenario](Client(address, certificate)))
    print("done", flush=True)
