"""The watchdog's judgement: what an answer of the server, or its silence, means. Pure functions of what was seen."""

from typing import NamedTuple

from exporter.llama.client import Health
from exporter.supervisor.snapshot import Policy, Snapshot
from exporter.supervisor.states import State


class Verdict(NamedTuple):
    """The state to change to, and why where that is not plain."""

    state: State
    reason: str | None = None


def judge(state: State, health: Health, silent: float, stalled: float, policy: Policy) -> Verdict | None:
    """What follows from one answer to `/health`, None when nothing changes.

    `silent` is for how many seconds it has not answered, `stalled` for how many requests have been running without
    progress: `/health` answers from a thread of its own and can be well while the decoding is not.
    """
    limit = policy.unresponsive_after
    match health:
        case Health.OK if state in (State.READY, State.UNRESPONSIVE) and stalled >= limit:
            return Verdict(State.UNRESPONSIVE, f"requests run, and neither token nor log came for {stalled:.0f} s")
        case Health.OK if state is not State.READY:
            return Verdict(State.READY)
        case Health.LOADING if state is not State.LOADING:
            return Verdict(State.LOADING)
        case Health.NO_ANSWER if state is State.READY and silent >= limit:
            return Verdict(State.UNRESPONSIVE, f"/health has not answered for {silent:.0f} s")
    return None


def overdue(snapshot: Snapshot, now: float, policy: Policy) -> str | None:
    """Why it has to be killed, if it has: a load that takes too long, or a hang that the policy does not bear."""
    waited = now - (snapshot.started or now)
    if snapshot.ready is None and waited >= policy.start_timeout:
        return f"it was not ready {waited:.0f} s after its start (server.start_timeout)"
    if snapshot.state is State.UNRESPONSIVE and policy.unresponsive_action == "restart":
        return snapshot.reason
    return None
