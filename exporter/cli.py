"""The command line: `run` (the default), `check-config`, `demo`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import exporter
from exporter import app
from exporter.config import ConfigErrors, ConfigSource, load
from exporter.web.auth.web_config import read_web_config

OK, FAILED, USAGE = 0, 1, 2
COMMANDS = ("run", "check-config", "demo")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. The `dest` of a flag for a setting is the setting's dotted key."""
    top = _Parser(
        prog="llama-exporter",
        description="Run llama-server and export its metrics, the host's metrics, and its log.",
        epilog="Arguments after -- are passed to llama-server: llama-exporter -- -m model.gguf -c 8192",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"llama-exporter {exporter.__version__}")
    commands = top.add_subparsers(dest="command", metavar="{run,check-config,demo}", required=True)
    run = commands.add_parser("run", help="run llama-server and export its metrics (the default)", allow_abbrev=False)
    demo = commands.add_parser(
        "demo", help="run with a tiny model; needs neither llama-server nor a GPU", allow_abbrev=False
    )
    check = commands.add_parser("check-config", help="check a configuration file", allow_abbrev=False)
    check.add_argument("file", metavar="FILE", type=Path)
    run.add_argument(
        "--config.file", dest="config_file", metavar="FILE", type=Path, help="YAML, see docs/configuration.md"
    )
    run.add_argument(
        "--config.watch", dest="config_watch", action="store_true", help="reload when the configuration file changes"
    )
    for command in (run, demo):
        command.add_argument(
            "--web.listen-address", dest="web.listen_address", metavar="HOST:PORT", help="default: 127.0.0.1:9842"
        )
        command.add_argument(
            "--web.config.file", dest="web.config_file", metavar="FILE", help="TLS and passwords, see docs/security.md"
        )
        command.add_argument(
            "--log.level", dest="logs.level", metavar="LEVEL", help="debug, info, warn or error; default: info"
        )
        command.add_argument(
            "--log.format", dest="logs.format", metavar="FORMAT", help="json, or text for a terminal; default: json"
        )
    return top


def check(file: Path) -> None:
    """Check a configuration file and the `web.config_file` that it names. Raise `ConfigErrors`."""
    web = load(file, {}, {}).config.start.web
    if web.config_file is not None:
        read_web_config(Path(web.config_file))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program. Return the exit code: 0 stopped on request, 1 could not run, 2 bad usage or configuration."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    server_args: list[str] | None = None
    if "--" in arguments:
        split = arguments.index("--")
        arguments, server_args = arguments[:split], arguments[split + 1 :]
    if not arguments or (arguments[0] not in COMMANDS and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "run")
    options = parser().parse_args(arguments)
    if options.command == "run" and options.config_watch and options.config_file is None:
        parser().error("--config.watch needs --config.file")
    if server_args is not None and options.command != "run":
        parser().error(f"{options.command} does not accept arguments for llama-server")
    flags: dict[str, object] = {key: value for key, value in vars(options).items() if "." in key and value is not None}
    try:
        if options.command == "check-config":
            check(options.file)
            sys.stdout.write(f"{options.file}: valid\n")
            return OK
        if options.command == "demo":
            from exporter.demo.demo import run_demo  # noqa: PLC0415 -- its packages are optional

            return run_demo(flags)
        if server_args is not None:
            flags["server.args"] = server_args
        watched = options.config_file if options.config_watch else None
        return app.run(ConfigSource(options.config_file, os.environ, flags), watched)
    except ConfigErrors as errors:
        sys.stderr.write(f"{errors}\n")
        return USAGE
    except ImportError as error:
        sys.stderr.write(f"the demo needs more packages: pip install 'llama-server-exporter[demo]' ({error})\n")
        return FAILED
