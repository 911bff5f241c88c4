"""The writer of tiny models: its files are what they say, and real engines load and answer with them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.spawned import EMBEDDED, Spawned, free_port, said
from tests.support.tiny_models import (
    WORDS,
    GgufWriter,
    image_tokens,
    png,
    truncate,
    write_mismatched_projector,
    write_projector,
    write_text_model,
)
from variet_gui.gguf.header import read_header


def test_that_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    one = write_text_model(tmp_path / "one.gguf").read_bytes()
    again = write_text_model(tmp_path / "again.gguf").read_bytes()
    other = write_text_model(tmp_path / "other.gguf", seed=1).read_bytes()
    assert one == again
    assert one != other
    assert len(one) == len(other) < 1_000_000


def test_that_a_file_begins_as_gguf_version_3_with_true_counts(tmp_path: Path) -> None:
    file = GgufWriter("llama")
    file.u32("a.number", 7)
    file.texts("some.words", ["one", "zwölf"])
    file.tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
    data = file.write(tmp_path / "small.gguf").read_bytes()
    assert struct.unpack_from("<4sIQQ", data) == (b"GGUF", 3, 1, 3)
    assert data.index(struct.pack("<IQQIQ", 2, 3, 2, 0, 0)) > 0  # dimensions are stored reversed; f32; offset 0
    assert np.frombuffer(data[-32:][:24], np.float32).tolist() == [0, 1, 2, 3, 4, 5]  # padded to 32 bytes


def test_that_the_panels_own_reader_finds_the_keys_and_shapes(tmp_path: Path) -> None:
    header = read_header(write_text_model(tmp_path / "m.gguf", layers=3, experts=4))
    assert (header.block_count, header.expert_count) == (3, 4)
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    assert shapes["blk.2.ffn_down_exps.weight"] == (128, 64, 4)  # fastest first, as the file stores it
    assert shapes["output.weight"] == (64, 3 + 256 + len(WORDS))
    assert header.missing_bytes == 0


def test_that_a_width_that_the_heads_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="65 cannot be divided among 2 heads"):
        write_text_model(tmp_path / "m.gguf", embedding=65)


def test_that_a_truncated_file_keeps_its_beginning_only(tmp_path: Path) -> None:
    path = write_text_model(tmp_path / "m.gguf")
    whole = path.read_bytes()
    assert truncate(path, 0.25).read_bytes() == whole[: len(whole) // 4]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (64, 48)])
def test_that_a_png_holds_all_its_pixels(size: tuple[int, int]) -> None:
    width, height = size
    data = png(width, height, seed=3)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack_from(">II", data, 16) == size
    start = data.index(b"IDAT")
    (length,) = struct.unpack_from(">I", data, start - 4)
    assert len(zlib.decompress(data[start + 4 : start + 4 + length])) == height * (1 + 3 * width)
    assert data != png(width, height, seed=4)


@pytest.fixture(params=["llama-server", "embedded"])
def program(request: pytest.FixtureRequest) -> Sequence[str]:
    """Every real engine: the files must please both."""
    return EMBEDDED if request.param == "embedded" else [str(request.getfixturevalue("llama_server"))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_text_model(folder / "text.gguf")
    write_text_model(folder / "experts.gguf", experts=4, ends=False)
    write_projector(folder / "vision.gguf")
    write_mismatched_projector(folder / "wrong.gguf")
    truncate(write_text_model(folder / "cut.gguf"))
    return folder


def spawned(program: Sequence[str], folder: Path, log: Path, *options: str) -> Spawned:
    command = [*program, "-lv", "4", "--offline", "--host", "127.0.0.1", "-np", "1", "-c", "1024", "-t", "1"]
    names = [str(folder / option) if option.endswith(".gguf") else option for option in options]
    return Spawned([*command, *names], log, free_port())


@pytest.mark.engine
def test_that_a_real_engine_answers_in_words_with_a_q8_cache(
    program: Sequence[str], models: Path, tmp_path: Path
) -> None:
    options = ("-m", "text.gguf", "-ctk", "q8_0", "-ctv", "q8_0")
    with spawned(program, models, tmp_path / "log", *options) as server:
        answer = server.wait_for_health().chat("hello", max_tokens=8)
    assert set(said(answer).split()) <= set(WORDS)
    assert said(answer)


@pytest.mark.engine
def test_that_a_real_engine_counts_the_tokens_of_a_picture(
    program: Sequence[str], models: Path, tmp_path: Path
) -> None:
    with spawned(program, models, tmp_path / "log", "-m", "text.gguf", "--mmproj", "vision.gguf") as server:
        server.wait_for_health()
        assert server.client.get("/props").json()["modalities"]["vision"] is True
        blind = server.chat("what is this", max_tokens=4)["usage"]["prompt_tokens"]
        for size in ((64, 64), (200, 70)):
            seeing = server.chat("what is this", png(*size), max_tokens=4)
            assert seeing["usage"]["prompt_tokens"] == blind + image_tokens()
            assert seeing["timings"]["prompt_n"] == blind + image_tokens()


@pytest.mark.engine
def test_that_a_model_of_experts_that_never_ends_fills_what_it_is_allowed(
    program: Sequence[str], models: Path, tmp_path: Path
) -> None:
    with spawned(program, models, tmp_path / "log", "-m", "experts.gguf", "--n-cpu-moe", "1") as server:
        answer = server.wait_for_health().chat("go on", max_tokens=300)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 300


@pytest.mark.engine
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-m", "text.gguf", "--mmproj", "wrong.gguf"), "mismatch between text model (n_embd = 64)"),
        (("-m", "cut.gguf"), "is not within the file bounds"),
    ],
)
def test_that_the_broken_files_are_broken_as_meant(
    program: Sequence[str], models: Path, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    with spawned(program, models, tmp_path / "log", *options) as server:
        assert server.process.wait(30) == 1
        assert reason in server.log
