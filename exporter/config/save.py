"""Save the section `server` to the configuration file: checked with the code that loads it, and replaced atomically."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from exporter.config import KEYS, Config, ConfigError, ConfigErrors, Loaded
from exporter.config.document import parse_value, read
from exporter.config.edit import CannotEditError, change_section, flow
from exporter.config.secrets import hide_args, reveal_args, reveal_env
from exporter.config.values import Plain, convert

NAME = "server"
FIXED = frozenset({"binary", "command", "cwd", "api_key_file", "attach"})
"""Keys that the API may not change: they decide which program runs and what it reads. A stolen token must not."""
ARGUMENT_VARIABLE = "LLAMA_ARG_"
"""Prefix of llama-server's own variables. The API may not change others, which could load code (LD_PRELOAD)."""
_NAMES = [key.split(".")[1:] for key in KEYS if key.startswith(f"{NAME}.")]
EDITABLE = frozenset(name for name, *_ in _NAMES) - FIXED
NESTED = frozenset(name for name, *rest in _NAMES if rest)


class ForbiddenError(Exception):
    """A change that is not allowed through the API."""


def save_server(
    file: Path, wanted: dict[str, Any], current: Config, load: Callable[[Path], Loaded], *, only_check: bool = False
) -> Loaded:
    """Save `wanted` as the section `server` of `file`, or `only_check` it. Return the settings that a reload loads.

    Settings that are not in `wanted` return to their defaults, except `FIXED` keys. A setting that is not in the file
    and whose value in `current` is already as wanted is not added.

    Raises: `ConfigErrors`, `ForbiddenError`, `CannotEditError`, `OSError`; the file is then unchanged.
    """
    old = read(file, frozenset())
    in_file = old.values.get(NAME)
    in_file = in_file if isinstance(in_file, dict) else {}
    try:
        wanted = _checked(wanted, in_file, current)
    except ValueError as error:
        raise ConfigErrors([ConfigError("", NAME, str(error))]) from None
    kept = {key for key in in_file if key in FIXED or (key in wanted and _same(key, in_file[key], wanted[key]))}
    in_force = _section(current)
    new = {
        key: value
        for key, value in wanted.items()
        if key not in kept and (key in in_file or value != in_force.get(key, ...))
    }
    target = file.resolve()
    text = target.read_bytes().decode("utf-8")
    try:
        text = change_section(text, NAME, new, frozenset(kept))
    except yaml.YAMLError as error:
        raise CannotEditError(str(error)) from None
    expected: dict[str, Plain] = {key: in_file[key] for key in kept} | {key: parse_value(flow(new[key])) for key in new}
    with _Replacement(target, text) as replacement:
        changed = read(replacement.path, frozenset())
        _check_rest(old.values, changed.values, expected)
        try:
            loaded = load(replacement.path)
        except ConfigErrors as errors:
            raise ConfigErrors(
                error._replace(where=error.where.replace(str(replacement.path), str(file))) for error in errors.errors
            ) from None
        if not only_check:
            replacement.commit()
        return loaded


def _checked(wanted: Mapping[str, Any], in_file: Mapping[str, Any], current: Config) -> dict[str, Any]:
    """Return `wanted` without `FIXED` keys and with secrets restored. Raise `ForbiddenError` or `ValueError`."""
    in_force = _section(current)
    for key in FIXED.intersection(wanted):
        if wanted[key] not in (None, in_force[key], hide_args(in_force[key]) if key == "command" else None):
            raise ForbiddenError(
                f"server.{key} can only be changed in the file: it decides which program runs and what it reads"
            )
    checked = {key: value for key, value in wanted.items() if key not in FIXED and value is not None}
    for key in NESTED.intersection(checked):
        if isinstance(checked[key], dict):
            own = in_file.get(key) or {}
            checked[key] = {n: v for n, v in checked[key].items() if n in own or v != in_force[key].get(n, ...)}
            if not checked[key]:
                del checked[key]
    if isinstance(args := checked.get("args"), list):
        checked["args"] = reveal_args(args, current.live.server.args)
    env = checked.get("env", {})
    if isinstance(env, dict):
        env = reveal_env(env, current.live.server.env)
        own = in_file.get("env") or current.live.server.env
        others = {name: value for name, value in own.items() if not name.startswith(ARGUMENT_VARIABLE)}
        given = {name: value for name, value in env.items() if not name.startswith(ARGUMENT_VARIABLE)}
        if given and given != others:
            raise ForbiddenError(f"only {ARGUMENT_VARIABLE}* of server.env can be changed through the API, not others")
        if env or others:
            checked["env"] = env | others
    return checked


def _section(config: Config) -> dict[str, Any]:
    """Return the section as users see it: plain values by key."""
    section: dict[str, Any] = msgspec.to_builtins(config.start.server) | msgspec.to_builtins(config.live.server)
    return section


def _same(key: str, in_file: Plain, wanted: Any) -> bool:
    """Return whether the value in the file means the same as `wanted`."""
    plain = parse_value(flow(wanted))
    if isinstance(in_file, dict) and isinstance(plain, dict) and f"{NAME}.{key}" not in KEYS:
        return in_file.keys() == plain.keys() and all(
            _same(f"{key}.{name}", in_file[name], wanted[name]) for name in in_file
        )
    kind = KEYS.get(f"{NAME}.{key}")
    try:
        return kind is not None and bool(convert(in_file, kind) == convert(plain, kind))
    except ValueError:
        return False


def _check_rest(before: Mapping[str, Plain], after: Mapping[str, Plain], expected: Mapping[str, Plain]) -> None:
    """Raise `CannotEditError` unless the section is as expected and all others are unchanged."""
    others_before = {key: value for key, value in before.items() if key != NAME}
    others_after = {key: value for key, value in after.items() if key != NAME}
    if others_before != others_after or (after[NAME] or {}) != expected:
        raise CannotEditError(f"its YAML does not allow changing only the section {NAME}")


class _Replacement:
    """A temporary file next to `target` with the new content: `commit` replaces `target` with it, exit removes it."""

    def __init__(self, target: Path, text: str) -> None:
        self._target = target
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        self.path = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            os.fchmod(handle, target.stat().st_mode & 0o7777)
            file.flush()
            os.fsync(handle)

    def __enter__(self) -> Self:
        return self

    def commit(self) -> None:
        """Replace the target atomically."""
        self.path.replace(self._target)

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
