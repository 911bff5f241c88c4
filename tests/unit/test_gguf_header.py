"""Reading GGUF headers: real shapes where the test cases are at hand, self-written files, and hostile ones."""

from __future__ import annotations

import json
import os
import struct
import tarfile
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.tiny_models import truncate, write_mismatched_projector, write_projector, write_text_model
from variet_gui.forecast.overrides import overridden, overrides
from variet_gui.forecast.placement import placement
from variet_gui.gguf.header import GgufError, GgufHeader, GgufProblem, SkippedArray, read_header
from variet_gui.gguf.projector import projector_type, projector_width, sees
from variet_gui.gguf.reader import LONGEST_KEPT_ARRAY

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
"""Header-only models with real shapes, beside the repository where they are at hand."""

U32, STRING, ARRAY = 4, 8, 9


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name: str, value_type: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", value_type) + value


def strings(name: str, words: list[str]) -> bytes:
    return key(name, ARRAY, struct.pack("<IQ", STRING, len(words)) + b"".join(text(word) for word in words))


def u32(name: str, value: int) -> bytes:
    return key(name, U32, struct.pack("<I", value))


def u16(name: str, value: int) -> bytes:
    return key(name, 2, struct.pack("<H", value))


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(keys: list[bytes], tensors: list[bytes], data: int = 0, *, version: int = 3, claim: int = -1) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if claim < 0 else claim, len(keys))
    body = head + b"".join(keys) + b"".join(tensors)
    return body + b"\0" * (-len(body) % 32) + b"\0" * data


ARCHITECTURE = key("general.architecture", STRING, text("tiny"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(content: bytes, name: str = "model.gguf") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


def problem_of(path: Path) -> GgufProblem:
    with pytest.raises(GgufError) as caught:
        read_header(path)
    assert caught.value.path.name in caught.value.message.english
    return caught.value.problem


def test_that_a_text_model_tells_its_facts(tmp_path: Path) -> None:
    header = read_header(write_text_model(tmp_path / "text.gguf", layers=3, embedding=64, context=2048, experts=4))
    assert (header.architecture, header.name) == ("llama", "tiny")
    assert (header.block_count, header.context_length, header.embedding_length) == (3, 2048, 64)
    assert (header.expert_count, header.nextn_layers) == (4, 0)
    assert header.vocab_size is not None
    assert not header.is_projector
    assert header.missing_bytes == 0
    assert header.data_end <= (tmp_path / "text.gguf").stat().st_size
    first = next(part for part in header.tensors if part.name == "token_embd.weight")
    assert first.shape == (64, header.vocab_size)
    assert (first.type, first.n_bytes, first.n_elements) == ("f32", 64 * header.vocab_size * 4, 64 * header.vocab_size)


def test_that_a_projector_tells_what_it_fits(tmp_path: Path) -> None:
    header = read_header(write_projector(tmp_path / "mmproj.gguf", embedding=64))
    assert header.is_projector
    assert projector_type(header) == "janus_pro"
    assert sees(header)
    assert projector_width(header) == 64
    other = read_header(write_mismatched_projector(tmp_path / "other.gguf", embedding=64))
    assert projector_width(other) == 96


def test_that_a_projector_of_an_unknown_type_has_an_unknown_width(tmp_path: Path) -> None:
    assert projector_width(read_header(write_projector(tmp_path / "mmproj.gguf", kind="from_the_future"))) is None


def test_that_a_cut_file_still_tells_its_facts_and_how_much_is_missing(tmp_path: Path) -> None:
    path = write_text_model(tmp_path / "text.gguf")
    whole = read_header(path).data_end
    header = read_header(truncate(path, 0.7))
    assert header.block_count == 2
    assert header.missing_bytes == whole - path.stat().st_size


def test_that_a_long_vocabulary_is_stepped_over_and_its_length_kept(write: Callable[..., Path]) -> None:
    words = [f"word {number}" * (number % 7) for number in range(LONGEST_KEPT_ARRAY + 1)]
    path = write(gguf([ARCHITECTURE, strings("tokenizer.ggml.tokens", words), u32("tiny.block_count", 5)], []))
    header = read_header(path)
    assert header.metadata["tokenizer.ggml.tokens"] == SkippedArray(STRING, LONGEST_KEPT_ARRAY + 1)
    assert header.vocab_size == LONGEST_KEPT_ARRAY + 1
    assert header.block_count == 5


def test_that_a_vocabulary_longer_than_one_chunk_of_the_file_is_stepped_over(write: Callable[..., Path]) -> None:
    words = ["x" * 900] * 10_000
    path = write(gguf([strings("tokenizer.ggml.tokens", words), ARCHITECTURE, u32("tiny.block_count", 7)], []))
    assert read_header(path).block_count == 7


def test_that_long_lists_of_numbers_are_stepped_over_and_short_ones_kept(write: Callable[..., Path]) -> None:
    long = key("scores", ARRAY, struct.pack("<IQ", 6, 3_000_000) + b"\0" * 12_000_000)
    short = key("tiny.head_counts", ARRAY, struct.pack("<IQ3I", U32, 3, 2, 8, 2))
    header = read_header(write(gguf([ARCHITECTURE, long, short, u32("tiny.block_count", 9)], [])))
    assert header.metadata["scores"] == SkippedArray(6, 3_000_000)
    assert header.metadata["tiny.head_counts"] == (2, 8, 2)
    assert header.block_count == 9


@pytest.mark.parametrize(
    ("kind", "shape", "n_bytes"),
    [(0, (5,), 20), (1, (3, 2), 12), (8, (64, 2), 136), (12, (256, 3), 432), (14, (512,), 420), (2, (32, 1, 2), 36)],
)
def test_that_blocks_are_counted_in_bytes(
    kind: int, shape: tuple[int, ...], n_bytes: int, write: Callable[..., Path]
) -> None:
    header = read_header(write(gguf([ARCHITECTURE], [tensor("t", shape, kind, 0)], n_bytes)))
    assert header.tensors[0].n_bytes == n_bytes
    assert header.missing_bytes == 0


def test_that_a_type_newer_than_the_table_is_sized_by_what_follows(write: Callable[..., Path]) -> None:
    parts = [tensor("new", (32,), 99, 0), tensor("old", (8,), 0, 64)]
    header = read_header(write(gguf([ARCHITECTURE], parts, 96)))
    assert [(part.type, part.n_bytes) for part in header.tensors] == [("type 99", 64), ("f32", 32)]
    assert header.missing_bytes == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", GgufProblem.NOT_GGUF),
        (b"GG", GgufProblem.NOT_GGUF),
        (b"garbage that is no model", GgufProblem.NOT_GGUF),
        (b"<!DOCTYPE html><html>", GgufProblem.NOT_GGUF),
        (b"version https://git-lfs.github.com/spec/v1", GgufProblem.NOT_GGUF),
        (b"GGUF", GgufProblem.TRUNCATED),
        (gguf([ARCHITECTURE], [], version=1), GgufProblem.UNSUPPORTED),
        (gguf([ARCHITECTURE], [], version=4), GgufProblem.UNSUPPORTED),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), GgufProblem.UNSUPPORTED),
        (gguf([ARCHITECTURE], [])[:30], GgufProblem.TRUNCATED),
        (gguf([ARCHITECTURE], [], claim=2**40), GgufProblem.CORRUPT),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), GgufProblem.CORRUPT),
        (gguf([key("a", STRING, struct.pack("<Q", 2**62))], []), GgufProblem.CORRUPT),
        (gguf([key("a", STRING, struct.pack("<Q", 2**20))], []), GgufProblem.TRUNCATED),
        (gguf([key("a", ARRAY, struct.pack("<IQ", STRING, 2**40))], []), GgufProblem.CORRUPT),
        (gguf([key("a", ARRAY, struct.pack("<IQ", U32, 2**40))], []), GgufProblem.CORRUPT),
        (gguf([key("a", ARRAY, struct.pack("<IQ", ARRAY, 1))], []), GgufProblem.CORRUPT),
        (gguf([key("a", 77, b"")], []), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE, ARCHITECTURE], []), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE, u32("general.alignment", 12)], []), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE], [tensor("t", (2**40, 2**40), 0, 0)]), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE], [tensor("t", (1, 1, 1, 1, 1), 0, 0)]), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE], [tensor("t" * 64, (1,), 0, 0)]), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE], [tensor("t", (33,), 8, 0)]), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE], [tensor("t", (8,), 0, 4096)]), GgufProblem.CORRUPT),
        (gguf([ARCHITECTURE], [tensor("t", (8,), 0, 0), tensor("t", (8,), 0, 32)]), GgufProblem.CORRUPT),
    ],
)
def test_that_a_file_that_is_no_sound_model_is_refused(
    content: bytes, problem: GgufProblem, write: Callable[..., Path]
) -> None:
    assert problem_of(write(content)) is problem


def test_that_a_length_in_the_middle_of_a_vocabulary_cannot_lead_astray(write: Callable[..., Path]) -> None:
    good = [text("x")] * 5000
    for lie in (2**64 - 1, 2**62, 10**9):
        words = b"".join([*good, struct.pack("<Q", lie), *good])
        path = write(gguf([key("a", ARRAY, struct.pack("<IQ", STRING, 10_001) + words)], []))
        assert problem_of(path) is GgufProblem.TRUNCATED


def test_that_a_hole_of_a_terabyte_costs_neither_memory_nor_time(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(gguf([key("a", ARRAY, struct.pack("<IQ", 10, 2**29))], []))
        file.truncate(2**40)
    # 4 GiB of numbers are stepped over; the rest of the file is zeros, which are no keys: one key, no tensors.
    assert read_header(path).metadata["a"] == SkippedArray(10, 2**29)


def test_that_a_folder_or_a_missing_file_is_named(tmp_path: Path) -> None:
    assert problem_of(tmp_path) is GgufProblem.UNREADABLE
    assert problem_of(tmp_path / "nothing.gguf") is GgufProblem.UNREADABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_that_a_named_pipe_does_not_hold_the_panel(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert problem_of(tmp_path / "pipe.gguf") is GgufProblem.UNREADABLE


def shards(folder: Path, count: int = 3, total: int = 3) -> Path:
    for number in range(count):
        keys = [u16("split.no", number), u16("split.count", count), u32("split.tensors.count", total)]
        content = gguf([*([ARCHITECTURE] if number == 0 else []), *keys], [tensor(f"t{number}", (8,), 0, 0)], 32)
        (folder / f"m-{number + 1:05}-of-{count:05}.gguf").write_bytes(content)
    return folder / f"m-00001-of-{count:05}.gguf"


def test_that_all_parts_of_a_model_are_merged(tmp_path: Path) -> None:
    header = read_header(shards(tmp_path))
    assert [(part.name, part.shard) for part in header.tensors] == [("t0", 0), ("t1", 1), ("t2", 2)]
    assert len(header.shards) == 3
    assert header.architecture == "tiny"
    assert header.file_size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_that_a_missing_part_is_named(tmp_path: Path) -> None:
    first = shards(tmp_path)
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    with pytest.raises(GgufError, match=r"m-00002-of-00003\.gguf") as caught:
        read_header(first)
    assert caught.value.problem is GgufProblem.MISSING_SHARD


def test_that_a_part_in_the_wrong_place_is_named(tmp_path: Path) -> None:
    first = shards(tmp_path)
    (tmp_path / "m-00002-of-00003.gguf").write_bytes((tmp_path / "m-00003-of-00003.gguf").read_bytes())
    assert problem_of(first) is GgufProblem.WRONG_SHARD


def test_that_a_later_part_is_not_taken_for_the_model(tmp_path: Path) -> None:
    shards(tmp_path)
    assert problem_of(tmp_path / "m-00002-of-00003.gguf") is GgufProblem.NOT_FIRST_SHARD


def test_that_a_renamed_first_part_is_told_how_to_be_called(tmp_path: Path) -> None:
    renamed = shards(tmp_path).rename(tmp_path / "model.gguf")
    with pytest.raises(GgufError, match=r"-00001-of-00003\.gguf") as caught:
        read_header(renamed)
    assert caught.value.problem is GgufProblem.MISSING_SHARD


def test_that_parts_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    assert problem_of(shards(tmp_path, total=4)) is GgufProblem.CORRUPT


def test_that_an_unchanged_file_is_read_once_and_a_changed_one_again(write: Callable[..., Path]) -> None:
    path = write(gguf([ARCHITECTURE, u32("tiny.block_count", 5)], []))
    first = read_header(path)
    assert read_header(path) is first
    write(gguf([ARCHITECTURE, u32("tiny.block_count", 6), u32("more", 1)], []))
    assert read_header(path).block_count == 6
    path.unlink()
    assert problem_of(path) is GgufProblem.UNREADABLE


# ---------------------------------------------------------------------------------------------- against llama.cpp


@pytest.fixture(scope="session")
def real_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five tiers' models without weights. Sparse: 150 GB that take 250 KB."""
    archive = CASES / "headers.tgz"
    if not archive.is_file():
        pytest.skip("the header-only models are not beside this repository")
    folder = tmp_path_factory.mktemp("headers")
    with tarfile.open(archive) as packed:
        for member in packed:
            source = packed.extractfile(member)
            assert source is not None
            with (folder / member.name).open("wb") as target:
                # The first 64 MiB hold the header; the rest is a hole, which is made and not copied.
                target.write(source.read(64 * 2**20))
                target.truncate(member.size)
    return folder


def weights_per_device(header: GgufHeader, flags: list[str], n_devices: int) -> list[float]:
    """Add up the weights on each device as llama.cpp does, MiB: 128-byte alignment, tied embeddings twice."""
    options = {flag: value for flag, value in pairwise(flags) if flag.startswith("-")}
    split = [float(part) for part in options["-ts"].split(",")] if "-ts" in options else None
    if "-dev" in options:
        n_devices = len(options["-dev"].split(","))
    placed = placement(header.block_count or 0, int(options.get("-ngl", -1)), split, [1.0] * n_devices)
    chosen = overrides(
        cpu_moe="-cmoe" in flags, n_cpu_moe=int(options.get("-ncmoe", 0)), override_tensor=options.get("-ot", "")
    )
    kept = overridden((part.name for part in header.tensors), chosen)
    tied = all(part.name != "output.weight" for part in header.tensors)
    sizes: Counter[int | None] = Counter()
    for part in header.tensors:
        size = -(-part.n_bytes // 128) * 128
        if part.name in kept:
            sizes[None] += size
        elif part.name.startswith("blk."):
            sizes[placed.layer_device[int(part.name.split(".")[1])]] += size
        elif part.name == "token_embd.weight":
            sizes[None] += size
            sizes[placed.output_device] += size if tied else 0
        else:
            sizes[placed.output_device] += size
    return [sizes[device] / 2**20 for device in range(n_devices)]


def test_that_weights_per_device_are_those_that_llama_cpp_allocates(real_shapes: Path) -> None:
    compared = 0
    for line in (CASES / "cuda_dry_runs.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        header = read_header(real_shapes / f"{case['model']}.gguf")
        said = [row["model"] for row in case["rows"] if row["kind"] == "device"]
        computed = weights_per_device(header, case["flags"], case["devices"])
        for theirs, ours in zip(said, computed, strict=False):
            # CUDA pads some rows by a few hundred bytes that are not counted here; theirs is cut to whole MiB.
            assert theirs - 0.01 < ours < theirs + 1, (case["id"], case["flags"], said, computed)
            compared += 1
    assert compared > 100


def test_that_the_totals_of_the_real_models_are_those_of_the_published_files(real_shapes: Path) -> None:
    totals = {path.stem: sum(part.n_bytes for part in read_header(path).tensors) for path in real_shapes.iterdir()}
    assert totals == {
        "gemma26-Q4_K_M": 16_780_192_888,
        "gemma31-Q4_K_M": 18_671_229_168,
        "qwen122-Q4_K_M": 74_201_739_264,
        "qwen27-Q4_K_M": 16_536_406_016,
        "qwen35b-Q4_K_M": 21_155_768_832,
    }
