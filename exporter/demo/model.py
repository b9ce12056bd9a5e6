"""A half-megabyte llama model with random weights: real inference at thousands of tokens a second, and no sense.

Nothing has to be downloaded. The text it makes is noise; tokens, slots, timings and log lines are those of any model.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

LAYERS = 2
WIDTH = 64
HEADS = 4
FEED_FORWARD = 128
SEED = 20_250_501

SPECIAL = ("<unk>", "<s>", "</s>")
UNKNOWN, BEGIN, END = range(len(SPECIAL))

# SentencePiece writes a space as U+2581. Pieces of several letters are reached by merging shorter ones, so every
# prefix has to be a piece too: "_t", "_th", "_the". Single characters that are missing fall back to their bytes.
PIECES = (
    *"▁etaoinshrdlucmfwygpbvk",
    *(
        "▁a",
        "▁o",
        "▁of",
        "▁t",
        "▁th",
        "▁the",
        "▁to",
        "▁i",
        "▁in",
        "▁is",
        "▁w",
        "▁s",
        "▁c",
        "▁h",
        "▁b",
        "▁m",
        "▁p",
        "▁d",
    ),
    *("he", "in", "er", "an", "re", "on", "at", "en", "or", "es", "ou", "it", "ing", "and"),
    *(".", ",", "?", "!", ":", "-", "'", "0", "1", "2"),
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny_model(path: Path, *, context: int = 2048, layers: int = LAYERS) -> Path:
    """Write the model to `path` and return it.

    `context` is the longest context that the model claims to know; more `layers` make it slower.

    The same arguments give the same bytes. A reader never sees half a file: it is written aside and renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as aside:
        unfinished = Path(aside) / path.name
        _write(unfinished, context, layers)
        unfinished.replace(path)
    return path


def _write(path: Path, context: int, layers: int) -> None:
    tokens, scores, types = _vocabulary()
    with contextlib.closing(gguf.GGUFWriter(path, "llama")) as writer:
        writer.add_context_length(context)
        writer.add_embedding_length(WIDTH)
        writer.add_block_count(layers)
        writer.add_feed_forward_length(FEED_FORWARD)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(WIDTH // HEADS)
        writer.add_vocab_size(len(tokens))
        writer.add_name("tiny")
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(BEGIN)
        writer.add_eos_token_id(END)
        writer.add_unk_token_id(UNKNOWN)
        writer.add_chat_template(CHAT_TEMPLATE)
        for name, values in _tensors(len(tokens), layers):
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types. The tokenizer merges the pair with the highest score first: earlier pieces win."""
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    tokens = [*SPECIAL, *byte_tokens, *PIECES]
    scores = [0.0] * (len(SPECIAL) + len(byte_tokens)) + [-float(rank) for rank in range(len(PIECES))]
    types = [
        gguf.TokenType.UNKNOWN,
        gguf.TokenType.CONTROL,
        gguf.TokenType.CONTROL,
        *[gguf.TokenType.BYTE] * len(byte_tokens),
        *[gguf.TokenType.NORMAL] * len(PIECES),
    ]
    return tokens, scores, [int(kind) for kind in types]


def _tensors(vocabulary: int, layers: int) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    """Name and values of each tensor, in GGUF's order of dimensions: outputs first, inputs last."""
    random = np.random.default_rng(SEED)

    def weights(outputs: int, inputs: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return (random.standard_normal((outputs, inputs)) * 0.05).astype(np.float32)

    ones = np.ones(WIDTH, dtype=np.float32)
    yield "token_embd.weight", weights(vocabulary, WIDTH)
    for layer in range(layers):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", ones
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}.{name}.weight", weights(WIDTH, WIDTH)
        yield f"{block}.ffn_norm.weight", ones
        yield f"{block}.ffn_gate.weight", weights(FEED_FORWARD, WIDTH)
        yield f"{block}.ffn_up.weight", weights(FEED_FORWARD, WIDTH)
        yield f"{block}.ffn_down.weight", weights(WIDTH, FEED_FORWARD)
    yield "output_norm.weight", ones
    yield "output.weight", weights(vocabulary, WIDTH)
