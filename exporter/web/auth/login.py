"""`POST /api/v1/login` and `logout`: a browser gives the token once, and gets a cookie that no script can read."""

import time
from http import HTTPStatus

import msgspec
from aiohttp import web
from loguru import logger

from exporter.web.auth.access import COOKIE, LIFETIME, AccessControl
from exporter.web.responses import read_json


class Login(msgspec.Struct):
    """The body of `login`."""

    token: str


class LoginHandler:
    """Opens and closes sessions of `access`."""

    def __init__(self, access: AccessControl) -> None:
        self._access = access

    async def login(self, request: web.Request) -> web.Response:
        """Exchange the token for a session: 204 with its cookie. 409 where no token is set."""
        if not self._access.has_token:
            raise web.HTTPConflict(text="no token is set (web.control_token_file): this machine needs none")
        self._access.require_token(request, (await read_json(request, Login)).token)
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.set_cookie(
            COOKIE,
            self._access.sessions.open(time.monotonic()),
            max_age=int(LIFETIME),
            path="/",
            secure=request.secure,
            httponly=True,
            samesite="Strict",
        )
        logger.info("login from {}", request.remote)
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """End the session of this browser, if it has one: 204."""
        self._access.sessions.close(request.cookies.get(COOKIE))
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(COOKIE, path="/", secure=request.secure, httponly=True, samesite="Strict")
        return response
