"""Command lines as they are found in the wild: in scripts, containers, terminals and chats, of every age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.catalog.importing import ShellTextError, import_command
from variet_gui.catalog.pasted_container import read_container
from variet_gui.catalog.pasted_text import tidied

EXPECTED = {"model": "a.gguf", "ctx_size": 4096}


@pytest.mark.parametrize(
    "text",
    [
        "bash -c 'llama-server -m a.gguf -c 4096'",
        "bash -lc \"exec ./llama-server -m 'a.gguf' -c 4096 > log\"",
        "tmux new -d -s llm 'llama-server -m a.gguf -c 4096'",
        'cmd /c "llama-server.exe -m a.gguf -c 4096"',
        'powershell -Command "& .\\llama-server.exe -m a.gguf -c 4096"',
        "podman run --device nvidia.com/gpu=all ghcr.io/ggml-org/llama.cpp:full-cuda --server -m a.gguf -c 4096",
        "docker run --gpus '\"device=0,1\"' ghcr.io/ggerganov/llama.cpp:server-cuda -m a.gguf -c 4096",
        "docker run ghcr.io/ggml-org/llama.cpp@sha256:abc -m a.gguf -c 4096",
        "docker exec box llama-server -m a.gguf -c 4096",
        "systemd-run --user llama-server -m a.gguf -c 4096",
        "llama-server \\\n  -m a.gguf \\\n  # -c 99\n  -c 4096",
        "llama-server \\\n -m a.gguf \\ \n -c 4096",
        "llama-server -m a.gguf\n  -c 4096",
        "$ llama-server -m a.gguf -c 4096",
        "> llama-server -m a.gguf -c 4096",
        "# llama-server -m a.gguf -c 4096",
        "C:\\> llama-server -m a.gguf -c 4096",
        "PS C:\\x> .\\llama-server.exe -m a.gguf -c 4096",
        "user@host:~/x$ ./llama-server -m a.gguf -c 4096",
        "```bash\nllama-server -m a.gguf -c 4096\n```",
        "llama-server \u2013m a.gguf \u2014ctx-size 4096",
        "llama-server -m \u201ca.gguf\u201d\u00a0-c 4096",
        "MODEL=a.gguf; CTX=4096; llama-server -m $MODEL -c ${CTX}",
        "set MODEL=a.gguf\r\nllama-server.exe -m %MODEL% -c 4096",
        "llama-server.exe -m `\n 'a.gguf' `\n -c 4096",
        "./server -m a.gguf --ctx_size 4096",
        "llama-server -m a.gguf -c=4096",
    ],
)
def test_that_the_call_is_found_in_whatever_was_pasted(text: str) -> None:
    imported = import_command(text)
    assert imported.values == EXPECTED
    assert imported.extra_arguments == ()
    assert imported.environment == {}


COMPOSE = """\
services:
  web:
    image: nginx
    command: nginx -g 'daemon off;'
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server-cuda
    ports: ["8080:8080"]
    environment:
      - CUDA_VISIBLE_DEVICES=0,1
      - HF_TOKEN=hunter2
    {command}
    restart: always
"""

COMMANDS = {
    "folded": "command: >\n      -m a.gguf\n      -c 4096",
    "literal": "command: |-\n      -m a.gguf \\\n      -c 4096",
    "inline": "command: -m a.gguf -c 4096",
    "quoted": 'command: "-m a.gguf -c 4096"',
    "list": 'command:\n      - -m\n      - a.gguf\n      - -c\n      - "4096"  # tokens',
    "flat list": "command:\n    - -m\n    - a.gguf\n    - '-c'\n    - '4096'",
    "flow": 'command: ["-m", "a.gguf", "-c", "4096"]',
    "flow over lines": 'command: [\n      "-m", "a.gguf",\n      -c, 4096\n    ]',
    "entry point": 'entrypoint: ["/app/llama-server"]\n    command: ["-m", "a.gguf", "-c", "4096"]',
}


@pytest.mark.parametrize("form", COMMANDS)
def test_that_a_compose_file_is_read(form: str) -> None:
    imported = import_command(COMPOSE.replace("{command}", COMMANDS[form]))
    assert imported.values == EXPECTED
    assert imported.extra_arguments == ()
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert not any("hunter2" in note.english for note in imported.notes)


def test_that_a_kubernetes_manifest_is_read() -> None:
    text = """\
      containers:
        - name: llm
          image: ghcr.io/ggml-org/llama.cpp:server-cuda
          args: ["-m", "a.gguf", "-c", "4096"]
          env:
            - name: LLAMA_ARG_FLASH_ATTN
              value: "on"
"""
    imported = import_command(text)
    assert imported.values == {**EXPECTED, "flash_attn": "on"}


def test_that_a_dockerfile_is_read() -> None:
    text = 'FROM ghcr.io/x\nENV CUDA_VISIBLE_DEVICES=1\nENTRYPOINT ["/app/llama-server"]\n'
    text += 'CMD ["-m", "a.gguf", "-c", "4096"]\n'
    imported = import_command(text)
    assert imported.values == EXPECTED
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    assert imported.program == "/app/llama-server"


@pytest.mark.parametrize(
    ("arguments", "expected", "note"),
    [
        ("-fa -ub 1024 -b 2048", {"flash_attn": "on", "ubatch_size": 1024, "batch_size": 2048}, "A bare -fa"),
        ("--draft-max 16 --spec-draft-n-max 4", {"spec_draft_n_max": 4}, "--draft-max was removed"),
        ("--no-webui --gpu-layers 99", {"n_gpu_layers": 99}, "--no-ui"),
        ("-gan 4 -gaw 2048", {}, "-gan was removed"),
        ("--memory-f32 --low-vram -nommq", {}, "--low-vram was removed"),
        ("-ctk Q8_0 --flash-attn true", {"cache_type_k": "q8_0", "flash_attn": "on"}, None),
        ("--lora-scaled b.gguf 0.5", {"lora_scaled": "b.gguf:0.5"}, "--lora-scaled takes one word now"),
        ("--lora-scaled b.gguf:0.5 -c 1", {"lora_scaled": "b.gguf:0.5", "ctx_size": 1}, None),
        ("-np -1 -ngl 9999", {"parallel": -1, "n_gpu_layers": 9999}, None),
        ("--spec-replace a b --spec-ngram-size-n 12", {}, "--spec-replace was removed"),
        ("--spec-draft-replace a b -c 1", {"ctx_size": 1}, "--spec-draft-replace was removed"),
        ("-mm p.gguf --no-mmproj-offload", {"mmproj": "p.gguf", "mmproj_offload": False}, None),
        ("--swa-checkpoints 8", {"ctx_checkpoints": 8}, None),
        ("-cpent 512", {"checkpoint_min_step": 512}, "-cpent was removed"),
    ],
)
def test_that_flags_of_every_age_mean_what_they_meant(
    arguments: str, expected: dict[str, object], note: str | None
) -> None:
    imported = import_command(f"llama-server -m a.gguf {arguments}")
    assert {key: value for key, value in imported.values.items() if key != "model"} == expected
    assert imported.extra_arguments == ()
    assert note is None or any(note in one.english for one in imported.notes)


def test_that_variables_of_the_script_are_no_variables_of_the_server() -> None:
    imported = import_command("export CUDA_VISIBLE_DEVICES=1\nM=a.gguf\nllama-server -m $M --lora $OTHER/x.gguf")
    assert imported.model == "a.gguf"
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    assert any("$OTHER/x.gguf contains a variable" in note.english for note in imported.notes)


def test_that_what_an_argument_says_is_no_command() -> None:
    imported = import_command("llama-server -m a.gguf --reasoning-budget-message 'use llama-server -m b.gguf'")
    assert imported.model == "a.gguf"


def test_that_a_tidy_text_stays_as_it_is() -> None:
    text = "llama-server \\\n  -m 'D\u2014x.gguf' \\\n  > server.log 2>&1 &"
    assert tidied(text) == (text, ())


_PIECES = st.sampled_from(
    [
        "command:",
        "args:",
        "image: x",
        "- ",
        "  ",
        "\n",
        "[",
        "]",
        '"',
        "'",
        "-m",
        "a.gguf",
        ",",
        ">",
        "|",
        "CMD ",
        ":",
        "#",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_that_no_container_file_breaks_the_import(text: str) -> None:
    try:
        read_container(text)
        import_command(text)
    except ShellTextError as error:
        assert str(error)  # noqa: PT017 (an open quotation mark is an answer, not a failure)
