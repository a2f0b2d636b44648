"""A gRPC server that knows nothing of the gateway. Messages are bytes; no code is generated."""

import json
import time
from concurrent import futures

import grpc


def metadata(context):
    """What the server was told, each value of a name in order."""
    told = {}
    for name, value in context.invocation_metadata():
        told.setdefault(name, []).append(value if isinstance(value, str) else value.hex())
    return told


def whoami(request, context):
    return json.dumps(metadata(context)).encode()


def login(request, context):
    """Logs the caller in under the name that the message is."""
    context.send_initial_metadata((("x-session-user", request.decode()),))
    # Counts for nothing: trailers have no say in sessions.
    context.set_trailing_metadata((("x-session-user", "mallory"), ("own", "1")))
    return b"welcome"


def echo(request, context):
    return request


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())


def sleep(request, context):
    """As long as the caller waits; then the reason why it does not any more is printed."""
    ended = []
    context.add_callback(lambda: ended.append(True))
    while not ended:
        time.sleep(0.01)
    print("sleep was cancelled", flush=True)
    return b""


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def chat(requests, context):
    """Answers each message before the next one comes."""
    for request in requests:
        yield b"you said " + request


def ticks(request, context):
    """One message, and then as long as the caller listens one every 50 ms; none at all where it asks for silence."""
    while context.is_active():
        if request != b"silence":
            yield b"tick"
        time.sleep(0.05)
    print("ticks has ended", flush=True)


class Handlers(grpc.GenericRpcHandler):
    unary = {"WhoAmI": whoami, "Login": login, "Echo": echo, "Fail": fail, "Sleep": sleep}
    downs = {"Count": count, "Ticks": ticks}
    ups = {"Total": total}
    both = {"Chat": chat}

    def service(self, call):
        name = call.method.removeprefix("/test.Service/")
        for methods, handler in (
            (self.unary, grpc.unary_unary_rpc_method_handler),
            (self.downs, grpc.unary_stream_rpc_method_handler),
            (self.ups, grpc.stream_unary_rpc_method_handler),
            (self.both, grpc.stream_stream_rpc_method_handler),
        ):
            if name in methods:
                return handler(methods[name])
        return None


server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
server.add_generic_rpc_handlers((Handlers(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"listening on h2c://127.0.0.1:{port}", flush=True)
server.wait_for_termination()
