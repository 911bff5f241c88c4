"""Calls of llama-server in scripts, units, containers and other shells, with what was set for them before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.catalog.exporting import read_back
from variet_gui.catalog.importing import Imported, ShellTextError, import_command

EXPECTED = {"model": "/m/a.gguf", "ctx_size": 4096}
WINDOWS = {"model": r"C:\m\a b.gguf", "ctx_size": 4096}


def read(text: str) -> Imported:
    """Return what the paste dialog and the terminal make of `text`, which both go through `read_back`."""
    (one,) = read_back(text)
    assert one.is_call
    return one


def said(imported: Imported) -> str:
    return " ".join(note.english for note in imported.notes)


POSIX = {
    "killed before": "pkill llama-server; sleep 2; ./llama-server -m /m/a.gguf -c 4096",
    "built before": (
        "git clone https://github.com/ggml-org/llama.cpp && cd llama.cpp\n"
        "cmake -B build && cmake --build build --config Release -t llama-server -j 8\n"
        "./build/bin/llama-server -m /m/a.gguf -c 4096\n"
    ),
    "strict script": (
        "#!/bin/bash\nset -euo pipefail\nBIN=${BIN:-./llama-server}\n"
        'CTX="${1:-4096}"\nexec "$BIN" -m /m/a.gguf -c "$CTX"'
    ),
    "words in a variable": 'OPTS="-c 4096 -m /m/a.gguf"\nllama-server $OPTS',
    "array": 'MODEL=/m/a.gguf\nARGS=(\n  -m "$MODEL"  # the model\n)\nARGS+=(-c 4096)\nllama-server "${ARGS[@]}"',
    "alias": "alias fast='llama-server -m /m/a.gguf -c 4096'",
    "by ssh": "ssh -t box 'cd /opt && ./llama-server -m /m/a.gguf -c 4096'",
    "deep": "ssh box \"bash -lc 'exec llama-server -m /m/a.gguf -c 4096'\"",
    "session of that name": "tmux new -d -s llama-server 'llama-server -m /m/a.gguf -c 4096'",
    "screen of that name": "screen -S llama-server -dm llama-server -m /m/a.gguf -c 4096",
    "user of that name": "sudo -u llama-server /usr/bin/llama-server -m /m/a.gguf -c 4096",
    "continued at a terminal": "$ llama-server \\\n> -m /m/a.gguf \\\n> -c 4096",
    "typed at a terminal": "$ cd /opt\n$ ./llama-server -m /m/a.gguf -c 4096",
    "in a chat": "`llama-server -m /m/a.gguf -c 4096`",
    "in a fence": "```sh\nllama-server -m /m/a.gguf \\\n  -c 4096\n```\n",
    "long dashes": "llama-server \u2014model /m/a.gguf \u2013\u2013ctx-size 4096",
    "single typographic quotes": "llama-server -m \u2018/m/a.gguf\u2019 -c 4096",
    "log of both": "llama-server -m /m/a.gguf -c 4096 &> log.txt",
    "two dashes": "llama-server -m /m/a.gguf -- -c 4096",
    "arguments of a script": 'llama-server -m /m/a.gguf -c 4096 "$@"',
    "json": '{"command": ["llama-server", "-m", "/m/a.gguf", "-c", "4096"]}',
    "python": "subprocess.run(['llama-server', '-m', '/m/a.gguf', '-c', '4096'], check=True)",
    "embedded": "python -m variet_gui.engine.embedded -m /m/a.gguf -c 4096",
    "git bash": "./llama-server.exe -m /m/a.gguf \\\n  -c 4096",
    "container of that name": (
        "docker run --name llama-server -it -p8080:8080 -v ~/models:/m --gpus all "
        "ghcr.io/ggml-org/llama.cpp:server-cuda -m /m/a.gguf -c 4096"
    ),
    "other image": "docker run --rm -dp 8080:8080 me/llama-cpp:latest -m /m/a.gguf -c 4096",
    "desktop entry": "[Desktop Entry]\nName=LLM\nExec=/usr/bin/llama-server -m /m/a.gguf -c 4096\n",
    "unit": (
        "[Unit]\nDescription=LLM\n[Service]\nExecStartPre=/bin/sleep 5\nExecStart=/usr/bin/llama-server \\\n"
        "  -m /m/a.gguf \\\n# a remark\n  -c 4096\nRestart=always\n[Install]\nWantedBy=default.target\n"
    ),
}

WINDOWS_FORMS = {
    "set in front": 'set MODEL=C:\\m\\a b.gguf&& llama-server.exe -m "%MODEL%" -c 4096',
    "script": (
        '@echo off\r\nset "DIR=C:\\m\\"\r\nset CTX=4096\r\n"%~dp0llama-server.exe" ^\r\n -m "%dir%a b.gguf" ^\r\n'
        " -c %CTX%\r\npause\r\n"
    ),
    "words in a variable": (
        '@echo off\r\nset D=C:\\m\r\nset OPTS=-c 4096 -m "%D%\\a b.gguf"\r\ncall llama-server.exe %OPTS%'
    ),
    "in a block": 'if exist x (\r\n  llama-server.exe -m "C:\\m\\a b.gguf" -c 4096\r\n)\r\n',
    "start": 'start "LLM" cmd /k "llama-server.exe -c 4096 -m ""C:\\m\\a b.gguf"""',
    "relative program": '.\\llama\\llama-server -m "C:\\m\\a b.gguf" -c 4096',
    "powershell": "& 'C:\\Program Files\\llama\\llama-server.exe' `\n  -m 'C:\\m\\a b.gguf' `\n  -c 4096\n",
    "powershell in cmd": "powershell -NoProfile -Command \"& 'C:\\l\\llama-server.exe' -m 'C:\\m\\a b.gguf' -c 4096\"",
    "variable of powershell": '$model = "C:\\m\\a b.gguf"\n.\\llama-server.exe -m $model -c 4096',
    "list of powershell": "$a = @(\n  '-m', 'C:\\m\\a b.gguf'\n  '-c', '4096'\n)\n& .\\llama-server.exe @a",
    "start-process": "Start-Process llama-server.exe -ArgumentList '-m','\"C:\\m\\a b.gguf\"','-c',4096 -NoNewWindow",
    "start-process with a text": (
        "Start-Process -FilePath C:\\l\\llama-server.exe -ArgumentList '-c 4096 -m \"C:\\m\\a b.gguf\"' -Wait"
    ),
}


@pytest.mark.parametrize("form", POSIX)
def test_that_the_call_is_found_in_what_posix_shells_read(form: str) -> None:
    imported = read(POSIX[form])
    assert dict(imported.values) == EXPECTED
    assert (imported.extra_arguments, imported.environment) == ((), {})


@pytest.mark.parametrize("form", WINDOWS_FORMS)
def test_that_the_call_is_found_in_what_windows_reads(form: str) -> None:
    imported = read(WINDOWS_FORMS[form])
    assert dict(imported.values) == WINDOWS
    assert imported.extra_arguments == ()


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("export CUDA_VISIBLE_DEVICES=1 B=2\nllama-server -c 1", {"CUDA_VISIBLE_DEVICES": "1", "B": "2"}),
        ("B=2\nCUDA_VISIBLE_DEVICES=1\nllama-server -c 1", {"CUDA_VISIBLE_DEVICES": "1"}),
        ("make FOO=bar\nllama-server -c 1", {}),
        ("env -u X -i CUDA_VISIBLE_DEVICES=1 llama-server -c 1", {"CUDA_VISIBLE_DEVICES": "1"}),
        ("docker run -e A_B=1 --env=C=2 -v D=3:/x i/llama:1 -c 1", {"A_B": "1", "C": "2"}),
        ("systemd-run -p MemoryMax=9G -E A_B=1 --setenv=C=2 llama-server -c 1", {"A_B": "1", "C": "2"}),
        ("ssh box 'CUDA_VISIBLE_DEVICES=0 llama-server -c 1'", {"CUDA_VISIBLE_DEVICES": "0"}),
        ('set "CUDA_X=1" && set GGML_X=a b&& llama-server.exe -c 1', {"CUDA_X": "1", "GGML_X": "a b"}),
        ("$env:CUDA_VISIBLE_DEVICES='1'; .\\llama-server.exe -c 1", {"CUDA_VISIBLE_DEVICES": "1"}),
        ('$env:CUDA_VISIBLE_DEVICES = "0,1"\n.\\llama-server.exe -c 1', {"CUDA_VISIBLE_DEVICES": "0,1"}),
        ('[Service]\nEnvironment=CUDA_X=0,1 "A=b c"\nExecStart=llama-server -c 1', {"CUDA_X": "0,1", "A": "b c"}),
        ('[program:x]\ncommand=llama-server -c 1\nenvironment=A="1",B="2,3"\n', {"A": "1", "B": "2,3"}),
        ("LD_LIBRARY_PATH=/opt/lib:$LD_LIBRARY_PATH llama-server -c 1", {"LD_LIBRARY_PATH": "/opt/lib"}),
        ("PATH=/opt:$PATH CUDA_X=$Y llama-server -c 1", {}),
    ],
)  # fmt: skip
def test_that_the_server_gets_the_variables_that_were_set_for_it(text: str, environment: dict[str, str]) -> None:
    imported = read(text)
    assert imported.environment == environment
    assert dict(imported.values) == {"ctx_size": 1}
    assert imported.extra_arguments == ()


def test_that_a_variable_of_a_unit_becomes_a_setting() -> None:
    imported = read('[Service]\nEnvironment="LLAMA_ARG_CTX_SIZE=8192"\nExecStart=/usr/bin/llama-server -m %h/a.gguf\n')
    assert dict(imported.values) == {"ctx_size": 8192, "model": "%h/a.gguf"}
    assert "%h/a.gguf contains a variable" in said(imported)


def test_that_the_first_of_several_calls_is_read_and_said() -> None:
    imported = read("llama-server -m a.gguf -c 1 && llama-server -m b.gguf -c 2")
    assert dict(imported.values) == {"model": "a.gguf", "ctx_size": 1}
    assert "more than once" in said(imported)


# ---------------------------------------------------------------------------- what the shell would fill in


@pytest.mark.parametrize(
    ("text", "model", "is_told"),
    [
        ("llama-server -m '$HOME/a.gguf'", "$HOME/a.gguf", False),
        ("llama-server -m \\$HOME/a.gguf", "$HOME/a.gguf", False),
        ('llama-server -m "\\$HOME/a.gguf"', "$HOME/a.gguf", False),
        ("llama-server --model='$HOME/a.gguf'", "$HOME/a.gguf", False),
        ("llama-server -m '`x`.gguf'", "`x`.gguf", False),
        ("llama-server -m %HOME%.gguf", "%HOME%.gguf", False),
        ('llama-server -m "$HOME/a.gguf"', "$HOME/a.gguf", True),
        ("llama-server -m $HOME/a.gguf", "$HOME/a.gguf", True),
        ("llama-server --model=$HOME/a.gguf", "$HOME/a.gguf", True),
        ("llama-server -m '$X'/$HOME.gguf", "$X/$HOME.gguf", True),
        ('llama-server -m "${HOME}/a.gguf"', "${HOME}/a.gguf", True),
        ('llama-server -m "$(find /m -name a.gguf)"', "$(find /m -name a.gguf)", True),
        ("llama-server -m $(find /m -name a.gguf)", "$(find /m -name a.gguf)", True),
        ("llama-server -m `cat x`", "`cat x`", True),
        ("LLAMA_ARG_MODEL='$HOME/a.gguf' llama-server", "$HOME/a.gguf", False),
        ("LLAMA_ARG_MODEL=$HOME/a.gguf llama-server", "$HOME/a.gguf", True),
        ("llama-server.exe -m %USERPROFILE%\\a.gguf", "%USERPROFILE%\\a.gguf", True),
        ("llama-server -m %USERPROFILE%\\a.gguf", "%USERPROFILE%\\a.gguf", True),
        ("llama-server.exe -m ^%X^%.gguf", "%X%.gguf", False),
        ("@echo off\r\nllama-server -m 100%%X%%.gguf", "100%X%.gguf", False),
        ("& llama-server -m '$HOME/a.gguf'\n$env:A='1'", "$HOME/a.gguf", False),
        ('$env:A=1; llama-server -m "$HOME/a.gguf"', "$HOME/a.gguf", True),
        ("$env:A=1; llama-server -m `$HOME/a.gguf", "$HOME/a.gguf", False),
        ("MODEL=a; llama-server -m '$MODEL'", "$MODEL", False),
        ('MODEL=a; llama-server -m "$MODEL"', "a", False),
    ],
)  # fmt: skip
def test_that_a_variable_is_told_only_where_the_shell_would_fill_it_in(text: str, model: str, is_told: bool) -> None:
    imported = read(text)
    assert imported.model == model
    assert ("contains a variable" in said(imported)) is is_told


def test_that_an_argument_list_has_no_variables() -> None:
    assert "variable" not in said(import_command(["llama-server", "-m", "$HOME/a.gguf"]))


def test_that_what_nothing_says_anything_of_is_no_argument() -> None:
    imported = read('llama-server -m a.gguf -c $CTX $EXTRA --new-flag "$NEW" --other 5 "$@"')
    assert dict(imported.values) == {"model": "a.gguf"}
    assert imported.extra_arguments == ("--other", "5")
    assert read('llama-server --new-flag "$@"').extra_arguments == ("--new-flag",)
    for word in ("$CTX", "$EXTRA", "$NEW", "$@"):
        assert f"{word} " in said(imported)


def test_that_a_program_that_is_a_variable_is_told() -> None:
    imported = read("models:\n  a:\n    cmd: ${server} -m a.gguf -c 1\n")
    assert dict(imported.values) == {"model": "a.gguf", "ctx_size": 1}
    assert "Nothing here says what ${server} stands for" in said(imported)


# --------------------------------------------------------------------------------------------- odd words


def test_that_a_lone_pair_of_dashes_and_empty_words_are_no_arguments() -> None:
    imported = import_command(["llama-server", "--", "-m", "a.gguf", "", "--", "--new-flag", "", "--grammar", " "])
    assert dict(imported.values) == {"model": "a.gguf"}
    assert imported.extra_arguments == ()
    assert "-- means nothing to llama-server" in said(imported)
    assert "--new-flag has no value" in said(imported)


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ("--jinja true", {"jinja": True}),
        ("--mlock false", {}),
        ("--no-warmup on", {"warmup": False}),
        ("-ts 3,1,", {"tensor_split": (3, 1)}),
        ("--jinja 1", {"jinja": True}),
    ],
)
def test_that_words_behind_a_switch_are_read_as_they_were_meant(arguments: str, values: dict[str, object]) -> None:
    imported = import_command(f"llama-server {arguments}")
    assert dict(imported.values) == values
    assert imported.extra_arguments == (("1",) if arguments.endswith(" 1") else ())


def test_that_half_a_character_and_a_nul_never_reach_a_profile() -> None:
    imported = import_command("llama-server -m a\0.gguf --new-flag x\ud83dy")
    assert imported.model == "a.gguf"
    assert imported.extra_arguments == ("--new-flag", "x\ufffdy")


_PIECES = st.sampled_from(
    [
        *(
            "A=",
            "A=(",
            ")",
            "${A[@]}",
            "$A",
            "${A:-b}",
            "%A%",
            "set ",
            "export ",
            "llama-server",
            " -m a",
            "\n",
            ";",
            "&",
        ),
        *(
            "'",
            '"',
            "@(",
            ",",
            "$a = ",
            "@a",
            "`",
            "Start-Process",
            " -ArgumentList ",
            "ExecStart=",
            "[x]",
            "\\\n",
            "#",
        ),
        *("docker run ", "$(", "${", "bash -c "),
    ]
)


@given(st.lists(_PIECES | st.text(max_size=2), max_size=25).map("".join))
def test_that_no_script_breaks_the_import(text: str) -> None:
    try:
        import_command(text)
    except ShellTextError as error:
        assert str(error)  # noqa: PT017 (an open quotation mark is an answer, not a failure)


def test_that_a_text_that_grows_without_end_is_refused() -> None:
    doubled = "A=xxxxxxxxxx\n" + "A=$A$A\n" * 60 + "llama-server -m $A"
    listed = "A=(x x)\n" + 'A+=("${A[@]}")\n' * 60 + 'llama-server -m "${A[@]}"'
    for text in (doubled, listed):
        with pytest.raises(ShellTextError, match="too long"):
            import_command(text)
