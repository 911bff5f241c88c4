"""Where llama-server stands among the words of a command, behind whatever starts it: sudo, docker, tmux and others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from variet_gui.catalog.parameters import Kind, flag_use, left_out
from variet_gui.helpers import Helper

ASSIGNMENT = re.compile(r"(?:\$env:)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL | re.IGNORECASE)
SILENT_WRAPPERS = frozenset({"&", "exec", "env", "nohup", "sudo", "time", "start", "call", "export", "set", "--", ""})

_NAMES = """
apt apt-get brew cat cd chmod chown cmake code cp curl dir echo file find g++ gcc git grep head journalctl kill killall
ldd less ln ls make mkdir more mv nano ninja pacman pgrep pidof pip pip3 pkill popd printf ps pushd rg rm rsync scp sed
service set-location sha256sum source stat systemctl tail tar taskkill tee test touch type unzip vi vim wget where
whereis which winget write-host write-output xcopy
"""
_NO_CALLS = frozenset(_NAMES.split())
"""Programs that are given the name of another one, or of its files, and do not start it."""

_OTHER_SERVERS = (
    "ollama",
    "vllm",
    "sglang",
    "koboldcpp",
    "lmdeploy",
    "mlx_lm",
    "tabbyapi",
    "text-generation-launcher",
    "trtllm-serve",
)
"""Other servers of language models; some of their flags are called alike."""

_LLAMA_SERVER = re.compile(r"(?:.*[^a-z])?llama-server")
_LLAMA = re.compile(r"(?:.*[^a-z])?llama(?:$|-|\.cpp|_cpp|file)")
_NO_PROGRAM = re.compile(r"\.(?:log|txt|md|service|conf|cfg|ini|ya?ml|json|pid|c|cpp|h|zip|t?gz|tar|deb|rpm|gguf)$")
_IMAGE = re.compile(r"llama\.cpp:server\b")
_IMAGE_OF_ALL = re.compile(r"llama\.cpp:full\b")
"""An image of several programs, of which --server names the one."""
_CONTAINERS = ("docker", "podman", "nerdctl")
_SWITCHES = """
-d --detach -i --interactive -t --tty --rm --init --privileged --read-only -P --publish-all --no-healthcheck -q --quiet
--oom-kill-disable --sig-proxy --disable-content-trust --replace --tls-verify
"""
_CONTAINER_SWITCHES = frozenset(_SWITCHES.split())
_CONTAINER_ALONE = re.compile(r"-[ditPq]+|-[^-ditPq].+")
"""Switches written together (-it), and a flag that carries its value (-p8080:8080)."""
OWN_ENGINE = (Helper.EMBEDDED_ENGINE.value, "variet_gui.engine.embedded")
"""How this program calls the embedded engine; a module when it stands behind `python -m`."""
_PAIRS = """
-p --property -v --volume -l --label -o --opt --mount --ulimit --sysctl --device --gpus --log-opt --build-arg --add-host
--annotation --security-opt --storage-opt --tmpfs -k
"""
_NOT_OF_THE_ENVIRONMENT = frozenset(_PAIRS.split())
"""Flags whose NAME=VALUE is no variable of the program."""
_WRAPPER_VALUES = frozenset(("-u", "-g", "-C", "-S", "-h", "--user", "--group", "--unset", "--chdir"))
"""Flags of sudo and env that a value follows."""
_SETS_ONE = re.compile(r"(?:--env=|--setenv=|-e=?|-E=?)(?=[A-Za-z_]\w*=)")


@dataclass(frozen=True, slots=True)
class Program:
    """Which word is the program whose flags follow."""

    position: int
    """Of its last word; the arguments begin behind it."""
    text: str
    """As it was written, to tell which it was."""
    is_llama: bool = False
    """It is llama-server, or an image or a module that runs it."""
    is_relative: bool = False
    """It is another program of llama.cpp, and has many of its flags."""
    is_other: bool = False
    """It is certainly something else, which starts no llama-server either."""


def find_program(words: Sequence[str]) -> Program | None:
    """Return the program that the command `words` calls, llama-server where that is named.

    None: there are only flags, or nothing.
    """
    first = first_word(words)
    if first is None or _is_flag(words[first]):
        return _named(words) if words and not _is_flag(words[0]) else None
    if _basename(words[first]) in _NO_CALLS:
        return Program(first, words[first], is_other=True)
    found = _in_container(words, first) or _named(words)
    if found is not None:
        return found
    name = _basename(words[first])
    if name == "server":
        return Program(first, words[first], is_llama=True)
    if (_LLAMA.match(name) or "llama.cpp" in words[first]) and not _NO_PROGRAM.search(name):
        return Program(first, words[first], is_relative=True)
    flag = next((index for index in range(first + 1, len(words)) if _is_flag(words[index])), len(words))
    last = flag - 1
    if name.startswith("py") and words[flag : flag + 1] == ["-m"] and flag + 1 < len(words):
        last = flag + 1
    parts = (part for word in words[first : last + 1] for part in re.split(r"[/\\]", word.lower()))
    if any(part.startswith(_OTHER_SERVERS) for part in parts):
        return Program(first, words[first], is_other=True)
    return Program(last, words[last])


def first_word(words: Sequence[str]) -> int | None:
    """Return the position of the first word behind assignments, and behind sudo, env and the like with their flags."""
    index, wrapped = 0, False
    while index < len(words):
        word = words[index]
        if wrapped and _is_flag(word):
            index += 2 if word in _WRAPPER_VALUES else 1
        elif _basename(word) in SILENT_WRAPPERS or ASSIGNMENT.fullmatch(word):
            wrapped = wrapped or _basename(word) in SILENT_WRAPPERS
            index += 1
        else:
            return index
    return None


def assignment_at(words: Sequence[str], index: int) -> tuple[str, str] | None:
    """Return name and value of the variable that the word at `index` sets for the program; None: it sets none."""
    word = _SETS_ONE.sub("", words[index])
    match = ASSIGNMENT.fullmatch(word)
    if match is None or (index > 0 and words[index - 1] in _NOT_OF_THE_ENVIRONMENT):
        return None
    return match[1], match[2]


def _in_container(words: Sequence[str], first: int) -> Program | None:
    if _basename(words[first]) not in _CONTAINERS or "run" not in words[first:]:
        return None
    index = words.index("run", first) + 1
    while index < len(words) and _is_flag(words[index]):
        word = words[index]
        index += 1 if "=" in word or word in _CONTAINER_SWITCHES or _CONTAINER_ALONE.fullmatch(word) else 2
    if index >= len(words):
        return None
    inner = _named(words[index:])
    if inner is not None:
        return Program(index + inner.position, inner.text, is_llama=True)
    return Program(index, words[index], is_llama="llama" in words[index] and "ollama" not in words[index])


def _named(words: Sequence[str]) -> Program | None:
    """Return where llama-server is called by its name.

    It may be the name of a container, a session or a user as well (`--name llama-server`), which then stands behind a
    flag; behind one of llama-server's own it is never the program.
    """
    candidates: list[Program] = []
    for index, word in enumerate(words):
        found = _named_at(words, index)
        if found is None or _is_flag(word) or ASSIGNMENT.fullmatch(word):
            continue  # LD_LIBRARY_PATH=/opt/llama-server-b11434 is no program, and --unit=llama-server is none
        before = words[index - 1] if index else ""
        if not _is_flag(before) or before == "--" or word in OWN_ENGINE:
            return found
        is_first_flag = not before.startswith("--") and not any(map(_is_flag, words[: index - 1]))
        if is_first_flag or not _takes_value(before):
            candidates.append(found)
    in_use = [one for one in candidates if _is_known(words[one.position + 1 : one.position + 2])]
    return next(iter([*in_use, *candidates]), None)


def _named_at(words: Sequence[str], index: int) -> Program | None:
    word = words[index]
    name, following = _basename(word), words[index + 1] if index + 1 < len(words) else ""
    if word in OWN_ENGINE:
        return Program(index, word, is_llama=True)
    if _IMAGE_OF_ALL.search(word) and following in ("--server", "-s"):
        return Program(index + 1, word, is_llama=True)
    if name == "llama" and following == "serve":
        return Program(index + 1, word, is_llama=True)
    if _IMAGE.search(word) or (
        _LLAMA_SERVER.match(name) and not _NO_PROGRAM.search(name) and not any(map(str.isspace, name))
    ):
        return Program(index, word, is_llama=True)
    return None


def _is_known(following: Sequence[str]) -> bool:
    return any(flag_use(word) is not None or left_out(word) is not None for word in following)


def _takes_value(flag: str) -> bool:
    use, entry = flag_use(flag), left_out(flag)
    if use is not None:
        return not use.negative and (use.parameter.kind is not Kind.SWITCH or use.parameter.switch_values is not None)
    return entry is not None and entry.values > 0


def _basename(word: str) -> str:
    return re.split(r"[/\\]", word)[-1].lower().removesuffix(".exe")


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")
