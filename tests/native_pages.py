"""Pages as a server of tomorrow, or a broken one, could serve them: hypothesis strategies."""

from hypothesis import strategies as st

NAMES = st.sampled_from(
    ["a", "a_total", "a_created", "c:d", "h", "h_bucket", "h_sum", "h_count", "s", "s_sum", "s_count", "i", "i_info"]
) | st.sampled_from(
    ["_total", "_info", "llama_server_up", "llama_prompt_tokens", "llama_prompt_tokens_total", "llama_server_info"]
)
LABELS = st.sampled_from(["l", "le", "quantile", "model", "__name__", "a:b", "é"])
WORDS = ["1e5", "1E3", "-0", "1e999", "-nan(ind)", "NaN", "nan", "+Inf", "-Inf", "inf", "Infinity", "0x10", "1_0", ""]
VALUES = st.floats().map(str) | st.sampled_from(WORDS)
KINDS = st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped", "info", "unknown", "nonsense", ""])


def _label(name: str, value: str, *, escaped: bool) -> str:
    if escaped:
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{value}"'


PAIRS = st.builds(_label, LABELS, st.text(max_size=6), escaped=st.integers(0, 9).map(bool))
SETS = st.just("") | st.builds(
    lambda pairs, comma, end: f"{{{comma.join(pairs)}{end}}}",
    st.lists(PAIRS, max_size=3),
    st.sampled_from([",", ", ", ",,"]),
    st.sampled_from(["", ","]),
)
SAMPLES = st.builds(
    "".join,
    st.tuples(
        NAMES,
        SETS,
        st.sampled_from([" ", "  ", "\t", ""]),
        VALUES,
        st.sampled_from(["", "", "", " 123", " 12.5", " -3", " abc"]),
        st.sampled_from(["", "", "", " # {} 1", ' # {a="b"} 0.5 123', "# x"]),
    ),
)
COMMENTS = (
    st.builds("# TYPE {} {}".format, NAMES, KINDS)
    | st.builds("# HELP {} {}".format, NAMES, st.text(max_size=8))
    | st.sampled_from(["# EOF", "# UNIT a seconds"])
    | st.text(max_size=10).map("#{}".format)
)
PAGES = st.lists(SAMPLES | SAMPLES | COMMENTS | st.text(max_size=15), max_size=14).map("\n".join)
