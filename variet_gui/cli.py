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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TypeAlias

from pydantic import BaseModel

from variet_gui import i18n
from variet_gui.catalog.exporting import ExportError, ExportFormat
from variet_gui.catalog.shell import ShellTextError
from variet_gui.catalog.store import CatalogError
from variet_gui.chat.conversation import ChatMessage, ConversationError
from variet_gui.client.api import ApiError
from variet_gui.client.images import ImageError
from variet_gui.client.images import load as load_picture
from variet_gui.engine.launch import StartFailed
from variet_gui.engine.records import StateFileError
from variet_gui.events import Event, ServerStateChanged
from variet_gui.i18n import msg, tr
from variet_gui.panel import forecast_text, reports, terminal_narration, terminal_text
from variet_gui.panel.borrow import borrow
from variet_gui.panel.doctor import examine
from variet_gui.panel.exchange import export_text, write_export
from variet_gui.panel.interruption import Interrupted, first_of, quit_signal
from variet_gui.panel.outlook import CheckError
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.panel.paths import CatalogMissing, DataFolderHeld
from variet_gui.panel.shapes import ErrorShape, KeyShape, StoppedShape, StopShape
from variet_gui.panel.terminal_forecast import NoForecast, forecast_shape
from variet_gui.panel.terminal_input import UsageError, override_values, pasted, role_named
from variet_gui.panel.terminal_narration import say
from variet_gui.panel.terminal_options import WRONG_USAGE, parse

DONE, FAILED = 0, 1

Command: TypeAlias = Callable[[Panel, argparse.Namespace], Awaitable[int]]


def main(arguments: list[str] | None = None) -> int:
    """Run one terminal command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # The help texts are made before the command line is read, and are to be in the language that it asks for.
    i18n.set_language(next((b for a, b in itertools.pairwise(words) if a == "--lang"), "system"))
    options = parse(words, _COMMANDS)
    i18n.set_language(options.lang)
    try:
        return asyncio.run(_run(options))
    except KeyboardInterrupt:
        return 130


async def _run(options: argparse.Namespace) -> int:
    command: Command = options.run
    try:
        panel = Panel(PanelOptions(options.config, options.data_dir, options.demo), os.environ)
    except CatalogMissing as error:
        return _fail(options, ErrorShape(error=str(error.message), code="bad_catalog"), WRONG_USAGE)
    except OSError as error:
        return _fail(options, ErrorShape(error=str(error), code="data_folder"), FAILED)
    panel.events.subscribe(terminal_narration.warn)
    try:
        await panel.open(sampling=False)
        if panel.tune.catalog_error is not None and command is not _doctor:
            bad = panel.tune.catalog_error.message
            return _fail(options, ErrorShape(error=str(bad), code="bad_catalog"), WRONG_USAGE)
        return await command(panel, options)
    except (UsageError, ExportError, ShellTextError) as error:
        return _fail(options, ErrorShape(error=str(error.message), code="usage"), WRONG_USAGE)
    except DataFolderHeld as error:
        return _fail(options, ErrorShape(error=str(error.message), code="data_folder_held"), FAILED)
    except CatalogError as error:
        return _fail(options, ErrorShape(error=str(error.message), code="bad_catalog"), WRONG_USAGE)
    except (NoForecast, CheckError) as error:
        return _fail(options, ErrorShape(error=str(error.message), code="no_forecast"), FAILED)
    except StateFileError as error:
        return _fail(options, ErrorShape(error=str(error.message), code="state_file"), FAILED)
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
    role = role_named(panel, options.role)
    await panel.run.find_engine(role)
    shape = reports.command(panel, role, panel.tune.command(role, override_values(options.set)))
    return _print(options, shape, terminal_text.command(shape))


async def _forecast(panel: Panel, options: argparse.Namespace) -> int:
    shape = await forecast_shape(panel, options)
    return _print(options, shape, forecast_text.forecast(shape, options.role or options.model.name))


async def _doctor(panel: Panel, options: argparse.Namespace) -> int:
    shape = await examine(panel)
    _print(options, shape, terminal_text.doctor(shape))
    if panel.tune.catalog_error is not None:
        return WRONG_USAGE
    return FAILED if any(finding.severity == "error" for finding in shape.findings) else DONE


async def _start(panel: Panel, options: argparse.Namespace) -> int:
    role = role_named(panel, options.role)
    panel.lock.acquire()
    await panel.recovery.recover()  # a server of this tier that was left running is taken over, not started twice
    quit_asked = quit_signal()
    panel.events.subscribe(terminal_narration.narrator(role, show_log=options.verbose))
    starting = asyncio.create_task(panel.run.start(role, override_values(options.set)))
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
        say(terminal_text.failure(status.failure))
    return FAILED


async def _stop(panel: Panel, options: argparse.Namespace) -> int:
    roles = [role_named(panel, role) for role in options.role]
    if bool(roles) == options.all:
        raise UsageError(msg("Name the tiers to stop, or say --all."))
    panel.lock.acquire()
    stopped = await panel.recovery.stop_kept(None if options.all else roles)
    shape = StopShape(stopped=[StoppedShape(**asdict(one)) for one in stopped])
    return _print(options, shape, terminal_text.stop(shape))


async def _key(panel: Panel, options: argparse.Namespace) -> int:
    role = role_named(panel, options.role)
    keys = panel.tune.keys
    made = None
    if options.renew or keys.read(role) is None:
        panel.lock.acquire()
        made = await asyncio.to_thread(keys.renew, role)
    shape = KeyShape(
        role=role,
        file=str(keys.path(role)),
        key=made,
        open_to_the_network=panel.tune.tier(role).is_open_to_the_network,
    )
    return _print(options, shape, terminal_text.key(shape))


async def _chat(panel: Panel, options: argparse.Namespace) -> int:
    role = role_named(panel, options.role)
    overrides = override_values(options.set)
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
        say(terminal_text.timings(shape.timings))
        return DONE
    return _print(options, shape, "")


async def _import_command(panel: Panel, options: argparse.Namespace) -> int:
    role = role_named(panel, options.role)
    found = pasted(panel, role, options)
    panel.tune.replace(found.profile)  # in this process alone, until it is saved
    if not options.dry_run:
        panel.lock.acquire()
        await panel.tune.save(role, tr("imported from a command line"))
    await panel.run.find_engine(role)
    shape = reports.imported(panel, role, found, saved=not options.dry_run)
    return _print(options, shape, terminal_text.imported(shape))


async def _export(panel: Panel, options: argparse.Namespace) -> int:
    roles = [role_named(panel, role) for role in dict.fromkeys(options.roles)]
    for role in roles:
        await panel.run.find_engine(role)
    form = ExportFormat(options.format)
    file = export_text(panel.tune, roles, form)
    if options.output is not None:
        write_export(options.output, file.text, form)
    shape = reports.exported(roles, form, file, options.output)
    if options.json:
        return _print(options, shape, "")
    for note in shape.notes:
        say(note)
    if options.output is None:
        _write(file.text)
    return DONE


# -------------------------------------------------------------------------------------------------------------- helpers


def _print(options: argparse.Namespace, shape: BaseModel, text: str) -> int:
    print(shape.model_dump_json(indent=2) if options.json else text, flush=True)
    return DONE


def _fail(options: argparse.Namespace, shape: ErrorShape, code: int) -> int:
    say(terminal_text.error(shape))
    if options.json:
        print(shape.model_dump_json(indent=2), flush=True)
    return code


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


_COMMANDS: Mapping[str, Command] = {
    "tiers": _tiers,
    "command": _command,
    "forecast": _forecast,
    "start": _start,
    "stop": _stop,
    "key": _key,
    "chat": _chat,
    "doctor": _doctor,
    "import-command": _import_command,
    "export": _export,
}


if __name__ == "__main__":
    sys.exit(main())
