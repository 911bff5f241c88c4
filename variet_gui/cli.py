"""`variet`: the same panel without a window, for SSH, scripts and tests.

`--json` prints one JSON document on standard output and nothing else; messages go to standard error. Exit code: 0 done,
1 the thing asked for failed, 2 wrong usage or a bad catalog.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from pydantic import BaseModel

from variet_gui import __version__, i18n
from variet_gui.catalog.parameters import ParameterError, parameter, parse_text
from variet_gui.chat.conversation import ChatMessage, ConversationError
from variet_gui.client.api import ApiError
from variet_gui.client.images import ImageError
from variet_gui.client.images import load as load_picture
from variet_gui.engine.launch import StartFailed
from variet_gui.events import Event, LogAppended, ParameterValue, ServerState, ServerStateChanged
from variet_gui.i18n import Message, msg, tr
from variet_gui.panel import reports, terminal_text
from variet_gui.panel.borrow import borrow
from variet_gui.panel.doctor import examine
from variet_gui.panel.interruption import Interrupted, first_of, quit_signal
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.panel.paths import DataFolderHeld
from variet_gui.panel.shapes import ErrorShape

DONE, FAILED, WRONG_USAGE = 0, 1, 2

Command: TypeAlias = Callable[[Panel, argparse.Namespace], Awaitable[int]]


class UsageError(Exception):
    """The command line, or the catalog, asks for something that cannot be."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


def main(arguments: list[str] | None = None) -> int:
    """Run one terminal command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # The help texts are made before the command line is read, and are to be in the language that it asks for.
    i18n.set_language(next((b for a, b in itertools.pairwise(words) if a == "--lang"), "system"))
    defaults = argparse.Namespace(json=False, config=None, data_dir=None, demo=False, lang="system")
    options = _parser().parse_args(words, defaults)
    i18n.set_language(options.lang)
    try:
        return asyncio.run(_run(options))
    except KeyboardInterrupt:
        return 130


async def _run(options: argparse.Namespace) -> int:
    command: Command = options.run
    try:
        panel = Panel(PanelOptions(options.config, options.data_dir, options.demo), os.environ)
    except OSError as error:
        return _fail(options, ErrorShape(error=str(error), code="data_folder"), FAILED)
    try:
        await panel.open(sampling=False)
        if panel.tune.catalog_error is not None and command is not _doctor:
            bad = panel.tune.catalog_error.message
            return _fail(options, ErrorShape(error=str(bad), code="bad_catalog"), WRONG_USAGE)
        return await command(panel, options)
    except UsageError as error:
        return _fail(options, ErrorShape(error=str(error.message), code="usage"), WRONG_USAGE)
    except DataFolderHeld as error:
        return _fail(options, ErrorShape(error=str(error.message), code="data_folder_held"), FAILED)
    except StartFailed as error:
        return _fail(options, reports.failure_shape(error.failure), FAILED)
    except (ApiError, ConversationError, ImageError) as error:
        return _fail(options, ErrorShape(error=str(error.message), code="request_failed"), FAILED)
    except Interrupted:
        return _fail(options, ErrorShape(error=tr("Stopped before it was done."), code="cancelled"), FAILED)
    except OSError as error:
        return _fail(options, ErrorShape(error=str(error), code="system"), FAILED)
    finally:
        await panel.close()


# ----------------------------------------------------------------------------------------------------------- commands


async def _tiers(panel: Panel, options: argparse.Namespace) -> int:
    shape = await reports.tiers(panel)
    return _print(options, shape, terminal_text.tiers(shape))


async def _command(panel: Panel, options: argparse.Namespace) -> int:
    role = _role(panel, options.role)
    await panel.run.find_engine(role)
    shape = reports.command(panel, role, panel.tune.command(role, _overrides(options.set)))
    return _print(options, shape, terminal_text.command(shape))


async def _doctor(panel: Panel, options: argparse.Namespace) -> int:
    shape = await examine(panel)
    _print(options, shape, terminal_text.doctor(shape))
    if panel.tune.catalog_error is not None:
        return WRONG_USAGE
    return FAILED if any(finding.severity == "error" for finding in shape.findings) else DONE


async def _start(panel: Panel, options: argparse.Namespace) -> int:
    role = _role(panel, options.role)
    panel.lock.acquire()
    quit_asked = quit_signal()
    panel.events.subscribe(_narrator(role, show_log=options.verbose))
    starting = asyncio.create_task(panel.run.start(role, _overrides(options.set)))
    await first_of(starting, quit_asked)
    if quit_asked.done():
        await panel.run.stop(role)
        await asyncio.gather(starting, return_exceptions=True)
        raise Interrupted
    await starting
    shape = reports.start(panel, role)
    _print(options, shape, terminal_text.start(shape))
    gone = asyncio.get_running_loop().create_future()

    def watch(event: Event) -> None:
        if isinstance(event, ServerStateChanged) and not event.status.state.is_active and not gone.done():
            gone.set_result(event.status)

    panel.events.subscribe(watch)
    if not panel.run.server(role).status.state.is_active:  # it can die before anybody listens
        gone.set_result(panel.run.server(role).status)
    await first_of(gone, quit_asked)
    if quit_asked.done():
        await panel.run.stop(role)
        return DONE
    status = gone.result()
    if status.failure is not None:
        _say(terminal_text.failure(status.failure))
    return FAILED


async def _chat(panel: Panel, options: argparse.Namespace) -> int:
    role = _role(panel, options.role)
    overrides = _overrides(options.set)
    pictures = tuple(load_picture(path) for path in options.image)

    async def answered() -> ChatMessage:
        async with borrow(panel, role, overrides) as api:
            return await panel.converse.answer_once(
                api,
                role,
                options.prompt,
                pictures,
                reports.sampling(options.temperature, options.max_tokens),
                on_text=None if options.json else _write,
            )

    quit_asked = quit_signal()
    answering = asyncio.create_task(answered())
    await first_of(answering, quit_asked)
    if not answering.done():  # cancelled, it closes its stream and stops the tier that it started
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        raise Interrupted
    shape = reports.chat(role, await answering)
    if not options.json:
        _write("\n")
        _say(terminal_text.timings(shape.timings))
        return DONE
    return _print(options, shape, "")


# -------------------------------------------------------------------------------------------------------------- helpers


def _role(panel: Panel, role: str) -> str:
    catalog = panel.tune.catalog
    if catalog is None or role not in catalog.roles:
        there = ", ".join(catalog.roles) if catalog else "-"
        raise UsageError(msg("No tier is called {role}. There are: {roles}.", role=role, roles=there))
    return role


def _overrides(settings: list[str]) -> dict[str, ParameterValue | None]:
    values: dict[str, ParameterValue | None] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(msg("--set wants KEY=VALUE; {setting} has no '='.", setting=setting))
        try:
            row = parameter(key.strip().lstrip("-").replace("-", "_"))
            values[row.key] = None if text == "" else parse_text(row, text)
        except KeyError as error:
            raise UsageError(msg("{problem}", problem=error.args[0])) from error
        except ParameterError as error:
            raise UsageError(error.message) from error
    return values


def _narrator(role: str, *, show_log: bool) -> Callable[[Event], None]:
    def narrate(event: Event) -> None:
        if isinstance(event, ServerStateChanged) and event.status.role == role:
            if event.status.state is not event.previous and event.status.state is not ServerState.FAILED:
                _say(terminal_text.state(event.status))
        elif show_log and isinstance(event, LogAppended) and event.role == role:
            _say("\n".join(event.lines))

    return narrate


def _print(options: argparse.Namespace, shape: BaseModel, text: str) -> int:
    print(shape.model_dump_json(indent=2) if options.json else text, flush=True)
    return DONE


def _fail(options: argparse.Namespace, shape: ErrorShape, code: int) -> int:
    _say(terminal_text.error(shape))
    if options.json:
        print(shape.model_dump_json(indent=2), flush=True)
    return code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)

    def option(*names: str, **about: Any) -> None:
        # SUPPRESS: a value given before the sub-command must not be overwritten by the sub-command's default.
        common.add_argument(*names, default=argparse.SUPPRESS, **about)

    option("--json", action="store_true", help=tr("one JSON document"))
    option("--config", type=Path, metavar="FILE", help=tr("the catalog to use"))
    option("--data-dir", type=Path, metavar="DIR", help=tr("the folder for logs and state"))
    option("--demo", action="store_true", help=tr("small model, simulated GPUs"))
    option("--lang", choices=["system", *i18n.LANGUAGES], help=tr("language of the output"))
    parser = _Parser(prog="variet", description=tr("The Variet control panel in a terminal."), parents=[common])
    parser.add_argument("--version", action="version", version=f"variet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[Panel, argparse.Namespace], Awaitable[int]], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=run)
        return command

    def with_role(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command.add_argument("role", metavar="ROLE", help=tr("the tier, as `variet tiers` lists it"))
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help=tr("a launch parameter for this once")
        )
        return command

    add("tiers", _tiers, tr("list the tiers with their states and figures"))
    with_role(add("command", _command, tr("print the exact command that starts a tier")))
    start = with_role(add("start", _start, tr("start a tier and supervise it until Ctrl-C")))
    start.add_argument("--verbose", action="store_true", help=tr("print the server's own log as well"))
    chat = with_role(add("chat", _chat, tr("ask a tier one question; it is started for that if it does not run")))
    chat.add_argument("prompt", metavar="PROMPT")
    chat.add_argument(
        "--image", action="append", type=Path, default=[], metavar="FILE", help=tr("a picture to show it")
    )
    chat.add_argument("--temperature", type=float, metavar="T")
    chat.add_argument("--max-tokens", type=int, metavar="N")
    add("doctor", _doctor, tr("say what is wrong with this computer's set-up and what to do"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
