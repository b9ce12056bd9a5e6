"""Headers of every answer, which keep a browser from doing with it what it is not for."""

from collections.abc import Mapping

from aiohttp import web

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
API = "/api/"


class Headers:
    """`configured` come last: those of the file web.config_file count more than ours."""

    def __init__(self, configured: Mapping[str, str]) -> None:
        self.configured = configured

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add them to an answer that is about to go out."""
        response.headers.update(SECURITY)
        if request.path.startswith(API):
            response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(self.configured)
