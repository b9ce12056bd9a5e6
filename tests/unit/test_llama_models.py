from exporter.llama.api import ModelsAnswer, ModelState, decode, state_of
from exporter.llama.models import KnownModel, Listed, ModelList
from tests.support import FIXTURES

S = ModelState


def read(build: str, name: str) -> dict[str, Listed]:
    body = (FIXTURES / build / f"router-models-{name}.json").read_bytes()
    return {model.name: model for model in Listed.of(decode("GET /models", body, ModelsAnswer))}


def test_the_lists_of_real_routers() -> None:
    assert read("new", "before")["alpha"] == Listed("alpha", S.UNLOADED, None, None, sleeps=True)
    assert read("new", "loaded")["alpha"] == Listed("alpha", S.LOADED, 41381, None, sleeps=True)
    assert read("new", "sleeping")["beta"] == Listed("beta", S.SLEEPING, 36477, None, sleeps=True)
    assert read("new", "failed")["broken"] == Listed("broken", S.FAILED, 36155, 1, sleeps=True)
    assert read("mid", "loaded")["beta"] == Listed("beta", S.LOADED, 57295)
    assert read("mid", "failed")["broken"] == Listed("broken", S.FAILED, 48249, 1)
    assert read("mid", "after-unload")["beta"].state is S.UNLOADED


class Story:
    """A roster and what it told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ModelState | None, ModelState | None]] = []
        self.roster = ModelList(lambda entry, before: self.told.append((entry.name, before, entry.state)))
        self.now = 100.0

    def lists(self, *models: Listed) -> None:
        self.now += 1
        self.roster.listed(models, self.now)

    def event(self, state: ModelState, code: int | None = None) -> None:
        self.now += 1
        self.roster.changed("a", state, self.now, code)

    @property
    def entry(self) -> KnownModel:
        return self.roster.entries["a"]


def test_a_load_told_by_events_and_lists_is_one_load() -> None:
    story = Story()
    story.lists(Listed("a", S.UNLOADED))
    story.event(S.LOADING)
    story.event(S.LOADING)
    story.lists(Listed("a", S.LOADING, 4001))
    story.event(S.LOADED)
    story.lists(Listed("a", S.LOADED, 4001))
    assert story.entry.loads == {"loaded": 1, "failed": 0}
    assert story.entry.load_seconds == 3
    assert story.told == [("a", None, S.UNLOADED), ("a", S.UNLOADED, S.LOADING), ("a", S.LOADING, S.LOADED)]


def test_events_that_a_list_has_overtaken_count_nothing_twice() -> None:
    story = Story()
    story.lists(Listed("a", S.UNLOADED))
    story.lists(Listed("a", S.LOADED, 4001))
    story.event(S.LOADING)
    story.event(S.LOADED)
    assert (story.entry.state, story.entry.loads["loaded"]) == (S.LOADED, 1)


def test_a_load_that_only_lists_show() -> None:
    story = Story()
    story.lists(Listed("a", S.UNLOADED))
    story.lists(Listed("a", S.LOADED, 4001))
    assert (story.entry.loads["loaded"], story.entry.load_seconds) == (1, None)
    story.lists(Listed("a", S.LOADED, 4002))  # another process: unloaded and loaded in between
    assert story.entry.loads["loaded"] == 2


def test_what_is_loaded_when_first_seen_was_not_loaded_under_our_eyes() -> None:
    story = Story()
    story.lists(Listed("a", S.LOADED, 4001))
    assert story.entry.loads == {"loaded": 0, "failed": 0}


def test_failed_loads_are_counted_each() -> None:
    story = Story()
    story.lists(Listed("a", S.UNLOADED))
    story.lists(Listed("a", S.FAILED, 4001, 1))
    story.lists(Listed("a", S.FAILED, 4001, 1))
    story.lists(Listed("a", S.FAILED, 4002, 1))
    assert story.entry.loads == {"loaded": 0, "failed": 2}
    story.event(S.LOADING)
    story.event(state_of("unloaded", 1), 1)
    story.lists(Listed("a", S.FAILED, 4003, 1))
    assert story.entry.loads == {"loaded": 0, "failed": 3}
    assert story.entry.exit_code == 1
    story.event(S.LOADING)
    story.event(S.LOADED)
    assert story.entry.exit_code is None


def test_a_process_that_dies_is_no_failed_load() -> None:
    story = Story()
    story.lists(Listed("a", S.LOADED, 4001))
    story.event(state_of("unloaded", 137), 137)
    assert (story.entry.state, story.entry.exit_code, story.entry.loads["failed"]) == (S.FAILED, 137, 0)


def test_waking_is_no_load() -> None:
    story = Story()
    story.lists(Listed("a", S.LOADED, 4001))
    story.event(S.SLEEPING)
    story.event(S.LOADING)
    assert (story.entry.waking, story.entry.port) == (True, 4001)
    story.event(S.LOADED)
    assert (story.entry.waking, story.entry.loads["loaded"]) == (False, 0)


def test_deleted_models_and_a_dead_server_have_no_state_but_keep_their_counts() -> None:
    story = Story()
    story.lists(Listed("a", S.UNLOADED), Listed("b", S.UNLOADED))
    story.event(S.LOADING)
    story.event(S.LOADED)
    story.lists(Listed("b", S.UNLOADED))
    assert (story.entry.state, story.entry.loads["loaded"]) == (None, 1)
    story.roster.gone(200)
    assert [entry.state for entry in story.roster.entries.values()] == [None, None]


def test_names_that_come_and_go_take_no_memory() -> None:
    story = Story()
    for number in range(50):
        story.lists(Listed(f"model {number}", S.UNLOADED))
    assert list(story.roster.entries) == ["model 49"]


def test_a_state_that_no_build_has_yet_is_on_the_way() -> None:
    assert state_of("compiling", None) is S.LOADING
