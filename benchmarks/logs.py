"""What a log line costs: pipe, grammar, request events and JSON to a reader. `python benchmarks/logs.py [LINES]`.

Beside it, where they are installed, what s6-log, supervisord and loguru with serialize do with the same lines.
"""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exporter.logs.output import LogOutput
from exporter.logs.server_log import ServerLog
from exporter.tasks import Border

FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "llama-server" / "new" / "mixed.stderr.log"
LINES = 2_000_000
LOGURU_LINES = 100_000
LOGURU = """
import sys
from loguru import logger
logger.remove()
logger.add(sys.stdout.write, serialize=True)
for line in sys.stdin:
    logger.info(line.rstrip())
"""
WRITER = """
import itertools, sys, time
lines = itertools.cycle(open(sys.argv[1], "rb").read().splitlines(keepends=True))
for line in itertools.islice(lines, int(sys.argv[3])):
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    time.sleep(1 / int(sys.argv[2]))
"""
SUPERVISORD = """
[supervisord]
nodaemon=true
logfile=/dev/null
pidfile={folder}/pid
[program:cat]
command=cat {lines}
stdout_logfile={folder}/out
stdout_logfile_maxbytes=0
autorestart=false
startsecs=0
"""


def write_lines(file: Path, count: int) -> int:
    """Typical lines: those of a server that answers requests, over and over. Gives their number."""
    block = FIXTURE.read_bytes().rstrip(b"\n") + b"\n"
    lines = block.count(b"\n")
    with file.open("wb") as stream:
        for _ in range(count // lines):
            stream.write(block)
    return count // lines * lines


def report(name: str, lines: int, seconds: float, cpu: float, memory: str = "") -> None:
    """Print a row."""
    print(f"{name:<28}{lines / seconds:>12,.0f} lines/s {cpu / lines * 1e6:8.2f} us CPU/line  {memory}")


def server_log(output: LogOutput) -> ServerLog:
    """Events go nowhere."""
    return ServerLog(
        output,
        border=Border(),
        on_request=lambda _: None,
        on_router=lambda _: None,
        model_of=lambda _: None,
        prompts=False,
    )


async def exporter(file: Path, lines: int) -> None:
    """All of it in this process: a child writes the lines to its stderr, a reader takes stdout."""
    out, err, counted = os.pipe(), os.pipe(), os.pipe()
    reader = await asyncio.create_subprocess_exec("wc", "-l", stdin=counted[0], stdout=asyncio.subprocess.PIPE)
    os.close(counted[0])
    output = LogOutput(counted[1], buffer=64 << 20, level="info", tail=10_000)
    log = server_log(output)
    begun, cpu = time.perf_counter(), time.process_time()
    child = await asyncio.create_subprocess_exec("cat", str(file), stdout=err[1])
    os.close(out[1])
    os.close(err[1])
    log.follow(out[0], err[0])
    for pipe in log._readers:  # noqa: SLF001 -- drained() waits for two seconds only
        await pipe.wait()
    output.close(60)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    await child.wait()
    os.close(counted[1])
    written = int((await reader.communicate())[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report("exporter", lines, seconds, cpu, f"peak {peak:.0f} MiB, {written:,} lines out, {output.dropped} dropped")


async def idle(lines_per_second: int, seconds: int) -> None:
    """A server that writes a hundred lines a second."""
    sink = os.open(os.devnull, os.O_WRONLY)
    log = server_log(LogOutput(sink, buffer=64 << 20, level="info", tail=10_000))
    out, err = os.pipe(), os.pipe()
    log.follow(out[0], err[0])
    command = [sys.executable, "-c", WRITER, str(FIXTURE), str(lines_per_second), str(lines_per_second * seconds)]
    cpu, begun = time.process_time(), time.perf_counter()
    child = await asyncio.create_subprocess_exec(*command, stdout=err[1])
    os.close(out[1])
    os.close(err[1])
    for pipe in log._readers:  # noqa: SLF001 -- drained() waits for two seconds only
        await pipe.wait()
    used = (time.process_time() - cpu) / (time.perf_counter() - begun)
    await child.wait()
    print(f"{f'exporter at {lines_per_second} lines/s':<28}{used * 100:>12.2f} % of a core")


def others(file: Path, lines: int, folder: Path) -> None:
    """The same lines through what others use."""
    if s6 := shutil.which("s6-log"):
        measure("s6-log", [s6, "n2", "s100000000", str(folder / "s6")], file, lines)
    if supervisord := shutil.which("supervisord"):
        config = folder / "supervisord.conf"
        config.write_text(SUPERVISORD.format(folder=folder, lines=file))
        begun, cpu = time.perf_counter(), children_cpu()
        process = subprocess.Popen([supervisord, "-c", str(config)], stdout=subprocess.DEVNULL)
        size = file.stat().st_size
        while not (folder / "out").exists() or (folder / "out").stat().st_size < size:
            time.sleep(0.01)
        seconds = time.perf_counter() - begun
        process.terminate()
        process.wait()
        report("supervisord (plain copy)", lines, seconds, children_cpu() - cpu)
    with tempfile.NamedTemporaryFile() as few:
        count = write_lines(Path(few.name), LOGURU_LINES)
        measure("loguru, serialize=True", [sys.executable, "-c", LOGURU], Path(few.name), count)


def measure(name: str, command: list[str], file: Path, lines: int) -> None:
    """Run a filter over the lines."""
    begun, cpu = time.perf_counter(), children_cpu()
    with file.open("rb") as stream:
        subprocess.run(command, stdin=stream, stdout=subprocess.DEVNULL, check=True)
    report(name, lines, time.perf_counter() - begun, children_cpu() - cpu)


def children_cpu() -> float:
    """CPU seconds of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print it all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = write_lines(folder / "lines", int(sys.argv[1]) if len(sys.argv) > 1 else LINES)
        asyncio.run(exporter(folder / "lines", lines))
        asyncio.run(idle(100, 10))
        others(folder / "lines", lines, folder)


if __name__ == "__main__":
    main()
