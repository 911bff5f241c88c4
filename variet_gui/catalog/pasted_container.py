"""Find the arguments of llama-server in a compose file, a Kubernetes manifest or a Dockerfile.

Only what these files do with a command is read (https://docs.docker.com/reference/compose-file/services/#command);
this is no parser for YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from variet_gui.catalog import shell
from variet_gui.catalog.parameters import flag_use

_KEY = re.compile(r"(?P<indent>\s*(?:- )?)(?P<key>command|entrypoint|args|environment|env|image):(?P<rest>.*)")
_COMMAND_KEYS = ("entrypoint", "command", "args")
_INSTRUCTION = re.compile(r"(?P<key>ENTRYPOINT|CMD)\s+(?P<rest>\[.*\])\s*")
_VARIABLE = re.compile(r"ENV\s+(?P<name>\w+)[= ](?P<value>.*)")
_FLOW_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\']|\'\')*)\'|([^\s,\[\]"\'][^,\[\]]*)')
_QUOTED = re.compile(r"([\"'])(.*?)\1\s*(?:#.*)?")
_BLOCK_SCALAR = re.compile(r"[>|][+-]?\s*")
_PAIR = re.compile(r"([A-Za-z_]\w*)\s*[:=]\s*(.*)")


@dataclass(slots=True)
class Container:
    """One service."""

    arguments: list[str] = field(default_factory=list)
    """Entry point and command, in this order."""
    environment: dict[str, str] = field(default_factory=dict)
    image: str | None = None


def read_container(text: str) -> Container | None:
    """Return the service of `text` that is given flags of llama-server, or None when `text` is no such file.

    Raises:
        ShellTextError: a quotation mark of its command is not closed.
    """
    lines = text.splitlines()
    dockerfile = _dockerfile(lines)
    if dockerfile is not None:
        return dockerfile
    services: list[Container] = []
    read_to: dict[int, int] = {}  # by indent: the last line of the service that was read last
    for number, line in enumerate(lines):
        match, indent = _KEY.fullmatch(line), _indent(line)
        if match and match["key"] in _COMMAND_KEYS and read_to.get(indent, -1) < number:
            service, read_to[indent] = _service(lines, number, indent)
            services.append(service)
    given_flags = [one for one in services if any(word.startswith("-") for word in one.arguments)]
    named = [one for one in given_flags if "llama" in " ".join([one.image or "", *one.arguments[:1]])]
    return next(iter([*named, *(one for one in given_flags if any(map(flag_use, one.arguments)))]), None)


def _dockerfile(lines: Sequence[str]) -> Container | None:
    parts: dict[str, list[str]] = {}
    container = Container()
    for line in lines:
        if match := _INSTRUCTION.fullmatch(line.strip()):
            parts[match["key"]] = _flow(match["rest"])
        elif variable := _VARIABLE.fullmatch(line.strip()):
            container.environment[variable["name"]] = _scalar(variable["value"])
    container.arguments = parts.get("ENTRYPOINT", []) + parts.get("CMD", [])
    return container if parts else None


def _service(lines: Sequence[str], number: int, indent: int) -> tuple[Container, int]:
    """Return the service that the key in line `number` belongs to, and its last line.

    Its lines are those around the key that are not less indented.
    """
    first = last = number
    while first > 0 and (not lines[first - 1].strip() or _indent(lines[first - 1]) >= indent):
        first -= 1
    while last + 1 < len(lines) and (not lines[last + 1].strip() or _indent(lines[last + 1]) >= indent):
        last += 1
    found = Container()
    parts: dict[str, list[str]] = {}
    for position in range(first, last + 1):
        match = _KEY.fullmatch(lines[position])
        if match is None or _indent(lines[position]) != indent:
            continue
        rest, below = match["rest"].strip(), list(_below(lines[position + 1 : last + 1], indent))
        match match["key"]:
            case "image":
                found.image = _scalar(rest)
            case "environment" | "env":
                found.environment = dict(_pairs(below))
            case key:
                parts[key] = _words(rest, below)
    found.arguments = [word for key in _COMMAND_KEYS for word in parts.get(key, [])]
    return found, last


def _below(lines: Sequence[str], indent: int) -> Iterator[str]:
    """Yield the lines that belong to a key: deeper ones, and items of a list that are as deep as the key."""
    for line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        is_item = _deep(line) == indent and stripped.startswith("- ") and not _KEY.fullmatch(line)
        if _deep(line) <= indent and not is_item:
            return
        yield stripped


def _words(rest: str, below: Sequence[str]) -> list[str]:
    if rest.startswith("["):
        return _flow(" ".join([rest, *below]))
    if _BLOCK_SCALAR.fullmatch(rest):
        return _split(" ".join(line.removesuffix("\\") for line in below))
    if not rest and below and all(line.startswith("- ") for line in below):
        return [_scalar(line[2:]) for line in below]
    return _split(_scalar(" ".join([rest, *below])))


def _pairs(below: Sequence[str]) -> Iterator[tuple[str, str]]:
    name: str | None = None
    for line in below:
        pair = _PAIR.fullmatch(_scalar(line.removeprefix("- ").strip()))
        if pair is None:
            continue
        if pair[1] == "name":  # Kubernetes: a name, and below it a value
            name = _scalar(pair[2])
        elif pair[1] == "value" and name is not None:
            yield name, _scalar(pair[2])
            name = None
        else:
            yield pair[1], _scalar(pair[2])


def _flow(text: str) -> list[str]:
    return [
        re.sub(r"\\(.)", r"\1", double) if double else single.replace("''", "'") or plain.strip()
        for double, single, plain in _FLOW_ITEM.findall(text)
    ]


def _split(text: str) -> list[str]:
    return [word.text for word in shell.split(text) if not word.operator]


def _scalar(text: str) -> str:
    text = text.strip()
    quoted = _QUOTED.fullmatch(text)
    return quoted[2] if quoted else re.sub(r"\s+#.*", "", text)


def _deep(line: str) -> int:
    return len(line) - len(line.lstrip())


def _indent(line: str) -> int:
    """Return the column of the key, which in the first line of a list item stands behind the dash."""
    return len(line) - len(re.sub(r"^\s*(?:- )?", "", line))
