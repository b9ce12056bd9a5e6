"""Convert the plain values of YAML and the environment to the types that the schema declares."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

Plain = str | list[Any] | dict[str, Any] | None
"""A value of YAML or the environment; scalars are text, as written."""

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?")
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MAX_PORT = 65535


def duration(text: str) -> float:
    """Return the seconds of a duration like `500ms`, `10m`, `1h30m` or `1d`, or of a number of seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    elif re.fullmatch(f"(?:{DURATION.pattern})+", text):
        seconds = sum(float(number) * SECONDS[unit] for number, unit in DURATION.findall(text))
    else:
        raise ValueError(f"{text!r} is not a duration like 500ms, 5s, 10m, 2h")
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!r} must be greater than 0")
    return seconds


def size(text: str) -> int:
    """Return the bytes of a size like `64MiB`, `1GB` or `512k`, or of a number of bytes."""
    found = SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size like 64MiB, 1GB, 512k")
    power = " kMGT".index(found[2].replace("K", "k") or " ")
    bytes_ = int(float(found[1]) * (1024 if found[3] else 1000) ** power)
    if bytes_ <= 0:
        raise ValueError(f"{text!r} must be greater than 0")
    return bytes_


def integer(text: str) -> int:
    """Parse an integer."""
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise ValueError(f"{text!r} is not an integer")
    return int(text)


def count(text: str) -> int:
    """Parse an integer that is at least 1."""
    number = integer(text)
    if number < 1:
        raise ValueError(f"{text} must be at least 1")
    return number


def port(text: str) -> int:
    """Parse a TCP port."""
    number = integer(text)
    if not 1 <= number <= MAX_PORT:
        raise ValueError(f"{text} is not a port (1 to {MAX_PORT})")
    return number


def address(text: str) -> str:
    """Check an address like HOST:PORT, [IPV6]:PORT or :PORT; port 0 means any free port."""
    split_address(text)
    return text


def split_address(text: str) -> tuple[str, int]:
    """Return host ("" for all interfaces) and port of an address. Raise `ValueError` if it is not valid."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^\s:\[\]/]*)):(\d{1,5})", text)
    if found is None:
        raise ValueError(f"{text!r} is not HOST:PORT, like 127.0.0.1:9842 or [::1]:9842")
    number = int(found[3])
    if number > MAX_PORT:
        raise ValueError(f"{number} is not a port (0 to {MAX_PORT})")
    return found[1] or found[2] or "", number


def url(text: str) -> str:
    """Check the base URL of an HTTP server; return it without a slash at the end."""
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError if it is not a port
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{text!r} is not a base URL like http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise ValueError("a password does not belong in the URL; use server.api_key_file")
    return text.rstrip("/")


def link(text: str) -> str:
    """Check a URL for a browser."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(f"{text!r} is not a URL like https://grafana.example/dashboards")
    return text


def boolean(text: str) -> bool:
    """Parse a boolean."""
    value = BOOLEANS.get(text.lower())
    if value is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return value


def number(text: str) -> float:
    """Parse a finite number."""
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def buckets(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Check the upper bounds of a histogram's buckets: at least one, greater than 0, increasing."""
    if not bounds or bounds[0] <= 0 or any(later <= earlier for earlier, later in pairwise(bounds)):
        raise ValueError("must be a list of numbers greater than 0, each larger than the one before")
    return bounds


NAMED: dict[str, Callable[[str], Any]] = {
    "duration": duration,
    "size": size,
    "count": count,
    "port": port,
    "address": address,
    "url": url,
    "link": link,
    "path": str,
}
SCALARS: dict[Any, Callable[[str], Any]] = {str: str, bool: boolean, int: integer, float: number}


def convert(plain: Plain, kind: Any) -> Any:
    """Return `plain` as the type annotation `kind`. Raise `ValueError` with what was expected and what was found."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        (name,) = kind.__metadata__
        return buckets(convert(plain, arguments[0])) if name == "buckets" else NAMED[name](_text(plain))
    if origin is Literal:
        text = _text(plain)
        if text not in arguments:
            raise ValueError(f"{text!r} is not one of: {', '.join(arguments)}")
        return text
    if origin is tuple:
        if not isinstance(plain, list):
            raise ValueError(f"expected a list, found {_name(plain)}")
        return tuple(convert(item, arguments[0]) for item in plain)
    if origin is dict:
        if not isinstance(plain, dict):
            raise ValueError(f"expected a mapping, found {_name(plain)}")
        return {key: convert(value, arguments[1]) for key, value in plain.items()}
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return _convert_union(plain, [argument for argument in arguments if argument is not type(None)])
    return SCALARS[kind](_text(plain))


def _convert_union(plain: Plain, kinds: list[Any]) -> Any:
    problems = []
    for kind in kinds:
        try:
            return convert(plain, kind)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems))


def _text(plain: Plain) -> str:
    if not isinstance(plain, str):
        raise ValueError(f"expected a single value, found {_name(plain)}")  # noqa: TRY004 -- as above
    return plain


def _name(plain: Plain) -> str:
    match plain:
        case str():
            return repr(plain)
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "an empty value"
