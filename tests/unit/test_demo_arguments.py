from pathlib import Path

import pytest

from exporter.demo.embedded import parameters, parse


def test_defaults_are_small_and_metrics_are_off() -> None:
    params = parameters(parse(["-m", "models/tiny.gguf"]))
    assert params.model.path == "models/tiny.gguf"
    assert params.model_alias == {"tiny.gguf"}
    assert (params.n_ctx, params.n_parallel, params.cpuparams.n_threads) == (4096, 2, 1)
    assert not params.endpoint_metrics
    assert params.endpoint_slots


def test_every_flag_reaches_llama_cpp(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("third\n\nfourth\n")
    line = (
        f"--model m --host 0.0.0.0 --port 1 -c 512 -np 3 --metrics --no-slots --api-key first,second "
        f"--api-key-file {keys} -a one,two --sleep-idle-seconds 9 -lv 4 -n -1 -t 2 --embedding"
    )
    params = parameters(parse(line.split()))
    assert params.hostnames == ["0.0.0.0"]  # noqa: S104 -- nothing listens here
    assert (params.port, params.n_ctx, params.n_parallel, params.verbosity) == (1, 512, 3, 4)
    assert (params.endpoint_metrics, params.endpoint_slots, params.embedding) == (True, False, True)
    assert params.api_keys == ["first", "second", "third", "fourth"]
    assert params.model_alias == {"one", "two"}
    assert (params.sleep_idle_seconds, params.n_predict, params.cpuparams.n_threads) == (9, -1, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "error: invalid argument: --nope"),
        ("-m x --nope 3", "error: invalid argument: --nope"),
        ("-m x --metric", "error: invalid argument: --metric"),
        ("-m x --port abc", "error: argument --port: invalid int value: 'abc'"),
        ("--metrics", "error: no model given, use --model"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_1(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(line.split())
    assert exit_.value.code == 1
    assert capsys.readouterr().err == f"{message}\n"
