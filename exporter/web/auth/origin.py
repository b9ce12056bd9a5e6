"""Where a request comes from: this machine or another, a page of ours or of another site."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
SAME_SITE = ("same-origin", "none")
"""`Sec-Fetch-Site` of a request by a page of ours, or by the user's own hand (W3C Fetch Metadata)."""


def require_same_origin(request: web.Request) -> None:
    """Raise 403 for a browser that acts for a page of another site. Programs send neither of these headers."""
    origin = request.headers.get(hdrs.ORIGIN)
    # Without the scheme: behind a proxy that ends TLS it is not what the browser sees.
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="not allowed from another site")
    if request.headers.get("Sec-Fetch-Site", "none") not in SAME_SITE:
        raise web.HTTPForbidden(text="not allowed from another site")


def require_local(request: web.Request) -> None:
    """Raise 403 unless the peer is on this machine and means this machine."""
    if not is_loopback(request.remote):
        raise web.HTTPForbidden(
            text="only allowed from the exporter's own machine; for others set web.control_token_file"
        )
    if any(name in request.headers for name in FORWARDED):
        raise web.HTTPForbidden(
            text="this came through a proxy, which makes everybody local; set web.control_token_file"
        )
    if not has_local_name(request):
        raise foreign_name(request)


def has_local_name(request: web.Request) -> bool:
    """Whether `Host` is a name of this machine.

    This closes DNS rebinding: a foreign name that suddenly resolves to 127.0.0.1 is still a foreign name.
    """
    try:
        return urlsplit(f"//{request.host}").hostname in LOCAL_NAMES
    except ValueError:  # an address in brackets that is none
        return False


def foreign_name(request: web.Request) -> web.HTTPForbidden:
    """The refusal of such a request."""
    return web.HTTPForbidden(text=f"Host {request.host!r} is not a name of this machine; use localhost, or log in")


def is_loopback(remote: str | None) -> bool:
    """Whether a peer with this address is on this machine."""
    try:
        address = ip_address(remote or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
