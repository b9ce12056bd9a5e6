"""Texts, lists and mappings of a configuration to values of the types that the tree declares."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

Plain = str | list[Any] | dict[str, Any] | None
"""What YAML and the environment give: scalars as the text that was written."""

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?")
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MAX_PORT = 65535


def duration(text: str) -> float:
    """Seconds of `500ms 5s 10m 2h 1d`, of a row of them like `1h30m`, or of a plain number of seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    elif re.fullmatch(f"(?:{DURATION.pattern})+", text):
        seconds = sum(float(number) * SECONDS[unit] for number, unit in DURATION.findall(text))
    else:
        raise ValueError(f"{text!r} is not a duration like 500ms, 5s, 10m, 2h")
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!r} has to be above 0")
    return seconds


def size(text: str) -> int:
    """Bytes of `64MiB`, `1GB`, `512k`, or of a plain number."""
    found = SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size like 64MiB, 1GB, 512k")
    power = " kMGT".index(found[2].replace("K", "k") or " ")
    bytes_ = int(float(found[1]) * (1024 if found[3] else 1000) ** power)
    if bytes_ <= 0:
        raise ValueError(f"{text!r} has to be above 0")
    return bytes_


def whole(text: str) -> int:
    """A whole number."""
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def count(text: str) -> int:
    """A whole number, at least 1."""
    number = whole(text)
    if number < 1:
        raise ValueError(f"{text} has to be at least 1")
    return number


def port(text: str) -> int:
    """A TCP port."""
    number = whole(text)
    if not 1 <= number <= MAX_PORT:
        raise ValueError(f"{text} is not a port (1 to {MAX_PORT})")
    return number


def address(text: str) -> str:
    """HOST:PORT, [IPV6]:PORT or :PORT, where port 0 is any free one."""
    split_address(text)
    return text


def split_address(text: str) -> tuple[str, int]:
    """Host ("" for all interfaces) and port of an address. Raise `ValueError` when it is none."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^\s:\[\]/]*)):(\d{1,5})", text)
    if found is None:
        raise ValueError(f"{text!r} is not HOST:PORT, like 127.0.0.1:9842 or [::1]:9842")
    number = int(found[3])
    if number > MAX_PORT:
        raise ValueError(f"{number} is not a port (0 to {MAX_PORT})")
    return found[1] or found[2] or "", number


def url(text: str) -> str:
    """The base of an HTTP server."""
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError when it is none
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{text!r} is not like http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise ValueError("a password does not belong into the URL; use server.api_key_file")
    return text.rstrip("/")


def link(text: str) -> str:
    """An address that a browser can open."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(f"{text!r} is not like https://grafana.example/boards")
    return text


def boolean(text: str) -> bool:
    """True or false."""
    value = BOOLEANS.get(text.lower())
    if value is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return value


def number(text: str) -> float:
    """A finite number."""
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def buckets(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Upper bounds of a histogram's buckets, checked: some, above 0 and rising."""
    if not bounds or bounds[0] <= 0 or any(later <= earlier for earlier, later in pairwise(bounds)):
        raise ValueError("has to be a list of numbers above 0, each larger than the one before")
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
SCALARS: dict[Any, Callable[[str], Any]] = {str: str, bool: boolean, int: whole, float: number}


def convert(plain: Plain, kind: Any) -> Any:
    """`plain` as a value of the annotation `kind`. Raise `ValueError` that says what was expected and found."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        (name,) = kind.__metadata__
        return buckets(convert(plain, arguments[0])) if name == "buckets" else NAMED[name](_text(plain))
    if origin is Literal:
        text = _text(plain)
        if text not in arguments:
            raise ValueError(f"{text!r} is none of: {', '.join(arguments)}")
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
            return "nothing"
