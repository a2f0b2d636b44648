"""A WebSocket server, of `websockets`, that knows nothing of the gateway."""

import asyncio
import http

from websockets.asyncio.server import serve


def respond(connection, request):
    """What is no WebSocket: a page to open one from, a login and a logout."""
    path = request.path.split("?")[0]
    changes = {"/": (), "/login": ("X-Session-User", "alice"), "/logout": ("X-Session-End", "this")}
    if path in changes:
        response = connection.respond(http.HTTPStatus.OK, "a page")
        if changes[path]:
            response.headers[changes[path][0]] = changes[path][1]
        return response
    if path == "/refuse":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "no")
    return None


async def converse(connection):
    path, _, query = connection.request.path.partition("?")
    if path == "/whoami":
        await connection.send(connection.request.headers.get("X-Session-User", "nobody"))
    if path == "/via":
        await connection.send(connection.request.headers["Via"])
    if path == "/close":
        await connection.close(int(query), "as you like")
    if path == "/ping":
        await asyncio.wait_for(await connection.ping(), 20)
        await connection.send("pong has come")
    async for message in connection:
        await connection.send(message)


async def handler(connection):
    try:
        await converse(connection)
    finally:
        await connection.wait_closed()
        print(f"closed by {connection.close_code} {connection.close_reason}", flush=True)


def chat(connection, offered):
    return "chat" if "chat" in offered else None


async def main():
    options = {"process_request": respond, "select_subprotocol": chat, "max_size": None, "ping_interval": None}
    server = await serve(handler, "127.0.0.1", 0, **options)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
