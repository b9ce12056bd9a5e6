"""The JSON body of a request."""

import asyncio
from typing import Any, TypeVar

import msgspec
from aiohttp import web

Body = TypeVar("Body")
MAX_BODY = 256 * 1024
"""Bytes; a configuration is far below."""
TIMEOUT = 10.0
"""Seconds in which a body has to arrive."""


async def read_json(request: web.Request, kind: type[Body]) -> Body:
    """The body as `kind`. Raise the right HTTP error when it is none, too large or too slow."""
    if request.content_type != "application/json":
        # Also a lock: a page of another site cannot send this type without asking first.
        raise web.HTTPUnsupportedMediaType(text="send JSON, with Content-Type: application/json")
    try:
        async with asyncio.timeout(TIMEOUT):
            data = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not arrive within {TIMEOUT:.0f} s") from None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body is not what is expected: {error}") from None


def json_response(value: Any, status: int = 200) -> web.Response:
    """`value` as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
