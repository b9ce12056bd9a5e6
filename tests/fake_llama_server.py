"""A llama-server that misbehaves on command, for what the real one can't be made to do. Standard library only.

Behaviour comes as arguments behind the ones that llama-server has; the HTTP answers are those of real builds.
"""

import argparse
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = b"# HELP llamacpp:n_decode_total calls\n# TYPE llamacpp:n_decode_total counter\nllamacpp:n_decode_total 7\n"
BIG_LINE = b'llamacpp:big{n="%d",padding="' + b"x" * 70 + b'"} 1\n'
BIG_LINES = 100_000
WEDGED = b'[{"id":0,"id_task":7,"n_ctx":8,"is_processing":true,"next_token":[{"n_decoded":3}]}]'
MODELS = b'{"object":"list","data":[{"id":"fake","meta":{"n_params":1,"size":2,"n_ctx_train":3}}]}'
PROPS = b'{"total_slots":2,"model_path":"fake.gguf","build_info":"b1-fake","default_generation_settings":{"n_ctx":8}}'


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news; the base class prints a traceback."""


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--load-seconds", type=float, default=0)
    parser.add_argument("--exit-at-once", type=int, default=None)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--native", choices=["good", "501", "503", "garbage", "big", "never", "mixed"], default="good")
    parser.add_argument("--say", default="", help="the text of the first log line")
    parser.add_argument("--control", type=Path, help="a file whose text says what to do now: see obey")
    parser.add_argument("--wedge", action="store_true", help="a request runs and gets nowhere, /health is well")
    return parser.parse_known_args(argv)[0]


def obey(control: Path) -> None:
    """Exit when the file says `exit N`. `silent` is not to listen yet, `load` to answer 503, `hang` not to answer."""
    while True:
        orders = control.read_text()
        if orders.startswith("exit"):
            os._exit(int(orders.split()[1]))
        time.sleep(0.01)


def native(kind: str) -> tuple[int, bytes]:
    """Status and body of /metrics."""
    return {
        "good": lambda: (200, PAGE),
        "501": lambda: (501, b'{"error":{"code":501,"message":"no"}}'),
        "503": lambda: (503, b'{"error":{"code":503,"message":"no"}}'),
        "garbage": lambda: (200, bytes(range(256)) * 20),
        "mixed": lambda: (200, PAGE + b"llamacpp:odd{ -nan(ind)\n\xff\xfe}{\nllamacpp:fine 1e3\n"),
        "big": lambda: (200, b"".join(BIG_LINE % number for number in range(BIG_LINES))),
    }[kind]()


def handler_of(options: argparse.Namespace, ready_at: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            orders = options.control.read_text() if options.control else ""
            while orders == "hang":
                time.sleep(0.01)
                orders = options.control.read_text()
            if time.monotonic() < ready_at or orders == "load":
                self.answer(503, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}')
            elif self.path == "/metrics":
                self.metrics()
            else:
                bodies = {
                    "/health": b'{"status":"ok"}',
                    "/props": PROPS,
                    "/v1/models": MODELS,
                    "/slots": WEDGED if options.wedge else b"[]",
                }
                self.answer(200 if self.path in bodies else 404, bodies.get(self.path, b"{}"))

        def metrics(self) -> None:
            if options.native == "never":
                time.sleep(3600)
            self.answer(*native(options.native))

    return Handler


def main() -> None:
    options = parse(sys.argv[1:])
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.stderr.write(f"0.00.000.001 I srv  llama_server: {options.say or 'initializing ...'}\n")
    sys.stderr.flush()
    if options.wedge:
        sys.stderr.write("0.00.000.002 I slot launch_slot_: id  0 | task 7 | processing task, is_child = 0\n")
        sys.stderr.flush()
    if options.exit_at_once is not None:
        sys.exit(options.exit_at_once)
    ready_at = time.monotonic() + options.load_seconds

    if options.control:
        threading.Thread(target=obey, args=(options.control,), daemon=True).start()
        while options.control.read_text() == "silent":
            time.sleep(0.01)
    Quiet((options.host, options.port), handler_of(options, ready_at)).serve_forever()


if __name__ == "__main__":
    main()
