from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config.edit import CannotEditError, change_section
from exporter.config.secrets import HIDDEN, hide_args, hide_env, reveal_args, reveal_env

TEXT = """\
# Ours.
web: {listen_address: ":1"}   # open

server:
  # the model
  args: [-m, a.gguf]  # in a line
  restart:            # nested
    policy: never
    # a comment inside
  start_timeout:  10m # long
  host: "::1"
  # the end of the section

# logs of it
logs:
    level:   warn
"""


def test_unchanged_keys_keep_their_text_and_order() -> None:
    changed = change_section(
        TEXT, "server", {"args": ["-m", "b c.gguf", "--flag"], "port": 8081}, frozenset({"restart", "start_timeout"})
    )
    assert changed == TEXT.replace("[-m, a.gguf]", "[-m, b c.gguf, --flag]").replace(
        '  host: "::1"\n', "  port: 8081\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "server:\n  port: 1\n"),
        ("# only words", "# only words\nserver:\n  port: 1\n"),
        ("web: {}", "web: {}\nserver:\n  port: 1\n"),
        ("server:\nweb: {}\n", "server: {port: 1}\nweb: {}\n"),
        ("server: null # none\n", "server: {port: 1} # none\n"),
        ("server: {}\n", "server: {port: 1}\n"),
        ('{"server": {"port": 2, "host": "x"}, "web": {}}', '{"server": {"host": "x", port: 1}, "web": {}}'),
        ("server:\n  port: 2", "server:\n  port: 1"),
        ("server:\n  host: x", "server:\n  host: x\n  port: 1\n"),
        ("server:\r\n  host: x\r\nweb: {}\r\n", "server:\r\n  host: x\r\n  port: 1\r\nweb: {}\r\n"),
        ("server:\n  port:\n  host: x\n", "server:\n  port: 1\n  host: x\n"),
        (
            "server:\n  args:\n  - a\n  - b\n\n  # about port\n  port: 3 # old\n",
            "server:\n\n  # about port\n  port: 1 # old\n",
        ),
        ("server:\n  port: |\n    3\n\nweb: {}\n", "server:\n  port: 1\n\nweb: {}\n"),
    ],
)
def test_every_style_of_a_section(before: str, after: str) -> None:
    assert change_section(before, "server", {"port": 1}, frozenset({"host"})) == after


@pytest.mark.parametrize("text", ["[server]", "{web: {}}", "x: &a [b]\nserver:\n  args: *a\n"])
def test_an_unsafe_edit_is_refused(text: str) -> None:
    with pytest.raises(CannotEditError):
        change_section(text, "server", {"args": ["c"]}, frozenset())


SCALARS = st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=20))
VALUES = st.dictionaries(
    st.sampled_from(["args", "host", "port", "restart", "env"]),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)),
)
STYLES = st.sampled_from([True, False, None])


@example({}, {"args": "a\x85b\u2028c\u2029"}, None, set())
@given(VALUES, VALUES, STYLES, st.sets(st.sampled_from(["args", "host", "port"])))
def test_a_changed_section_reads_back_as_wanted(
    old: dict[str, Any], wanted: dict[str, Any], style: Any, kept: set[str]
) -> None:
    kept -= set(wanted)
    before = {"web": {"a": 1}, "server": old, "logs": {"level": "info"}}
    text = "# head\n" + yaml.safe_dump(before, default_flow_style=style, sort_keys=False)
    after = yaml.safe_load(change_section(text, "server", wanted, frozenset(kept)))
    expected = {key: value for key, value in old.items() if key in kept} | wanted
    assert after == {**before, "server": expected} or (not expected and after == {**before, "server": None})


def test_secrets_are_hidden_and_restored() -> None:
    args = ["-m", "x", "--api-key", "one", "--hf-token", "two", "--api-key", "three"]
    hidden = hide_args(args)
    assert hidden == ["-m", "x", "--api-key", HIDDEN, "--hf-token", HIDDEN, "--api-key", HIDDEN]
    assert reveal_args([*hidden, "-c", "1"], args) == [*args, "-c", "1"]
    with pytest.raises(ValueError, match="stands for the current secret"):
        reveal_args(["-m", HIDDEN], args)
    env = {"HF_TOKEN": "x", "LLAMA_API_KEY": "y", "LLAMA_ARG_SSL_KEY_FILE": "/a", "LLAMA_ARG_CTX_SIZE": "1"}
    shown = hide_env(env)
    assert shown == {**env, "HF_TOKEN": HIDDEN, "LLAMA_API_KEY": HIDDEN}
    assert reveal_env(shown, env) == env
    with pytest.raises(ValueError, match="OTHER_KEY has no current value"):
        reveal_env({"OTHER_KEY": HIDDEN}, env)
