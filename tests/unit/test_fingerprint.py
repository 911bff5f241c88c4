"""What a figure depended on: told apart where it matters, in words, and kept as JSON."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.profiles import profiles
from variet_gui.catalog.fingerprint import (
    FileIdentity,
    Fingerprint,
    GpuIdentity,
    binary_sha256,
    file_identity,
    relevant_environment,
    relevant_parameters,
)
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.gguf.header import read_header

MODEL = FileIdentity("model.gguf", 1000, 5, "aa")
CARD = GpuIdentity("RTX 3060", "GPU-1", "0000:01:00.0", 3, 4, 170.0, 12288)
WHOLE = Fingerprint(
    MODEL,
    None,
    {"ctx_size": 8192, "tensor_split": (1, 2), "flash_attn": "on"},
    ("--unheard-of",),
    "bb",
    11434,
    "580.65",
    (CARD, dataclasses.replace(CARD, uuid="GPU-2", pcie_width=16)),
    "Ryzen, 64 GiB",
    {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
)


def words(one: Fingerprint, other: Fingerprint) -> str:
    return " ".join(message.english for message in one.differences(other))


def test_that_a_fingerprint_does_not_differ_from_itself_or_its_json() -> None:
    assert WHOLE.differences(WHOLE) == ()
    assert Fingerprint.from_json(WHOLE.as_json()) == WHOLE
    assert Fingerprint.from_json(Fingerprint().as_json()) == Fingerprint()


@given(profile=profiles(), build=st.none() | st.integers(0, 99999))
def test_that_any_profile_survives_the_round_trip(profile: LaunchProfile, build: int | None) -> None:
    one = Fingerprint(parameters=relevant_parameters(profile), extra_arguments=profile.extra_arguments, build=build)
    assert Fingerprint.from_json(one.as_json()) == one
    assert "model" not in one.parameters


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": dataclasses.replace(MODEL, header_sha256="cc")}, "model file"),
        ({"projector": MODEL}, "projector file"),
        ({"parameters": {**WHOLE.parameters, "ctx_size": 4096}}, "ctx_size was 8192 and is 4096"),
        ({"parameters": {"ctx_size": 8192, "flash_attn": "on"}}, "tensor_split was 1, 2 and is not set"),
        ({"extra_arguments": ()}, "extra arguments"),
        ({"build": 9000}, "build was 11434 and is 9000"),
        ({"binary_sha256": "dd"}, "same build number"),
        ({"driver": "590"}, "driver was 580.65"),
        ({"gpus": (CARD,)}, "used 2 GPUs and now 1"),
        ({"gpus": (CARD, CARD)}, "GPU 1 was"),
        ({"gpus": (dataclasses.replace(CARD, pcie_width=16), WHOLE.gpus[1])}, "link of GPU 0"),
        ({"gpus": (dataclasses.replace(CARD, power_limit_w=120.0), WHOLE.gpus[1])}, "power limit of GPU 0"),
        ({"host": "another"}, "computer"),
        ({"environment": {}}, "CUDA_DEVICE_ORDER was PCI_BUS_ID and is not set"),
    ],
)
def test_that_every_difference_is_named(change: dict[str, object], word: str) -> None:
    other = dataclasses.replace(WHOLE, **change)  # type: ignore[arg-type]
    assert len(WHOLE.differences(other)) == 1
    assert word in words(WHOLE, other)


def test_that_a_copied_file_is_the_same_file() -> None:
    moved = dataclasses.replace(WHOLE, model=dataclasses.replace(MODEL, name="other.gguf", mtime_ns=9))
    assert WHOLE.differences(moved) == ()


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 2}', '{"schema": 1, "gpus": [{}]}'])
def test_that_another_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Fingerprint.from_json(text)


def test_that_a_header_is_hashed_and_the_weights_are_not(tmp_path: Path) -> None:
    folder = unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path)
    path = folder / "small-llama.gguf"
    before = file_identity(read_header(path))
    os.truncate(path, path.stat().st_size + 4096)
    after = file_identity(read_header(path))
    assert before.header_sha256 == after.header_sha256
    assert before.size + 4096 == after.size
    assert file_identity(read_header(folder / "small-qwen3.gguf")).header_sha256 != before.header_sha256
    assert len(binary_sha256(path)) == 64


def test_that_only_variables_of_the_gpu_libraries_count() -> None:
    found = relevant_environment({"PATH": "/bin", "GGML_CUDA_NO_PINNED": "1", "CUDA_VISIBLE_DEVICES": "0"})
    assert found == {"CUDA_VISIBLE_DEVICES": "0", "GGML_CUDA_NO_PINNED": "1"}
