"""Twelve command lines of different ages: what each becomes, and what is said of it.

The same lines lie in ../shared/cases/command_lines.jsonl beside a checkout that has them; more may come there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from variet_gui.catalog.command import build
from variet_gui.catalog.exporting import read_back
from variet_gui.catalog.importing import Imported, import_command
from variet_gui.catalog.parameters import argument, flag_use
from variet_gui.catalog.pasted import is_flag

SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases" / "command_lines.jsonl"


@dataclass(frozen=True)
class Expected:
    """What one line becomes."""

    now: str
    """What has to stand on today's command line; empty: nothing in particular."""
    values: dict[str, Any]
    """Beside the model, a.gguf."""
    notes: tuple[str, ...]
    """A regular expression for each note, in order."""
    model: str = "a.gguf"
    extra: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    api_key: str | None = None


LINES = {
    "llama-server -m a.gguf -c 32768 -ngl 99 --mlock": Expected(
        "--load-mode mmap+mlock",
        {"ctx_size": 32768, "n_gpu_layers": 99, "load_mode": "mmap+mlock"},
        ("--mlock was removed .*became --load-mode mmap\\+mlock",),
    ),
    "llama-server -m a.gguf -ngl 99 --no-mmap": Expected(
        "--load-mode none",
        {"n_gpu_layers": 99, "load_mode": "none"},
        ("--no-mmap was removed .*became --load-mode none",),
    ),
    "llama-server -m a.gguf --mlock --no-mmap --poll 50 --prio 3 -t 6 -tb 6": Expected(
        "--load-mode mlock",
        {"load_mode": "mlock", "poll": 50, "prio": 3, "threads": 6, "threads_batch": 6},
        ("--mlock --no-mmap were removed; both together mean --load-mode mlock",),
    ),
    "llama-server -m a.gguf -dio": Expected(
        "--load-mode dio", {"load_mode": "dio"}, ("-dio was removed .*became --load-mode dio",)
    ),
    "llama-server -m a.gguf -fa -ctk q8_0 -ctv q8_0": Expected(
        "-fa on",
        {"flash_attn": "on", "cache_type_k": "q8_0", "cache_type_v": "q8_0"},
        ("A bare -fa would eat the next flag as its value; it became -fa on",),
    ),
    "llama-server -m a.gguf --port=8081 --ctx-size=16384": Expected(
        "--port 8081 --ctx-size 16384",
        {"ctx_size": 16384},
        ("--port=value is not accepted by llama-server", "--ctx-size=value is not accepted by llama-server"),
        port=8081,
    ),
    "llama-server -m a.gguf -md d.gguf --draft-max 8 --draft-min 1": Expected(
        "--spec-type draft-simple --spec-draft-n-max 8 --spec-draft-n-min 1",
        {"spec_draft_model": "d.gguf", "spec_draft_n_max": 8, "spec_draft_n_min": 1, "spec_type": "draft-simple"},
        (
            "--draft-max was removed .*became --spec-draft-n-max 8",
            "--draft-min was removed .*became --spec-draft-n-min 1",
            "-md alone does nothing any more; --spec-type draft-simple was added",
        ),
    ),
    "llama-server -m a.gguf -ngl 20 -c 4096 -ngl 99": Expected(
        "-ngl 99", {"n_gpu_layers": 99, "ctx_size": 4096}, ("-ngl stands there more than once; the last one wins: 99",)
    ),
    "llama-server -m a.gguf -dt 0.1 -np 1": Expected("", {"parallel": 1}, ("-dt does nothing any more",)),
    "llama-server -m a.gguf --webui-config x --no-webui": Expected(
        "--no-ui",
        {},
        ("--webui-config was kept as an extra argument", "--no-webui has a new name, --no-ui"),
        extra=("--webui-config", "x"),
    ),
    r'llama-server.exe -m "C:\\models\\my model.gguf" -ts 0.43,0.57 --checkpoint-every-n-tokens 512': Expected(
        "--checkpoint-min-step",
        {"tensor_split": (0.43, 0.57), "checkpoint_min_step": 512},
        ("--checkpoint-every-n-tokens was removed .*became --checkpoint-min-step 512",),
        model=r"C:\models\my model.gguf",
    ),
    "LLAMA_ARG_CTX_SIZE=8192 CUDA_VISIBLE_DEVICES=1 ./llama-server -m a.gguf -ngl 99 --api-key hunter2": Expected(
        "",
        {"ctx_size": 8192, "n_gpu_layers": 99},
        (
            "The variable LLAMA_ARG_CTX_SIZE became the setting --ctx-size",
            "The key of --api-key belongs in the key store",
        ),
        environment={"CUDA_VISIBLE_DEVICES": "1"},
        api_key="hunter2",
    ),
}


def started_again(imported: Imported) -> list[str]:
    """Return the words of the command line that the panel would start now."""
    profile = imported.profile("fast")
    port = imported.port or 9999
    built = build(
        profile, program=["llama-server"], capabilities=None, port=port, alias="fast", models_dir=Path("/m"), environ={}
    )
    assert built.notes == ()
    return list(built.argv)


def assert_says(imported: Imported, now: str) -> None:
    """Check that what was imported makes a command line that says `now`, in whichever spelling."""
    words = started_again(imported)
    wanted = now.split()
    for place, flag in enumerate(wanted):
        following = wanted[place + 1 : place + 2]
        value = following[0] if following and not is_flag(following[0]) else None
        use = flag_use(flag)
        if not is_flag(flag):
            continue
        if use is None:
            assert flag in words
            assert value is None or words[words.index(flag) + 1] == value
        else:
            assert use.parameter.key in imported.values, flag
            assert value is None or argument(use.parameter, imported.values[use.parameter.key]) == value


@pytest.mark.parametrize("line", LINES, ids=[str(number) for number in range(1, len(LINES) + 1)])
def test_that_the_line_becomes_what_it_means_today(line: str) -> None:
    expected, imported = LINES[line], import_command(line)
    assert imported.is_call
    assert dict(imported.values) == {"model": expected.model, **expected.values}
    assert imported.extra_arguments == expected.extra
    assert imported.environment == expected.environment
    assert (imported.port, imported.api_key) == (expected.port, expected.api_key)
    said = [note.english for note in imported.notes]
    assert len(said) == len(expected.notes), said
    for pattern, note in zip(expected.notes, said, strict=True):
        assert re.match(pattern, note), note
    assert_says(imported, expected.now)
    assert "hunter2" not in " ".join([*started_again(imported), *said, repr(imported)])


@pytest.mark.parametrize("line", LINES, ids=[str(number) for number in range(1, len(LINES) + 1)])
def test_that_the_paste_dialog_and_the_terminal_read_the_same(line: str) -> None:
    (read,) = read_back(line)
    assert read == import_command(line)


def test_that_every_line_that_lies_beside_the_checkout_is_read_as_expected() -> None:
    rows = [json.loads(row) for row in SHARED.read_text(encoding="utf-8").splitlines()] if SHARED.exists() else []
    for row in rows:
        imported = import_command(row["line"])
        assert_says(imported, row["now"])
        if row["line"] in LINES:
            assert row["now"] == LINES[row["line"]].now
        said = " ".join(note.english for note in imported.notes)
        named = [word.strip(",;.") for word in row["note"].split() if is_flag(word)]
        assert imported.notes, row["id"]
        for flag in named:
            if flag_use(flag) is not None:
                assert flag in said, (row["id"], flag)
    assert not rows or {row["line"] for row in rows} >= LINES.keys()
