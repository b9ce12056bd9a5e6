"""`GET /`: the page, and what it is made of. Everything comes from here, so that it works without another host."""

import hashlib
from importlib.resources import files
from pathlib import PurePath
from typing import NamedTuple

from aiohttp import hdrs, web

FOLDER = "static"
INDEX = "index.html"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".md": "text/plain",
    ".svg": "image/svg+xml",
    ".yaml": "text/plain",
}
"""Not those of the machine, which may call scripts something that `nosniff` keeps from running."""


class _File(NamedTuple):
    body: bytes
    content_type: str
    tag: str


class PageHandler:
    """Serves the files of the package's folder `static`, and no other."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        for entry in files("exporter.web").joinpath(FOLDER).iterdir():
            body = entry.read_bytes()
            content_type = TYPES[PurePath(entry.name).suffix]
            self._files[entry.name] = _File(body, content_type, hashlib.sha256(body).hexdigest()[:16])

    async def page(self, request: web.Request) -> web.Response:
        """The page itself."""
        return self._answer(request, self._files[INDEX])

    async def part(self, request: web.Request) -> web.Response:
        """A script or style of it."""
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        return self._answer(request, file)

    @staticmethod
    def _answer(request: web.Request, file: _File) -> web.Response:
        """The file, or 304 for a browser that has it: after an upgrade nobody sees old scripts."""
        known = any(tag.value in (file.tag, "*") for tag in request.if_none_match or ())
        response = web.Response(status=304) if known else web.Response(body=file.body, content_type=file.content_type)
        if not known and file.content_type.startswith("text/"):
            response.charset = "utf-8"
        response.etag = file.tag
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"
        return response
