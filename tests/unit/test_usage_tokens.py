from hypothesis import given
from hypothesis import strategies as st

from exporter.llama.api import NextToken, Slot
from exporter.logs.events import Finished, Launched, Progress
from exporter.usage.from_counters import FromCounters
from exporter.usage.from_log import FromLog
from exporter.usage.tokens import Tokens


def slot(task: int, generated: int, prompt: int | None = None) -> Slot:
    return Slot(0, task, 2048, True, NextToken(generated), prompt)


def finished(task: int, prompt: int | None = None, cached: int | None = None, made: int | None = None) -> Finished:
    return Finished(None, task, "completed", prompt, cached, made)


def test_running_requests_count_as_they_are_made_and_once() -> None:
    usage = FromLog()
    usage.take(Launched(None, 1))
    usage.seen(None, [slot(1, 10, 5)])
    assert usage.totals == Tokens(5, 0, 10)
    usage.take(finished(1, 5, 2, 17))
    assert usage.totals == Tokens(5, 2, 17)
    usage.seen(None, [slot(1, 12, 5)])  # an answer of /slots that was overtaken by the log
    assert usage.totals == Tokens(5, 2, 17)
    assert usage.running == 0


def test_a_cancelled_request_keeps_what_was_last_seen() -> None:
    usage = FromLog()
    usage.take(Launched(None, 1))
    usage.seen(None, [slot(1, 40, 5)])
    usage.take(Finished(None, 1, "cancelled"))
    assert usage.totals == Tokens(5, 0, 40)


def test_a_request_whose_end_was_not_logged_ends_when_slots_do_not_show_it_and_a_late_line_corrects_it() -> None:
    usage = FromLog()
    usage.take(Launched(None, 1))
    usage.seen(None, [slot(1, 40, 5)])
    for _ in range(3):
        usage.seen(None, [])
        assert usage.running == 1
    usage.seen(None, [])
    assert usage.running == 0
    assert usage.totals == Tokens(5, 0, 40)
    usage.take(finished(1, 5, 0, 50))
    usage.take(finished(1, 5, 0, 50))
    assert usage.totals == Tokens(5, 0, 50)


def test_the_end_of_the_server_loses_nothing_and_task_ids_may_come_again() -> None:
    usage = FromLog()
    usage.take(Launched(None, 1))
    usage.seen(None, [slot(1, 40, 5)])
    usage.gone(None)
    assert usage.totals == Tokens(5, 0, 40)
    usage.take(Launched(None, 1))
    usage.seen(None, [slot(1, 2, 3)])
    assert usage.totals == Tokens(8, 0, 42)


def test_a_new_process_on_the_same_port_has_tasks_of_its_own() -> None:
    usage = FromLog()
    usage.take(Launched(4001, 1))
    usage.take(Finished(4001, 1, "completed", 5, 0, 40))
    usage.begin(4001)
    usage.seen(4001, [slot(1, 2, 3)])  # seen before its line was read
    assert (usage.totals, usage.running) == (Tokens(8, 0, 42), 1)


def test_two_processes_of_a_model_may_use_the_same_task_ids() -> None:
    usage = FromLog()
    for child in (4001, 4002):
        usage.take(Launched(child, 1))
        usage.seen(child, [slot(1, 40, 5)])
    assert usage.running == 2
    usage.gone(4001)
    assert (usage.running, usage.runs_in(4001), usage.runs_in(4002)) == (1, False, True)
    usage.take(Finished(4002, 1, "completed", 5, 0, 60))
    usage.take(Finished(4001, 1, "completed", 5, 0, 41))  # read after the process had ended
    assert usage.totals == Tokens(10, 0, 101)


def test_drafted_tokens_are_counted_when_the_request_ends() -> None:
    usage = FromLog()
    usage.take(Launched(None, 1))
    usage.take(Finished(None, 1, "completed", 3, 0, 50, 0.1, 0.1, 36, 30))
    assert usage.totals == Tokens(3, 0, 50, 36, 30)


def test_the_progress_of_a_prompt_is_there_until_it_generates() -> None:
    usage = FromLog()
    usage.take(Launched(None, 1))
    usage.take(Progress(None, 1, 500, 20, 0.25))
    assert (usage.progress, usage.held((None, 1))) == ({(None, 1): 0.25}, 520)
    usage.seen(None, [slot(1, 1, 2000)])
    assert usage.progress == {}


def look(usage: FromCounters, now: float, counters: Tokens, slots: list[Slot], age: float = 0.1) -> None:
    usage.looked(counters, slots, asked_at=now - age, now=now)


def test_what_ran_when_the_process_was_met_counts_from_then_on() -> None:
    usage = FromCounters()
    look(usage, 1, Tokens(100, 0, 1000), [slot(1, 500, 7)])
    assert usage.totals == Tokens()
    look(usage, 2, Tokens(100, 0, 1000), [slot(1, 550, 7), slot(2, 5, 7)])
    assert usage.totals == Tokens(0, 0, 55)
    look(usage, 3, Tokens(100, 0, 1600), [slot(2, 10, 7)])  # ended with 600
    assert usage.totals == Tokens(0, 0, 110)
    usage = FromCounters()
    look(usage, 1, Tokens(), [slot(1, 500, 7)])
    look(usage, 2, Tokens(), [slot(1, 520, 7)])
    look(usage, 3, Tokens(), [])  # cancelled, in a build that does not count that
    look(usage, 4, Tokens(), [])
    assert usage.totals == Tokens(0, 0, 20)


def test_a_process_that_was_asleep_when_it_was_met_counts_all_of_its_first_request() -> None:
    usage = FromCounters()
    running = Slot(0, 9, 2048, True, NextToken(30), 12, 3)
    usage.wakes(Tokens(512, 100, 1000), [running], batchwise=True)
    look(usage, 1, Tokens(512, 100, 1000), [running])
    assert usage.totals == Tokens(12, 3, 30)
    look(usage, 2, Tokens(512, 100, 1064), [])
    assert usage.totals == Tokens(12, 3, 64)


def test_counters_take_over_from_slots_when_a_request_ends() -> None:
    usage = FromCounters()
    look(usage, 1, Tokens(100, 0, 1000), [])  # what was before we came is not ours
    assert usage.totals == Tokens()
    look(usage, 2, Tokens(107, 0, 1000), [slot(1, 50, 7)])  # the prompt is counted when it is done
    assert usage.totals == Tokens(7, 0, 50)
    look(usage, 3, Tokens(107, 0, 1064), [])
    assert usage.totals == Tokens(7, 0, 64)


def test_a_request_that_ended_between_the_two_answers_of_a_look_is_counted_once() -> None:
    usage = FromCounters(met_at_birth=True)
    look(usage, 1, Tokens(7), [slot(1, 50, 7)])
    look(usage, 2, Tokens(7), [])  # gone from /slots, not yet in the counters
    assert usage.totals == Tokens(7, 0, 50)
    look(usage, 3, Tokens(7, 0, 64), [])
    assert usage.totals == Tokens(7, 0, 64)


def test_a_look_at_counters_from_before_a_request_ended_does_not_make_it_a_cancelled_one() -> None:
    usage = FromCounters(met_at_birth=True)
    look(usage, 1, Tokens(), [slot(1, 50, 7)])
    look(usage, 2, Tokens(), [], age=1.1)  # the page that a scrape asked for, shared
    look(usage, 3, Tokens(), [], age=2.1)
    assert usage.totals == Tokens(0, 0, 50)
    look(usage, 4, Tokens(7, 0, 64), [])
    assert usage.totals == Tokens(7, 0, 64)


def test_without_a_log_a_cancelled_request_keeps_what_was_last_seen() -> None:
    usage = FromCounters(met_at_birth=True)
    look(usage, 1, Tokens(), [slot(1, 50, 7), slot(2, 10, 1)])
    look(usage, 2, Tokens(8), [slot(2, 20, 1)])
    look(usage, 3, Tokens(8), [slot(2, 30, 1)])
    look(usage, 4, Tokens(8, 0, 35), [])
    assert usage.totals == Tokens(8, 0, 85)


def test_a_restarted_server_counts_from_nothing() -> None:
    usage = FromCounters()
    look(usage, 1, Tokens(0, 0, 0), [])
    look(usage, 2, Tokens(10, 0, 100), [])
    usage.gone(None)
    look(usage, 3, Tokens(1, 0, 5), [])
    assert usage.totals == Tokens(11, 0, 105)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("launch"), st.integers(1, 5), st.integers(0, 0)),
        st.tuples(st.just("seen"), st.integers(1, 5), st.integers(0, 100)),
        st.tuples(st.just("finish"), st.integers(1, 5), st.integers(0, 100)),
        st.tuples(st.just("cancel"), st.integers(1, 5), st.integers(0, 0)),
        st.tuples(st.just("gone"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_totals_never_go_back(steps: list[tuple[str, int, int]]) -> None:
    usage = FromLog()
    last = Tokens()
    for what, task, count in steps:
        match what:
            case "launch":
                usage.take(Launched(None, task))
            case "seen":
                usage.seen(None, [slot(task, count, count)])
            case "finish":
                usage.take(finished(task, count, 0, count))
            case "cancel":
                usage.take(finished(task))
            case _:
                usage.gone(None)
        assert usage.totals.at_least(last) == usage.totals
        last = usage.totals
