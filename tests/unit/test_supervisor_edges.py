"""Every edge of the table on a real process that does what a control file says."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.supervisor.policy import Backoff
from exporter.supervisor.process import CannotStartError
from exporter.supervisor.states import EDGES, State
from tests.support import eventually
from tests.unit.test_supervisor import POLICY, Bench, bench

S = State


class Stage:
    """A supervisor and the orders of its process."""

    def __init__(self, it: Bench, control: Path) -> None:
        self.it = it
        self.control = control

    def order(self, text: str) -> None:
        fresh = self.control.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.control)  # the process reads all of it or nothing

    async def reach(self, state: State) -> None:
        """Bring it into `state`, from where the act begins."""
        supervisor = self.it.supervisor
        match state:
            case S.STARTING:
                self.order("silent")
                supervisor.start()
            case S.LOADING:
                self.order("load")
                supervisor.start()
            case S.READY:
                supervisor.start()
            case S.UNRESPONSIVE:
                await self.reach(S.READY)
                self.order("hang")
            case S.STOPPING:
                await self.reach(S.READY)
            case S.BACKOFF | S.FAILED:
                self.it.refusal = CannotStartError("no", retry=state is S.BACKOFF)
                supervisor.start()
        if state is not S.STOPPING:
            await self.it.until(state)

    def start_refused(self, *, retry: bool) -> None:
        self.it.refusal = CannotStartError("no", retry=retry)
        self.it.supervisor.start()

    def start_accepted(self) -> None:
        self.it.refusal = None
        self.it.supervisor.start()


@dataclass
class Scene:
    """What to do in the first state so that the second follows; the policy that it needs."""

    act: Callable[[Stage], None]
    policy: dict[str, Any]
    give_up_after: int = 5


def order(text: str) -> Callable[[Stage], None]:
    return lambda stage: stage.order(text)


def scenes() -> dict[tuple[State, State], Scene]:
    report = {"unresponsive_action": "report"}
    table = {
        (S.STOPPED, S.STARTING): Scene(lambda stage: stage.it.supervisor.start(), {}),
        (S.STOPPED, S.BACKOFF): Scene(lambda stage: stage.start_refused(retry=True), {}),
        (S.STOPPED, S.FAILED): Scene(lambda stage: stage.start_refused(retry=False), {}),
        (S.STARTING, S.LOADING): Scene(order("load"), {}),
        (S.STARTING, S.READY): Scene(order(""), {}),
        (S.LOADING, S.READY): Scene(order(""), {}),
        (S.READY, S.LOADING): Scene(order("load"), {}),
        (S.READY, S.UNRESPONSIVE): Scene(order("hang"), report),
        (S.UNRESPONSIVE, S.READY): Scene(order(""), report),
        (S.UNRESPONSIVE, S.LOADING): Scene(order("load"), report),
        (S.STOPPING, S.STOPPED): Scene(lambda stage: stage.it.supervisor.stop(), {}),
        (S.STOPPING, S.STARTING): Scene(lambda stage: stage.it.restart(), {}),
        (S.STOPPING, S.BACKOFF): Scene(order("hang"), {"stop_timeout": 0.1}),
        (S.STOPPING, S.FAILED): Scene(order("hang"), {"stop_timeout": 0.1}, give_up_after=1),
        (S.BACKOFF, S.STOPPED): Scene(lambda stage: stage.it.supervisor.stop(), {}),
        (S.BACKOFF, S.STARTING): Scene(lambda stage: stage.start_accepted(), {}),
        (S.BACKOFF, S.FAILED): Scene(lambda stage: stage.start_refused(retry=False), {}),
        (S.FAILED, S.STOPPED): Scene(lambda stage: stage.it.supervisor.stop(), {}),
        (S.FAILED, S.STARTING): Scene(lambda stage: stage.start_accepted(), {}),
        (S.FAILED, S.BACKOFF): Scene(lambda stage: stage.start_refused(retry=True), {}),
    }
    for running in (S.STARTING, S.LOADING, S.READY, S.UNRESPONSIVE):
        table |= {
            (running, S.STOPPED): Scene(order("exit 0"), {**report, "restart": "on-failure"}),
            (running, S.BACKOFF): Scene(order("exit 1"), report),
            (running, S.FAILED): Scene(order("exit 1"), report, give_up_after=1),
            (running, S.STOPPING): Scene(lambda stage: stage.it.supervisor.stop(), report),
        }
    return table


SCENES = scenes()


def test_there_is_a_scene_for_every_edge() -> None:
    assert set(SCENES) == {(before, after) for before, afters in EDGES.items() for after in afters}


@pytest.mark.parametrize(("before", "after"), SCENES, ids=str)
async def test_edge(before: State, after: State, tmp_path: Path) -> None:
    scene = SCENES[before, after]
    control = tmp_path / "control"
    control.write_text("")
    policy = replace(POLICY, **scene.policy)
    backoff = Backoff(30, 30, scene.give_up_after, 60)
    async with bench("--control", str(control), policy=policy, backoff=backoff) as it:
        stage = Stage(it, control)
        await stage.reach(before)
        seen = len(it.seen)
        scene.act(stage)
        await eventually(lambda: (before, after) in edges(it, seen))
        it.refusal = None
        stage.order("")


def edges(it: Bench, since: int) -> set[tuple[State, State]]:
    """The changes of state since that many snapshots."""
    states = [snapshot.state for snapshot in it.seen[max(0, since - 1) :]]
    if since == 0:
        states.insert(0, State.STOPPED)
    return {(one, other) for one, other in itertools.pairwise(states) if one is not other}
