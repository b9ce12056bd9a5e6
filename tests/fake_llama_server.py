"""A llama-server that misbehaves on command, for what the real one can't be made to do. Standard library only.

Behaviour comes as arguments behind the ones that llama-server has; the HTTP answers are those of real builds.
"""

import argparse
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = b"# HELP llamacpp:n_decode_total calls\n# TYPE llamacpp:n_decode_total counter\nllamacpp:n_decode_total 7\n"
BIG_LINE = b'llamacpp:big{n="%d",padding="' + b"x" * 70 + b'"} 1\n'
BIG_LINES = 100_000
WEDGED = [{"id": 0, "id_task": 7, "n_ctx": 8, "is_processing": True, "next_token": [{"n_decoded": 3}]}]
LAUNCHED = "slot launch_slot_: id  0 | task {task} | processing task, is_child = 0"
FINISHED = (
    "slot print_timing: id  0 | task {task} | prompt eval time =      10.00 ms /     5 tokens ( 2.00 ms per token)",
    "slot print_timing: id  0 | task {task} |        eval time =     100.00 ms / {made:5} tokens ( 1.00 ms per token)",
    "slot print_timing: id  0 | task {task} |       total time =     110.00 ms / {total:5} tokens",
    "slot      release: id  0 | task {task} | stop processing: n_tokens = {total}, truncated = 0",
)
"""The log of one request with a prompt of five tokens, as builds of late 2026 write it."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news; the base class prints a traceback."""


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--alias", default="fake")
    parser.add_argument("--load-seconds", type=float, default=0)
    parser.add_argument("--exit-at-once", type=int, default=None)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--native", choices=["good", "501", "503", "garbage", "big", "never", "mixed"], default="good")
    parser.add_argument("--say", default="", help="the text of the first log line")
    parser.add_argument("--control", type=Path, help="a file whose text says what to do now: see obey")
    parser.add_argument("--wedge", action="store_true", help="a request runs and gets nowhere, /health is well")
    parser.add_argument("--model-path", default="fake.gguf", help="the model_path of /props")
    parser.add_argument("--log-requests", action="store_true", help="log every HTTP request, as builds of 2025 do")
    parser.add_argument("--router", nargs="+", default=[], help="models to run, each in a child of its own")
    parser.add_argument("--wedged", help="the model of the router whose child gets --wedge")
    return parser.parse_known_args(argv)[0]


def log(text: str) -> None:
    """One line of the log, in one write: other threads log too."""
    sys.stderr.write(f"0.00.000.001 I {text}\n")
    sys.stderr.flush()


def obey(control: Path) -> None:
    """Exit when the file says `exit N`.

    `silent` is not to listen yet, `load` to answer 503, `hang` not to answer, `late` not to answer /metrics and /slots,
    `error` to answer /health with 500.
    """
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


def spawn_child(model: str, *, wedged: bool) -> int:
    """Run the model as a router does, its log on our stdout. Return the child's port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    log(f"srv          load: spawning server instance with name={model} on port {port}")
    command = [sys.executable, __file__, "--port", str(port), "--alias", model, *["--wedge"] * wedged]
    child = subprocess.Popen(command, stderr=subprocess.PIPE)

    def relay() -> None:
        for line in child.stderr or ():
            sys.stdout.buffer.write(b"[%d] %s" % (port, line))
            sys.stdout.buffer.flush()

    threading.Thread(target=relay, daemon=True).start()
    return port


def answers_of(options: argparse.Namespace, children: dict[str, int]) -> dict[str, Any]:
    """What is answered by path, where it is always the same."""
    if children:
        status = {model: {"value": "loaded", "args": ["--port", str(port)]} for model, port in children.items()}
        models: list[Any] = [{"id": model, "status": status[model]} for model in children]
        props: dict[str, Any] = {"role": "router", "max_instances": len(children), "build_info": "b1-fake"}
    else:
        models = [{"id": options.alias, "meta": {"n_params": 1, "size": 2, "n_ctx_train": 3}}]
        settings = {"n_ctx": 8}
        props = {"total_slots": 2, "build_info": "b1-fake", "default_generation_settings": settings}
        props["model_path"] = options.model_path
    listed = {"object": "list", "data": models}
    slots = WEDGED if options.wedge else []
    return {"/health": {"status": "ok"}, "/props": props, "/models": listed, "/v1/models": listed, "/slots": slots}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options: argparse.Namespace
    ready_at: float
    bodies: dict[str, Any]
    tasks = itertools.count(1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if self.path == "/metrics" else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.options.log_requests:
            log(f"srv  log_server_r: request: {self.command} {self.path} {self.client_address[0]} {status}")

    def do_GET(self) -> None:
        control = self.options.control
        orders = control.read_text() if control else ""
        while orders == "hang" or (orders == "late" and self.path in ("/metrics", "/slots")):
            time.sleep(0.01)
            orders = control.read_text()
        if time.monotonic() < self.ready_at or orders == "load":
            self.answer(503, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}')
        elif orders == "error" and self.path == "/health":
            self.answer(500, b'{"error":{"code":500,"message":"broken","type":"server_error"}}')
        elif self.path == "/metrics" and not self.options.router:
            self.metrics()
        else:
            known = self.path in self.bodies
            self.answer(200 if known else 404, json.dumps(self.bodies[self.path] if known else {}).encode())

    def do_POST(self) -> None:
        """Complete `n_predict` tokens, in no time."""
        made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["n_predict"]
        task = next(self.tasks)
        for line in (LAUNCHED, *FINISHED):
            log(line.format(task=task, made=made, total=5 + made))
        self.answer(200, json.dumps({"timings": {"prompt_n": 5, "predicted_n": made}}).encode())

    def metrics(self) -> None:
        if self.options.native == "never":
            time.sleep(3600)
        self.answer(*native(self.options.native))


def main() -> None:
    options = parse(sys.argv[1:])
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    log(f"srv  llama_server: {options.say or 'initializing ...'}")
    if options.wedge:
        log(LAUNCHED.format(task=7))
    if options.exit_at_once is not None:
        sys.exit(options.exit_at_once)
    ready_at = time.monotonic() + options.load_seconds
    children = {model: spawn_child(model, wedged=model == options.wedged) for model in options.router}

    if options.control:
        threading.Thread(target=obey, args=(options.control,), daemon=True).start()
        while options.control.read_text() == "silent":
            time.sleep(0.01)
    Handler.options, Handler.ready_at, Handler.bodies = options, ready_at, answers_of(options, children)
    Quiet((options.host, options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
