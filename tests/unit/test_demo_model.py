from pathlib import Path

import gguf
import pytest

from exporter.demo.model import PIECES, write_tiny_model


def test_model_is_what_it_says(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "new" / "tiny.gguf", context=512)
    reader = gguf.GGUFReader(path)

    def value(key: str) -> object:
        return reader.fields[key].contents()

    assert len(reader.tensors) == 21
    assert value("general.architecture") == "llama"
    assert value("general.name") == "tiny"
    assert value("llama.context_length") == 512
    assert value("llama.block_count") == 2
    assert value("llama.vocab_size") == 324
    assert value("tokenizer.ggml.bos_token_id") == 1
    assert value("tokenizer.ggml.eos_token_id") == 2
    assert value("tokenizer.ggml.unknown_token_id") == 0
    assert "<|im_start|>" in str(value("tokenizer.chat_template"))
    assert 400_000 < path.stat().st_size < 600_000


def test_vocabulary_has_every_byte_and_a_type_for_each_token(tmp_path: Path) -> None:
    fields = gguf.GGUFReader(write_tiny_model(tmp_path / "tiny.gguf")).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    assert tokens[:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert tokens[258] == "<0xFF>"
    assert types == [2, 3, 3, *[6] * 256, *[1] * len(PIECES)]
    assert len(tokens) == len(types) == len(fields["tokenizer.ggml.scores"].contents())
    assert len(set(tokens)) == len(tokens)


def test_same_arguments_give_the_same_bytes_and_leave_nothing_beside(tmp_path: Path) -> None:
    first = write_tiny_model(tmp_path / "first.gguf").read_bytes()
    assert write_tiny_model(tmp_path / "second.gguf").read_bytes() == first
    assert write_tiny_model(tmp_path / "second.gguf", context=4096).read_bytes() != first
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["first.gguf", "second.gguf"]


def test_a_failure_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)
    with pytest.raises(OSError, match="no space"):
        write_tiny_model(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
