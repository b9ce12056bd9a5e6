"""llama.cpp's own HTTP server, from the xllamacpp package, as a program with llama-server's arguments.

It is run as `python -m exporter.demo.embedded`. Endpoints, metrics and log lines are the real ones, made by the
same C++ code. Only the flags below are understood, and some defaults are smaller, because a demo shares the machine.
"""

import argparse
import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import xllamacpp

PROMPT_CACHE_MIB = 16  # llama-server's own 8192 would let a demo that runs for a week grow
INFO = 3
FLUSH_SECONDS = 0.5

# The C++ functions of llama.cpp's logger that the package has and does not wrap.
LOG_MAIN = "_Z15common_log_mainv"
LOG_FLUSH = "_Z16common_log_flushP10common_log"
LOG_SET_JSONL = "_Z20common_log_set_jsonlb"


class _Parser(argparse.ArgumentParser):
    """Fails as llama-server does: one line, exit code 1, no usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"error: {message}\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read llama-server's arguments. Exits with code 1 on one that is not known, as llama-server does."""
    parser = _Parser(prog="exporter.demo.embedded", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("-m", "--model", default="", help="GGUF file")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8080)
    add("-c", "--ctx-size", type=int, default=4096, help="context of all slots together")
    add("-np", "--parallel", type=int, default=2, help="number of slots")
    add("--metrics", action="store_true")
    add("--slots", action=argparse.BooleanOptionalAction, default=True)
    add("--api-key", default="", help="one key, or several with commas between")
    add("--api-key-file", type=Path, help="one key a line")
    add("-a", "--alias", default="", help="one name, or several with commas between")
    add("--sleep-idle-seconds", type=int, default=-1)
    add("--log-jsonl", action="store_true")
    add("-lv", "--verbosity", type=int, default=INFO)
    add("-n", "--predict", "--n-predict", type=int, default=-1)
    add("-t", "--threads", type=int, default=1)
    add("--embedding", "--embeddings", action="store_true")
    add("--pooling", choices=["none", "mean", "cls", "last", "rank"], help="of embeddings; default: the model's")
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"invalid argument: {unknown[0]}")
    if not known.model:  # llama-server would be a router now; this server cannot
        parser.error("no model given, use --model")
    return known


def parameters(arguments: argparse.Namespace) -> Any:
    """Return xllamacpp's `CommonParams` for the arguments. Raise `OSError` when the key file cannot be read."""
    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    params.hostnames = [arguments.host]
    params.port = arguments.port
    params.n_ctx = arguments.ctx_size
    params.n_parallel = arguments.parallel
    params.endpoint_metrics = arguments.metrics
    params.endpoint_slots = arguments.slots
    params.api_keys = _api_keys(arguments)
    params.model_alias = set(_split(arguments.alias)) or {Path(arguments.model).name}
    params.sleep_idle_seconds = arguments.sleep_idle_seconds
    params.verbosity = arguments.verbosity
    params.n_predict = arguments.predict
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads
    params.embedding = arguments.embedding
    if arguments.pooling:
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{arguments.pooling.upper()}")
    params.cache_ram_mib = PROMPT_CACHE_MIB
    return params


def _api_keys(arguments: argparse.Namespace) -> list[str]:
    keys = _split(arguments.api_key)
    if arguments.api_key_file:
        keys += [line for line in arguments.api_key_file.read_text().splitlines() if line]
    return keys


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _set_log_jsonl() -> None:
    # Only llama-server's own argument parser acts on `log_json`; a server that is made from parameters ignores it.
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    getattr(library, LOG_SET_JSONL)(ctypes.c_bool(True))


def _flush_log() -> None:
    """Wait until llama.cpp's logger, which writes in a thread of its own, has written everything."""
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    try:
        log_main, log_flush = getattr(library, LOG_MAIN), getattr(library, LOG_FLUSH)
    except AttributeError:  # a build that hides its symbols: the last lines may be lost
        return
    log_main.restype = ctypes.c_void_p
    log_flush.argtypes = [ctypes.c_void_p]
    log_flush(log_main())


def _leave(code: int) -> NoReturn:
    # A parent that no longer reads our stderr would make the flush wait for ever.
    flush = threading.Thread(target=_flush_log, daemon=True)
    flush.start()
    flush.join(FLUSH_SECONDS)
    # Destroying the server instead waits for every open stream, none of which gets tokens any more: half a minute, or
    # for ever. A demo has nothing to save.
    os._exit(code)


def _wait_for_signal() -> None:
    # The kernel may give the signal to any of llama.cpp's threads. Python then runs no handler while its main thread
    # sleeps in a system call, but it does write to this socket.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    reader.recv(1)


def main(arguments: Sequence[str]) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then exit with code 0. Before the model is loaded they kill, as any program."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while loading: no KeyboardInterrupt, no traceback
    known = parse(arguments)
    try:
        params = parameters(known)
        if known.log_jsonl:
            _set_log_jsonl()
    except (OSError, AttributeError) as error:  # no such file; a package that lacks what a flag needs
        sys.exit(f"error: {error}")
    try:
        _server = xllamacpp.Server(params)  # serves as long as it lives
    except RuntimeError:  # llama.cpp has said why, in its own words
        _leave(1)
    _wait_for_signal()
    _leave(0)


if __name__ == "__main__":
    main(sys.argv[1:])
