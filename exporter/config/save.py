"""Save another section `server` to the configuration file: checked by the code that loads it, and all or nothing."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from exporter.config import KINDS, Config, ConfigError, ConfigErrors, Loaded
from exporter.config.document import Entry, parse_value, read
from exporter.config.edit import CannotEditError, change_section, flow
from exporter.config.secrets import hide_args, reveal_args, reveal_env
from exporter.config.values import Plain, convert

NAME = "server"
FIXED = frozenset({"binary", "command", "cwd", "api_key_file", "attach"})
"""Which program runs, and which files it gets, is decided by who may write the file: a stolen token runs no program."""
ARGUMENT_VARIABLE = "LLAMA_ARG_"
"""Variables of this prefix are llama-server's arguments; others could make it load foreign code (LD_PRELOAD)."""
KEYS = [key.split(".")[1:] for key in KINDS if key.startswith(f"{NAME}.")]
EDITABLE = frozenset(name for name, *_ in KEYS) - FIXED
NESTED = frozenset(name for name, *rest in KEYS if rest)


class ForbiddenError(Exception):
    """A change that the API may not make."""


def save_server(
    file: Path, wanted: dict[str, Any], current: Config, load: Callable[[Path], Loaded], *, only_check: bool = False
) -> Loaded:
    """Make `wanted` the section of `file`, or `only_check` that; the configuration that comes of it.

    What is not in `wanted` goes back to its default, but for `FIXED` keys.

    A setting that the file does not have, and that is in force as wanted already, stays out of it. Raise `ConfigErrors`
    for bad settings, `ForbiddenError`, `CannotEditError`, or `OSError`; the file is then as it was.
    """
    old = read(file, frozenset())
    there = old.entries.get(NAME, Entry(None, 0)).value
    there = there if isinstance(there, dict) else {}
    try:
        wanted = _checked(wanted, there, current)
    except ValueError as error:
        raise ConfigErrors([ConfigError("", NAME, str(error))]) from None
    kept = {key for key in there if key in FIXED or (key in wanted and _same(key, there[key], wanted[key]))}
    in_force = _section(current)
    new = {
        key: value
        for key, value in wanted.items()
        if key not in kept and (key in there or value != in_force.get(key, ...))
    }
    target = file.resolve()
    text = target.read_bytes().decode("utf-8")
    try:
        text = change_section(text, NAME, new, frozenset(kept))
    except yaml.YAMLError as error:
        raise CannotEditError(str(error)) from None
    expected: dict[str, Plain] = {key: there[key] for key in kept} | {key: parse_value(flow(new[key])) for key in new}
    with _Replacement(target, text) as replacement:
        changed = read(replacement.path, frozenset())
        _check_rest(old.entries, changed.entries, expected)
        try:
            loaded = load(replacement.path)
        except ConfigErrors as errors:
            raise ConfigErrors(
                error._replace(where=error.where.replace(str(replacement.path), str(file))) for error in errors.errors
            ) from None
        if not only_check:
            replacement.commit()
        return loaded


def _checked(wanted: Mapping[str, Any], there: Mapping[str, Any], current: Config) -> dict[str, Any]:
    """What is wanted without what stays as it is, its secrets filled in. Raise `ForbiddenError` or `ValueError`."""
    in_force = _section(current)
    for key in FIXED.intersection(wanted):
        if wanted[key] not in (None, in_force[key], hide_args(in_force[key]) if key == "command" else None):
            raise ForbiddenError(
                f"server.{key} can only be changed in the file itself: it decides what runs and what it may read"
            )
    checked = {key: value for key, value in wanted.items() if key not in FIXED and value is not None}
    for key in NESTED.intersection(checked):
        if isinstance(checked[key], dict):
            own = there.get(key) or {}
            checked[key] = {n: v for n, v in checked[key].items() if n in own or v != in_force[key].get(n, ...)}
            if not checked[key]:
                del checked[key]
    if isinstance(args := checked.get("args"), list):
        checked["args"] = reveal_args(args, current.live.server.args)
    env = checked.get("env", {})
    if isinstance(env, dict):
        env = reveal_env(env, current.live.server.env)
        own = there.get("env") or current.live.server.env
        others = {name: value for name, value in own.items() if not name.startswith(ARGUMENT_VARIABLE)}
        given = {name: value for name, value in env.items() if not name.startswith(ARGUMENT_VARIABLE)}
        if given and given != others:
            raise ForbiddenError(f"of server.env only {ARGUMENT_VARIABLE}* can be changed here, the rest in the file")
        if env or others:
            checked["env"] = env | others
    return checked


def _section(config: Config) -> dict[str, Any]:
    """Return the section as users see it: plain values by key."""
    section: dict[str, Any] = msgspec.to_builtins(config.start.server) | msgspec.to_builtins(config.live.server)
    return section


def _same(key: str, there: Plain, wanted: Any) -> bool:
    """Whether the text that is in the file means what is wanted."""
    plain = parse_value(flow(wanted))
    if isinstance(there, dict) and isinstance(plain, dict) and f"{NAME}.{key}" not in KINDS:
        return there.keys() == plain.keys() and all(_same(f"{key}.{name}", there[name], wanted[name]) for name in there)
    kind = KINDS.get(f"{NAME}.{key}")
    try:
        return kind is not None and bool(convert(there, kind) == convert(plain, kind))
    except ValueError:
        return False


def _check_rest(before: Mapping[str, Entry], after: Mapping[str, Entry], expected: Mapping[str, Plain]) -> None:
    """Raise `CannotEditError` unless the change did what it should and nothing else."""
    others_before = {key: entry.value for key, entry in before.items() if key != NAME}
    others_after = {key: entry.value for key, entry in after.items() if key != NAME}
    if others_before != others_after or (after[NAME].value or {}) != expected:
        raise CannotEditError("the way in which it is written does not allow a change of this section alone")


class _Replacement:
    """A file beside `target` with the new content, which takes its place at `commit` and is gone otherwise."""

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
        """Take the target's place: a reader sees the whole old or the whole new file."""
        self.path.replace(self._target)

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
