"""The words of `variet` on a command line: every sub-command with its options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from variet_gui import __version__, i18n
from variet_gui.catalog.exporting import ExportFormat
from variet_gui.i18n import tr

WRONG_USAGE = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\n")


def parse(words: list[str], commands: Mapping[str, Callable[..., Any]]) -> argparse.Namespace:
    """Return the options in `words`; `run` is that of `commands` which was named.

    Raises:
        SystemExit: help or the version was asked for (0), or the words are wrong (2).
    """
    defaults = argparse.Namespace(json=False, config=None, data_dir=None, demo=False, lang="system")
    return _parser(commands).parse_args(words, defaults)


def _parser(commands: Mapping[str, Callable[..., Any]]) -> argparse.ArgumentParser:
    common = _common()
    parser = _Parser(prog="variet", description=tr("The Variet control panel in a terminal."), parents=[common])
    parser.add_argument("--version", action="version", version=f"variet {__version__}")
    added = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = added.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=commands[name])
        return command

    add("tiers", tr("list the tiers with their states and figures"))
    _with_role(add("command", tr("print the exact command that starts a tier")))
    _forecast(add("forecast", tr("say what a start takes on every device, before it is started")))
    start = _with_role(add("start", tr("start a tier and supervise it until Ctrl-C")))
    start.add_argument("--verbose", action="store_true", help=tr("print the server's own log as well"))
    stop = add("stop", tr("end tiers that an earlier panel left running"))
    stop.add_argument("role", nargs="*", metavar="ROLE", help=tr("the tier, as `variet tiers` lists it"))
    stop.add_argument("--all", action="store_true", help=tr("every tier"))
    key = add("key", tr("make the API key of a tier that other computers may use, and show it this once"))
    key.add_argument("role", metavar="ROLE", help=tr("the tier, as `variet tiers` lists it"))
    key.add_argument("--renew", action="store_true", help=tr("replace the key that there is"))
    chat = _with_role(add("chat", tr("ask a tier one question; it is started for that if it does not run")))
    chat.add_argument("prompt", metavar="PROMPT")
    chat.add_argument(
        "--image", action="append", type=Path, default=[], metavar="FILE", help=tr("a picture to show it")
    )
    chat.add_argument("--temperature", type=float, metavar="T")
    chat.add_argument("--max-tokens", type=int, metavar="N")
    add("doctor", tr("say what is wrong with this computer's set-up and what to do"))
    _import(add("import-command", tr("make a llama-server command line the settings of a tier")))
    _export(add("export", tr("write a tier for starting it without the panel")))
    return parser


def _common() -> _Parser:
    common = _Parser(add_help=False)

    def option(*names: str, **about: Any) -> None:
        # SUPPRESS: a value given before the sub-command must not be overwritten by the sub-command's default.
        common.add_argument(*names, default=argparse.SUPPRESS, **about)

    option("--json", action="store_true", help=tr("one JSON document"))
    option("--config", type=Path, metavar="FILE", help=tr("the catalog to use"))
    option("--data-dir", type=Path, metavar="DIR", help=tr("the folder for logs and state"))
    option("--demo", action="store_true", help=tr("small model, simulated GPUs"))
    option("--lang", choices=["system", *i18n.LANGUAGES], help=tr("language of the output"))
    return common


def _with_role(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("role", metavar="ROLE", help=tr("the tier, as `variet tiers` lists it"))
    return _with_settings(command)


def _with_settings(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=tr("a launch parameter for this once")
    )
    return command


def _forecast(command: argparse.ArgumentParser) -> None:
    command.add_argument("role", nargs="?", metavar="ROLE", help=tr("the tier, as `variet tiers` lists it"))
    command.add_argument("--model", type=Path, metavar="FILE", help=tr("a model file instead of a tier"))
    command.add_argument("--mmproj", type=Path, metavar="FILE", help=tr("its projector"))
    _with_settings(command)
    command.add_argument(
        "--gpu", metavar="MIB[,MIB...]", help=tr("cards of these capacities with nothing else on them, not those here")
    )
    command.add_argument("--build", type=int, metavar="N", help=tr("as this build of llama-server would do it"))
    command.add_argument("--exact", action="store_true", help=tr("ask llama-server itself as well; it loads nothing"))


def _import(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "line", nargs="?", metavar="LINE", help=tr("the command line in quotes; - reads it from input")
    )
    command.add_argument("--file", type=Path, metavar="FILE", help=tr("a script or configuration that holds it"))
    command.add_argument("--as", dest="role", required=True, metavar="ROLE", help=tr("the tier that it becomes"))
    command.add_argument(
        "--dry-run", action="store_true", help=tr("only show what it would become, and change nothing")
    )


def _export(command: argparse.ArgumentParser) -> None:
    command.add_argument("roles", nargs="+", metavar="ROLE", help=tr("the tier, as `variet tiers` lists it"))
    command.add_argument("--format", required=True, choices=[form.value for form in ExportFormat])
    command.add_argument("--output", type=Path, metavar="FILE", help=tr("write there instead of to the terminal"))
