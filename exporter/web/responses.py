"""JSON bodies, and errors as application/problem+json (RFC 9457)."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from loguru import logger

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


CONTENT_TYPE = "application/problem+json"


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error answer; `detail` says what is wrong and what to do."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=CONTENT_TYPE, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a problem; a bug is logged and shows nothing of itself outside."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        kept = (hdrs.ALLOW, hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE)
        headers = {str(name): error.headers[name] for name in kept if name in error.headers}
        return problem(error.status, _detail(error, request), headers)
    except ConnectionError:  # the client closed the connection
        raise
    except Exception:  # noqa: BLE001 -- the border of the HTTP server: one bad answer, and the rest goes on
        logger.exception("{} {} failed", request.method, request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug of the exporter; its log says more")


def _detail(error: web.HTTPException, request: web.Request) -> str:
    """Our own sentence, or one for the errors that aiohttp raises."""
    match error:
        case web.HTTPMethodNotAllowed():
            return f"{request.method} does nothing here; allowed: {error.headers[hdrs.ALLOW]}"
        case web.HTTPNotFound() if _is_aiohttps(error):
            return f"there is no {request.path}"
        case web.HTTPRequestEntityTooLarge():
            return "the body is larger than anything that is of use here"
        case _:
            return (error.text or error.reason).strip()


def _is_aiohttps(error: web.HTTPException) -> bool:
    return error.text == f"{error.status}: {error.reason}"
