"""`GET /api/v1/config`: the settings in force and their origins. `PUT /api/v1/config/server`: change the file."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from aiohttp import web
from loguru import logger

from exporter.config import KEYS, START_KEYS, Config, ConfigErrors, ConfigSource, Loaded, differences
from exporter.config.edit import CannotEditError
from exporter.config.save import EDITABLE, ForbiddenError, save_server
from exporter.config.schema import Duration, Size
from exporter.config.secrets import hide_args, hide_env
from exporter.reload import PROCESS_KEYS, Reloader, needs_new_process
from exporter.web.responses import json_response, read_json

Needed = Literal["none", "llama-server", "exporter"]
"""What must be restarted to apply a change; a reload restarts llama-server itself."""
UNITS = {Duration: "seconds", Size: "bytes"}
"""Units of the values in responses."""


class ConfigHandler:
    """Returns the settings in force, `reloader.current`, and changes the file of `source`."""

    def __init__(self, source: ConfigSource, reloader: Reloader) -> None:
        self._source = source
        self._reloader = reloader
        self._saving = asyncio.Lock()

    async def get(self, _: web.Request) -> web.Response:
        """Return every setting by dotted key: its value with secrets hidden, its origin, what a change restarts.

        A setting whose value in the file differs also has `saved`. A reload applies it, or a restart of the exporter
        if the setting is in `START_KEYS`.
        """
        current, origins = self._reloader.current, self._reloader.origins
        try:
            saved, errors = (await asyncio.to_thread(self._source)).config, None
        except ConfigErrors as found:
            saved, errors = current, str(found)
        settings: dict[str, dict[str, object]] = {}
        for key, kind in KEYS.items():
            settings[key] = {
                "value": shown(key, current),
                "origin": origins[key],
                "restart": needed_by(key),
                "editable": key.startswith("server.") and key.split(".")[1] in EDITABLE,
            }
            if saved.value(key) != current.value(key):
                settings[key]["saved"] = shown(key, saved)
            if unit := UNITS.get(kind):
                settings[key]["unit"] = unit
            if get_origin(kind) is Literal:
                settings[key]["choices"] = get_args(kind)
        file = None if self._source.file is None else str(self._source.file)
        return json_response({"file": file, "errors": errors, "settings": settings})

    async def put(self, request: web.Request) -> web.Response:
        """Replace the section `server` of the file; a reload applies it.

        With `check=true`, return the same response and leave the file unchanged.
        """
        check = request.query.get("check", "false")
        if check not in ("true", "false"):
            raise web.HTTPBadRequest(text="check must be true or false")
        wanted = await read_json(request, dict[str, Any])
        if self._source.file is None:
            raise web.HTTPConflict(
                text="the exporter was started without --config.file, so there is no file to save to"
            )
        async with self._saving:
            loaded = await asyncio.to_thread(self._save, self._source.file, wanted, only_check=check == "true")
        if check == "false":
            logger.info("section server of {} changed by {}", self._source.file, request.remote)
        return json_response(
            {
                "file": str(self._source.file),
                "changed": differences(self._reloader.current, loaded.config),
                "overridden": overridden(wanted, loaded),
                "restart": needed(self._reloader.current, loaded.config),
            }
        )

    def _save(self, file: Path, wanted: dict[str, Any], *, only_check: bool) -> Loaded:
        """Save and return the settings that a reload loads. Raise the HTTP error with the reason."""
        try:
            current, load = self._reloader.current, self._source.with_file
            return save_server(file, wanted, current, load, only_check=only_check)
        except ForbiddenError as error:
            raise web.HTTPForbidden(text=str(error)) from None
        except ConfigErrors as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        except CannotEditError as error:
            raise web.HTTPConflict(text=f"edit {file} by hand: {error}") from None
        except OSError as error:
            raise web.HTTPConflict(text=f"{file} cannot be saved: {error.strerror}") from None


def shown(key: str, config: Config) -> object:
    """Return the value of a setting as plain data with secrets hidden."""
    plain = msgspec.to_builtins(config.value(key))
    if key in ("server.args", "server.command") and plain is not None:
        return hide_args(plain)
    return hide_env(plain) if key == "server.env" else plain


def needed(current: Config, saved: Config) -> Needed:
    """Return what must be restarted: `llama-server` if a reload restarts it, also if the exporter must be restarted."""
    if current.start.server.attach is None and needs_new_process(current.live, saved.live):
        return "llama-server"
    return "none" if current.start == saved.start else "exporter"


def needed_by(key: str) -> Needed:
    """Return what must be restarted to apply a change of one setting."""
    if key in START_KEYS:
        return "exporter"
    return "llama-server" if key in PROCESS_KEYS else "none"


def overridden(wanted: Mapping[str, Any], loaded: Loaded) -> dict[str, str]:
    """Return the saved keys that have no effect because the environment or a flag overrides them, with which."""
    return {
        key: origin
        for key, origin in loaded.origins.items()
        if origin in ("environment", "flag") and key.startswith("server.") and key.split(".")[1] in wanted
    }


class ReloadHandler:
    """Reloads the configuration: 200, or 400 with all errors and the settings unchanged."""

    def __init__(self, reload: Callable[[], ConfigErrors | None]) -> None:
        self._reload = reload

    async def post(self, _: web.Request) -> web.Response:
        """Reload."""
        errors = self._reload()
        if errors is not None:
            raise web.HTTPBadRequest(text=str(errors))
        return web.Response(text="configuration reloaded\n")
