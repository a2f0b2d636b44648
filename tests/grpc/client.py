"""grpcio's own client. Called with an address, the file of the certificate that it must show, and what to do there."""

import json
import queue
import sys
import time

import grpc

PATIENCE = 20


class Client:
    def __init__(self, address, certificate):
        with open(certificate, "rb") as file:
            credentials = grpc.ssl_channel_credentials(root_certificates=file.read())
        options = (("grpc.ssl_target_name_override", "localhost"), ("grpc.max_receive_message_length", -1))
        self.channel = grpc.secure_channel(f"ipv4:{address}", credentials, options=options)
        self.cookies = ()

    def __getattr__(self, kind):
        """`client.unary_unary("Echo")`: called with a message, or an iterator of them."""
        make = getattr(self.channel, kind)

        def method(name):
            call = make(f"/test.Service/{name}")
            return call

        return method

    def unary(self, name, message=b"", metadata=()):
        call = self.channel.unary_unary(f"/test.Service/{name}")
        answer, call = call.with_call(message, metadata=self.cookies + tuple(metadata), timeout=PATIENCE)
        return answer, dict(call.initial_metadata()), dict(call.trailing_metadata())

    def told(self, metadata=()):
        return json.loads(self.unary("WhoAmI", metadata=metadata)[0])

    def login(self, user):
        answer, initial, trailing = self.unary("Login", user.encode())
        assert answer == b"welcome", answer
        assert "x-session-user" not in initial and "x-session-user" not in trailing, (initial, trailing)
        assert trailing["own"] == "1", trailing
        self.cookies = (("cookie", initial["set-cookie"].split(";")[0]),)


def error_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call should have failed")


def unary(client):
    for size in (0, 1, 100, 3_000_000):
        message = bytes(size % 251 for size in range(size))
        assert client.unary("Echo", message)[0] == message, size
    told = client.told(metadata=(("own", "value"), ("blob-bin", b"\x00\xff"), ("te", "gzip")))
    assert told["own"] == ["value"] and told["blob-bin"] == ["00ff"], told
    assert told["x-forwarded-proto"] == ["https"], told


def identity(client):
    forged = (("x-session-user", "mallory"), ("x_session_user", "mallory"))
    told = client.told(metadata=forged)
    assert "x-session-id" in told and not any("session" in name and "user" in name for name in told), told
    client.login("alice")
    told = client.told(metadata=forged)
    assert told["x-session-user"] == ["alice"] and "x_session_user" not in told, told
    # Our cookie is nobody's business.
    assert "cookie" not in told, told


def failure(client):
    error = error_of(lambda: client.unary("Fail", "what was wrong: ü %".encode()))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "what was wrong: ü %", error
    error = error_of(lambda: client.unary("NoSuchMethod"))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def streaming(client):
    counted = list(client.channel.unary_stream("/test.Service/Count")(b"1000", timeout=PATIENCE))
    assert counted == [str(number).encode() for number in range(1000)]
    total = client.channel.stream_unary("/test.Service/Total")
    messages = (bytes(size) for size in (0, 1, 1_000_000, 10, 3_000_000))
    assert total(messages, timeout=PATIENCE) == b"4000011"
    assert total(iter(()), timeout=PATIENCE) == b"0"


def chat(client):
    """The answer's head and its messages come while the request goes on."""
    said = queue.SimpleQueue()
    answers = client.channel.stream_stream("/test.Service/Chat")(iter(said.get, None), timeout=PATIENCE)
    for number in range(100):
        message = str(number).encode() * 1000
        said.put(message)
        assert next(answers) == b"you said " + message, number
    said.put(None)
    assert list(answers) == [] and answers.code() == grpc.StatusCode.OK


def deadline(client):
    call = client.channel.unary_unary("/test.Service/Sleep")
    error = error_of(lambda: call(b"", timeout=0.5))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


def cancellation(client):
    ticks = client.channel.unary_stream("/test.Service/Ticks")(b"", timeout=PATIENCE)
    assert next(ticks) == b"tick"
    ticks.cancel()
    error = error_of(lambda: list(ticks))
    assert error.code() == grpc.StatusCode.CANCELLED, error


def refused(client):
    error = error_of(lambda: client.unary("Echo"))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error


def ended(client, request):
    """Listens until the session has ended, of which others see to it once this has said that it listens."""
    client.login("alice")
    ticks = client.channel.unary_stream("/test.Service/Ticks")(request, metadata=client.cookies, timeout=PATIENCE)
    if request != b"silence":
        assert next(ticks) == b"tick"
    print("listening", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    error = error_of(lambda: list(ticks))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
    assert time.monotonic() - began < 1.5, "within a second, and half a second for a busy machine"
    told = client.told()
    assert "x-session-user" not in told, told


def revoked(client):
    ended(client, b"")


def revoked_in_silence(client):
    ended(client, b"silence")


if __name__ == "__main__":
    address, certificate, scenario = sys.argv[1:]
    globals()[scenario](Client(address, certificate))
    print("done", flush=True)
