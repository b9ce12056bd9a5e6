import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psutil
import pytest

from exporter.config import LiveServer
from exporter.llama.client import LlamaClient
from exporter.supervisor.policy import Backoff, Policy
from exporter.supervisor.process import CannotStartError, ChildProcess, Exit
from exporter.supervisor.states import EDGES, IllegalEdgeError, Snapshot, State, check_edge
from exporter.supervisor.supervisor import Supervisor
from exporter.tasks import Border
from tests.support import FAKE, alive, eventually, free_port


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


POLICY = Policy(
    restart="always",
    start_timeout=20,
    stop_timeout=5,
    health_interval=0.05,
    unresponsive_after=1,
    unresponsive_action="restart",
)


class Idle:
    """Requests of a server that has none."""

    running = 0
    seconds = 0.0

    async def stalled(self, _: float) -> float:
        return self.seconds


class Bench:
    """A supervisor over the fake server, and every snapshot that it went through. It launches that, too."""

    def __init__(self, policy: Policy, backoff: Backoff, client: LlamaClient, command: list[str]) -> None:
        self.seen: list[Snapshot] = []
        self.pids: list[int] = []
        self.pipes: list[int] = []
        self.refusal: CannotStartError | None = None
        self.checking = asyncio.Event()
        self.checking.set()
        self.configured: list[LiveServer] = []
        self.progress = Idle()
        self._command = command
        self.supervisor = Supervisor(
            launcher=self,
            probe=client.health,
            progress=self.progress,
            policy=policy,
            backoff=backoff,
            observe=lambda _, after: self.seen.append(after),
        )

    def configure(self, settings: LiveServer) -> None:
        self.configured.append(settings)

    async def check(self) -> None:
        await self.checking.wait()
        if self.refusal is not None:
            raise self.refusal

    async def spawn(self) -> ChildProcess:
        child = await ChildProcess.spawn(self._command, os.environ, None)
        self.pipes += [child.stdout_fd, child.stderr_fd]
        self.pids.append(child.pid)
        return child

    def restart(self) -> None:
        self.supervisor.restart("requested", self.now.run)

    @property
    def now(self) -> Snapshot:
        return self.supervisor.snapshot

    @property
    def states(self) -> list[State]:
        """Every state in order, repetitions left out."""
        states = [snapshot.state for snapshot in self.seen]
        return [state for index, state in enumerate(states) if index == 0 or states[index - 1] != state]

    async def until(self, state: State) -> Snapshot:
        await eventually(lambda: self.now.state is state)
        return self.now


@asynccontextmanager
async def bench(
    *arguments: str, policy: Policy = POLICY, backoff: Backoff | None = None, program: tuple[str, ...] = FAKE
) -> AsyncIterator[Bench]:
    port = free_port()
    async with LlamaClient(f"http://127.0.0.1:{port}", timeout=0.5) as client:
        made = Bench(
            policy,
            backoff or Backoff(0.05, 0.2, 5, 60, jitter=lambda: 1.0),
            client,
            [*program, "--port", str(port), *arguments],
        )
        owner = asyncio.create_task(Border().keep_running("supervisor", made.supervisor.run))
        try:
            yield made
        finally:
            made.supervisor.close()
            await asyncio.wait_for(owner, 30)
            for pipe in made.pipes:
                os.close(pipe)
            assert not [pid for pid in made.pids if alive(pid)]
            assert made.now.state is State.STOPPED


async def test_start_load_ready_stop() -> None:
    async with bench("--load-seconds", "0.5") as it:
        assert it.now.state is State.STOPPED
        it.supervisor.start()
        ready = await it.until(State.READY)
        assert it.states[-3:] == [State.STARTING, State.LOADING, State.READY]
        assert ready.ready is not None
        assert ready.started is not None
        assert ready.ready - ready.started >= 0.5
        it.supervisor.stop()
        stopped = await it.until(State.STOPPED)
        assert stopped.last_exit == Exit(0, None)
        assert stopped.exits == (("0", 1),)
        assert dict(stopped.restarts) == {"crash": 0, "unresponsive": 0, "requested": 0, "config": 0}


async def test_a_killed_server_is_started_again_and_the_signal_kept() -> None:
    async with bench() as it:
        it.supervisor.start()
        await it.until(State.READY)
        os.kill(it.pids[0], signal.SIGKILL)
        await eventually(lambda: len(it.pids) == 2 and it.now.state is State.READY)
        assert it.now.last_exit == Exit(None, "SIGKILL")
        assert it.now.exits == (("SIGKILL", 1),)
        assert dict(it.now.restarts)["crash"] == 1
        assert State.BACKOFF in it.states


async def test_it_gives_up_and_an_explicit_start_leaves_failed() -> None:
    async with bench("--exit-at-once", "3", backoff=Backoff(0.01, 0.02, 3, 60)) as it:
        it.supervisor.start()
        failed = await it.until(State.FAILED)
        assert len(it.pids) == 3
        assert failed.last_exit == Exit(3, None)
        assert failed.reason == "it ended with code 3; gave up after repeated failures"
        assert dict(failed.restarts)["crash"] == 2
        it.supervisor.start()
        await eventually(lambda: len(it.pids) == 6 and it.now.state is State.FAILED)


@pytest.mark.parametrize(
    ("restart", "code", "state", "desired"),
    [("on-failure", 0, State.STOPPED, False), ("never", 0, State.STOPPED, False), ("never", 1, State.FAILED, True)],
)
async def test_policies_that_do_not_restart(restart: str, code: int, state: State, *, desired: bool) -> None:
    policy = replace(POLICY, restart=restart)  # type: ignore[arg-type]
    async with bench("--exit-at-once", str(code), policy=policy) as it:
        it.supervisor.start()
        after = await eventually(lambda: it.now if it.now.exits and it.now.state is state else None)
        assert after is not None
        assert after.desired is desired
        assert after.reason is not None
        assert restart in after.reason
        assert len(it.pids) == 1


async def test_sigterm_ignored_is_followed_by_sigkill_after_the_timeout() -> None:
    async with bench("--ignore-term", policy=replace(POLICY, stop_timeout=0.3)) as it:
        it.supervisor.start()
        await it.until(State.READY)
        it.supervisor.stop()
        stopped = await it.until(State.STOPPED)
        assert stopped.last_exit == Exit(None, "SIGKILL")


async def test_a_second_close_does_not_wait_for_the_timeout() -> None:
    async with bench("--ignore-term", policy=replace(POLICY, stop_timeout=600)) as it:
        it.supervisor.start()
        await it.until(State.READY)
        it.supervisor.close()
        await it.until(State.STOPPING)
        it.supervisor.close()
        await it.until(State.STOPPED)


async def test_a_stopped_process_is_found_unresponsive_and_replaced() -> None:
    async with bench(policy=replace(POLICY, stop_timeout=0.3)) as it:
        it.supervisor.start()
        await it.until(State.READY)
        os.kill(it.pids[0], signal.SIGSTOP)
        await eventually(lambda: len(it.pids) == 2 and it.now.state is State.READY)
        assert dict(it.now.restarts)["unresponsive"] == 1
        assert dict(it.now.restarts)["crash"] == 0
        assert State.UNRESPONSIVE in it.states


async def test_reported_only_it_recovers_by_itself() -> None:
    async with bench(policy=replace(POLICY, unresponsive_action="report")) as it:
        it.supervisor.start()
        await it.until(State.READY)
        os.kill(it.pids[0], signal.SIGSTOP)
        await it.until(State.UNRESPONSIVE)
        os.kill(it.pids[0], signal.SIGCONT)
        await it.until(State.READY)
        assert len(it.pids) == 1


async def test_a_load_that_takes_too_long_is_a_failure_that_says_so() -> None:
    policy = replace(POLICY, start_timeout=0.5)
    async with bench("--load-seconds", "600", policy=policy, backoff=Backoff(0.01, 0.02, 1, 60)) as it:
        it.supervisor.start()
        failed = await it.until(State.FAILED)
        assert failed.reason is not None
        assert "server.start_timeout" in failed.reason


async def test_restart_replaces_the_process_and_counts_its_reason() -> None:
    async with bench() as it:
        it.supervisor.start()
        await it.until(State.READY)
        it.supervisor.reload(LiveServer(), replace=True)
        await eventually(lambda: len(it.pids) == 2 and it.now.state is State.READY)
        assert dict(it.now.restarts)["config"] == 1
        assert it.configured == [LiveServer()]
        assert State.BACKOFF not in it.states


async def test_a_restart_that_comes_twice_replaces_the_process_once() -> None:
    async with bench() as it:
        it.supervisor.start()
        await it.until(State.READY)
        it.restart()
        it.restart()
        await eventually(lambda: len(it.pids) == 2 and it.now.state is State.READY)
        it.supervisor.restart("requested", it.now.run - 1)  # as a client that was slow
        it.supervisor.reload(LiveServer(), replace=False)  # taken after it
        await eventually(lambda: it.configured)
        assert (len(it.pids), it.now.state) == (2, State.READY)
        assert dict(it.now.restarts)["requested"] == 1


async def test_nothing_is_started_after_close() -> None:
    async with bench("--ignore-term", policy=replace(POLICY, stop_timeout=0.3)) as it:
        it.supervisor.start()
        await it.until(State.READY)
        it.supervisor.close()
        it.supervisor.start()
        it.restart()
        await it.until(State.STOPPED)
        assert (it.supervisor.closing, len(it.pids), it.now.desired) == (True, 1, False)


async def test_a_check_that_hangs_keeps_nobody_waiting() -> None:
    async with bench() as it:
        it.checking.clear()
        it.supervisor.start()
        await asyncio.sleep(0)
        it.supervisor.stop()
        it.checking.set()
        it.supervisor.start()
        await it.until(State.READY)
        it.checking.clear()
        it.restart()
        await eventually(lambda: it.now.exits)
        assert len(it.pids) == 1


async def test_a_stop_that_comes_while_a_check_fails_is_not_forgotten() -> None:
    async with bench() as it:
        it.checking.clear()
        it.refusal = CannotStartError("no", retry=False)
        it.supervisor.start()
        await asyncio.sleep(0)
        it.supervisor.stop()
        it.checking.set()
        await eventually(lambda: not it.supervisor._commands._commands)
        it.refusal = None
        it.supervisor.start()
        await it.until(State.READY)
        assert State.FAILED not in it.states


async def test_a_reload_keeps_a_pause_before_the_next_start() -> None:
    async with bench("--exit-at-once", "1", backoff=Backoff(600, 600, 5, 60)) as it:
        it.supervisor.start()
        await it.until(State.BACKOFF)
        it.supervisor.reload(LiveServer(), replace=False)
        await eventually(lambda: it.configured)
        assert it.now.state is State.BACKOFF
        it.supervisor.reload(LiveServer(), replace=True)
        await eventually(lambda: len(it.pids) == 2)


async def test_requests_that_get_nowhere_make_it_unresponsive_and_those_that_get_on_again_ready() -> None:
    async with bench(policy=replace(POLICY, unresponsive_action="report")) as it:
        it.supervisor.start()
        await it.until(State.READY)
        it.progress.seconds = 7.0
        stuck = await it.until(State.UNRESPONSIVE)
        assert stuck.reason == "requests have been running for 7 s without a token, a log line or CPU use"
        it.progress.seconds = 0.0
        await it.until(State.READY)
        assert len(it.pids) == 1


async def test_a_failure_of_the_supervisor_itself_leaves_no_process_and_it_begins_again() -> None:
    async with bench() as it:
        it.supervisor.start()
        await it.until(State.READY)
        probe, it.supervisor._control.probe = it.supervisor._control.probe, None  # type: ignore[assignment]
        await eventually(lambda: not alive(it.pids[0]))
        it.supervisor._control.probe = probe
        await eventually(lambda: len(it.pids) > 1 and it.now.state is State.READY)


async def test_stop_ends_a_backoff() -> None:
    async with bench("--exit-at-once", "1", backoff=Backoff(600, 600, 5, 60)) as it:
        it.supervisor.start()
        await it.until(State.BACKOFF)
        it.supervisor.stop()
        await it.until(State.STOPPED)


async def test_grandchildren_go_with_the_group() -> None:
    script = f'{" ".join(FAKE)} "$@" & exec {" ".join(FAKE)} --port 1 --exit-at-once 0'
    async with bench(program=("sh", "-c", script, "sh"), policy=replace(POLICY, restart="never")) as it:
        it.supervisor.start()
        await eventually(lambda: bool(it.now.exits))
        await it.until(State.STOPPED)
        # Killed orphans are zombies until init reaps them, hence alive() and not the mere existence of the group.
        await eventually(lambda: not [pid for pid in psutil.pids() if group_of(pid) == it.pids[0] and alive(pid)])


async def test_a_program_that_cannot_run_is_refused_with_its_name() -> None:
    with pytest.raises(CannotStartError, match="no/such/program"):
        await ChildProcess.spawn(["no/such/program"], os.environ, None)


def test_backoff_doubles_up_to_the_maximum_and_forgets() -> None:
    backoff = Backoff(1, 5, 10, 600, jitter=lambda: 1.0)
    assert [backoff.failed(now) for now in range(4)] == [1, 2, 4, 5]
    backoff.healthy()
    assert backoff.failed(5) == 1
    assert Backoff(1, 5, 10, 600, jitter=lambda: 0.0).failed(0) == 0.5


def test_backoff_gives_up_only_when_failures_are_close() -> None:
    backoff = Backoff(1, 1, 2, 10, jitter=lambda: 1.0)
    assert backoff.failed(0) is not None
    assert backoff.failed(10.5) is not None
    assert backoff.failed(11) is None


def test_the_table_has_every_state_and_nothing_else_is_legal() -> None:
    assert set(EDGES) == set(State)
    for before in State:
        for after in State:
            if after in EDGES[before]:
                check_edge(before, after)
            else:
                with pytest.raises(IllegalEdgeError):
                    check_edge(before, after)
