"""Who may do what: one middleware in front of every route.

Where users are set, nothing is open without a password. Else reading is, but for a browser that was led here under a
foreign name. What changes something needs the control token or a session that it opened; where no token is set, a peer
on this machine. docs/security.md says why.
"""

import hashlib
import hmac
import math
import secrets
import time

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from loguru import logger

from exporter.web.auth.credentials import Credentials
from exporter.web.auth.origin import foreign_name, has_local_name, is_loopback, require_local, require_same_origin
from exporter.web.auth.passwords import BasicAuth, Throttle, parse_basic_auth

LIFETIME = 12 * 3600.0
"""Seconds."""
MAX_SESSIONS = 1000
COOKIE = "llama_exporter_session"


class Sessions:
    """Random identifiers and when they expire (monotonic seconds). In memory only: a new start ends them all.

    What is kept is a digest: neither a dump of the memory nor the time of a look-up gives an identifier away.
    """

    def __init__(self) -> None:
        self._expiry: dict[bytes, float] = {}

    def open(self, now: float) -> str:
        """The identifier of a new session. The oldest goes when there are too many."""
        self._expiry = {digest: until for digest, until in self._expiry.items() if until > now}
        if len(self._expiry) >= MAX_SESSIONS:
            del self._expiry[next(iter(self._expiry))]
        identifier = secrets.token_urlsafe(32)
        self._expiry[_digest(identifier)] = now + LIFETIME
        return identifier

    def valid(self, identifier: str | None, now: float) -> bool:
        """Whether this session is open."""
        return identifier is not None and self._expiry.get(_digest(identifier), now) > now

    def close(self, identifier: str | None) -> None:
        """End this session, if it is one."""
        if identifier is not None:
            self._expiry.pop(_digest(identifier), None)

    def clear(self) -> None:
        """End all: the token that opened them is no longer the token."""
        self._expiry.clear()


def _digest(identifier: str) -> bytes:
    return hashlib.sha256(identifier.encode("utf-8", "surrogateescape")).digest()


SAFE_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD)
OPEN = ("/api/v1/login", "/api/v1/logout")
"""These change nothing but the caller's own session, and judge by themselves."""
API = "/api/"


class AccessControl:
    """Judges by what `credentials` say."""

    def __init__(self, credentials: Credentials) -> None:
        self._token = credentials.token
        self._passwords = BasicAuth(credentials.web.users)
        self.sessions = Sessions()
        self._throttle = Throttle()

    def change(self, credentials: Credentials) -> None:
        """Judge by other credentials from now on. Another token ends the sessions that the one before opened."""
        if credentials.token != self._token:
            self._token = credentials.token
            self.sessions.clear()
        self._passwords.users = credentials.web.users

    @property
    def has_token(self) -> bool:
        """Whether there is a token to ask for."""
        return self._token is not None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every method that is not safe changes something: no route has to remember to be guarded."""
        await self._require_user(request)
        if request.match_info.http_exception is None:
            if request.method not in SAFE_METHODS:
                require_same_origin(request)
                if request.path not in OPEN:
                    self._require_control(request)
            elif request.path.startswith(API):
                self._require_honest_name(request)
        return await handler(request)

    async def _require_user(self, request: web.Request) -> None:
        """Where there are users, everything needs one of their passwords; the control token opens as much."""
        if not self._passwords.users or self._is_known(request):
            return
        given = parse_basic_auth(request.headers.get(hdrs.AUTHORIZATION, ""))
        if given is not None:
            if self._passwords.remembers(*given):
                return
            self._require_patience(request)
            if await self._passwords.check(*given):
                self._throttle.succeeded(request.remote)
                return
            self._throttle.failed(request.remote, time.monotonic())
            logger.warning("a wrong user or password from {} for {}", request.remote, request.path)
        raise web.HTTPUnauthorized(
            text="a user and password are needed",
            headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="llama-server exporter", charset="UTF-8"'},
        )

    def _require_patience(self, request: web.Request) -> None:
        """Raise 429 after too many wrong tries of this peer."""
        if pause := math.ceil(self._throttle.pause(request.remote, time.monotonic())):
            raise web.HTTPTooManyRequests(
                text=f"too many wrong tries from {request.remote}: wait {pause} s",
                headers={hdrs.RETRY_AFTER: str(pause)},
            )

    def _require_control(self, request: web.Request) -> None:
        if not self.has_token:
            require_local(request)
        elif not self._is_known(request):
            raise web.HTTPUnauthorized(
                text="the control token is needed: Authorization: Bearer ..., or log in",
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
            )

    def _require_honest_name(self, request: web.Request) -> None:
        """On loopback the name must be local: what a page of another site can reach is mostly that."""
        if is_loopback(request.remote) and not has_local_name(request) and not self._is_known(request):
            raise foreign_name(request)

    def _is_known(self, request: web.Request) -> bool:
        """Does it bring a session or the token? Raise 401 for a wrong token and 429 for too many of them."""
        if self.sessions.valid(request.cookies.get(COOKIE), time.monotonic()):
            return True
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if not self.has_token or scheme.lower() != "bearer":
            return False
        self.require_token(request, given.strip())
        return True

    def require_token(self, request: web.Request, given: str) -> None:
        """Raise 401 unless this is the token, and 429, without a look at it, after too many wrong ones."""
        self._require_patience(request)
        expected = (self._token or "").encode()
        if expected and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected):
            self._throttle.succeeded(request.remote)
            return
        self._throttle.failed(request.remote, time.monotonic())
        logger.warning("a wrong control token from {} for {} {}", request.remote, request.method, request.path)
        raise web.HTTPUnauthorized(
            text="this is not the control token", headers={hdrs.WWW_AUTHENTICATE: 'Bearer error="invalid_token"'}
        )
