"""The supervisor over random events: never two children, and what is desired is reached or failure said."""

import asyncio
import signal
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import LiveServer
from exporter.llama.api import Health
from exporter.supervisor.policy import Backoff
from exporter.supervisor.process import CannotStartError, ChildProcess, Exit
from exporter.supervisor.states import EDGES, RUNNING, Snapshot, State
from exporter.supervisor.supervisor import Supervisor
from tests.support import eventually
from tests.unit.test_supervisor import POLICY, Idle


class Child(ChildProcess):
    """A process without a process: ends when it is told to, or when a signal comes."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        return 1

    async def wait(self) -> Exit:
        exit_ = await self._end
        self._world.alive -= 1
        return exit_

    def signal_group(self, number: signal.Signals) -> None:
        if number == signal.SIGKILL or not self._world.stubborn:
            self.end(Exit(None, number.name))

    def end(self, exit_: Exit) -> None:
        if not self._end.done():
            self._end.set_result(exit_)


class World:
    """What a supervisor meets, and what it did."""

    def __init__(self) -> None:
        self.alive = 0
        self.most = 0
        self.health = Health.OK
        self.refuse: CannotStartError | None = None
        self.stubborn = False
        self.child: Child | None = None
        self.changes: list[tuple[Snapshot, Snapshot]] = []

    def configure(self, _: LiveServer) -> None:
        """Whatever the settings, it is the same world."""

    async def check(self) -> None:
        await asyncio.sleep(0)
        if self.refuse:
            raise self.refuse

    async def spawn(self) -> ChildProcess:
        self.alive += 1
        self.most = max(self.most, self.alive)
        self.child = Child(self)
        return self.child

    async def probe(self) -> Health:
        await asyncio.sleep(0)
        return self.health


EVENTS = st.sampled_from(
    [
        *("start", "stop", "restart", "crash", "exit", "healthy", "loading", "silent", "refused", "refused for good"),
        *("accepted", "stubborn", "obedient", "time"),
    ]
)


def happen(world: World, supervisor: Supervisor, event: str) -> None:
    match event:
        case "start":
            supervisor.start()
        case "stop":
            supervisor.stop()
        case "restart":
            supervisor.restart("requested", supervisor.snapshot.run)
        case "crash" | "exit" if world.child is not None:
            world.child.end(Exit(None, "SIGSEGV") if event == "crash" else Exit(0, None))
        case "healthy" | "loading" | "silent":
            world.health = {"healthy": Health.OK, "loading": Health.LOADING, "silent": Health.NO_ANSWER}[event]
        case "refused" | "refused for good":
            world.refuse = CannotStartError("no", retry=event == "refused")
        case "accepted":
            world.refuse = None
        case "stubborn" | "obedient":
            world.stubborn = event == "stubborn"


async def play(events: list[str]) -> None:
    world = World()
    policy = replace(POLICY, health_interval=0.001, unresponsive_after=0.003, stop_timeout=0.003, start_timeout=0.02)
    supervisor = Supervisor(
        launcher=world,
        probe=world.probe,
        progress=Idle(),
        policy=policy,
        backoff=Backoff(0.001, 0.002, 4, 60),
        observe=lambda before, after: world.changes.append((before, after)),
        oom_kills=lambda: 0,
    )
    owner = asyncio.create_task(supervisor.run())
    for event in events:
        happen(world, supervisor, event)
        await asyncio.sleep(0.002 if event == "time" else 0)

    def settled() -> bool:
        now = supervisor.snapshot
        if not now.desired:
            return now.state is State.STOPPED and world.alive == 0
        return now.state is State.READY or (now.state is State.FAILED and now.reason is not None)

    world.health, world.stubborn = Health.OK, False
    await eventually(settled, within=5)
    supervisor.close()
    await asyncio.wait_for(owner, 5)
    assert world.alive == 0
    assert world.most <= 1
    for before, after in world.changes:
        assert after.state is before.state or after.state in EDGES[before.state]
        assert (after.pid is not None) <= (after.state in RUNNING)
    ends = sum(count for _, count in supervisor.snapshot.exits)
    assert ends == sum(before.pid is None and after.pid is not None for before, after in world.changes)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_random_events(events: list[str]) -> None:
    asyncio.run(play(events))
