"""Who may change something: a program or person on this machine, and no page of another site in their browser."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def require_local(request: web.Request) -> None:
    """Raise 403 unless the peer is on loopback, names this machine, and is not sent by another site.

    The `Host` check closes DNS rebinding: a foreign name that resolves to 127.0.0.1 is still a foreign name.
    """
    if not _is_loopback(request.remote):
        raise web.HTTPForbidden(text="only allowed from this machine\n")
    if urlsplit(f"//{request.host}").hostname not in LOCAL_NAMES:
        raise web.HTTPForbidden(text=f"Host {request.host!r} is not a name of this machine\n")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        raise web.HTTPForbidden(text="not allowed from another site\n")


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False
