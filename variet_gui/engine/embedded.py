"""The embedded engine: llama-server's command line on the library xllamacpp, for machines without a llama-server.

`python -m variet_gui.engine.embedded ARGUMENTS` behaves towards the panel as llama-server does: the same flags as far
as the library can honour them (`embedded_table`), HTTP bound before the model is loaded (`/health` answers 503 until
it is), llama.cpp's log on stderr with its `listening on` line, and exit code 1 with the reason on stderr when the
model cannot be loaded or the port is taken.

Ending: SIGTERM and SIGINT end it at once, also with a stream open, where llama-server waits for its client: exit code 0
when the model is loaded, by the signal itself (-15, -2) while it loads. Two facts of the library force the design:
its constructor and its destructor hold Python's global lock, so that no Python code runs while a model loads, and the
destructor never returns while a client is connected. The load therefore runs in a second thread that, like all the
library's own threads, has the signals blocked, while the main thread lets them act by default; once loaded, the main
thread takes them itself and leaves without the destructor. Between the first 200 of `/health` and that moment lie a few
milliseconds in which a signal still ends it as during the load.

Unlike llama-server's, the library's log has no line about layers offloaded where it was built without GPU support, and
its own lines are headed `srv          init:`, not `srv  llama_server:`.
"""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any

from variet_gui.engine.embedded_arguments import ArgumentError, argument_error, help_text, parse
from variet_gui.engine.embedded_options import Adapter, Leading, Member, Processors, Settings
from variet_gui.engine.embedded_table import NO_GPU_WARNINGS

PACKAGE = "xllamacpp"


def main(arguments: list[str]) -> int:
    """Serve as llama-server would with `arguments` (without the program's name), and return the exit code."""
    try:
        invocation = parse(arguments)
    except ArgumentError as error:
        return _fail(str(error))
    if invocation.instead == "--help":
        print(help_text())
        return 0
    for warning in invocation.warnings:
        _say(warning)
    try:
        import xllamacpp
    except ImportError as error:
        return _fail(f"error: the embedded engine needs the Python package {PACKAGE}: {error}")
    if invocation.instead == "--version":
        _say(version_text(xllamacpp))
        return 0
    if invocation.instead == "--list-devices":
        print(devices_text(xllamacpp.get_device_info()))
        return 0
    try:
        parameters = configure(invocation.settings, xllamacpp)
    except ArgumentError as error:
        return _fail(str(error))
    taken = taken_address(invocation.settings)
    if taken:
        host, port = taken
        _say(f"E srv         start: couldn't bind HTTP server socket, hostname: {host}, port: {port}")
        return _fail("E srv  embedded_eng: exiting due to HTTP server error")
    return _serve(xllamacpp, parameters)


def version_text(library: Any) -> str:
    """Return what `--version` prints: llama-server's two lines, with the library's version, and what this is."""
    version = importlib.metadata.version(PACKAGE)
    build = library.BUILD_INFO
    return (
        f"version: {version} (build {build['build_number']}, commit {build['commit']})\n"
        f"built with {build['compiler']} for {build['build_target']}\n"
        f"embedded engine: {PACKAGE} {version}"
    )


def devices_text(devices: Iterable[dict[str, Any]]) -> str:
    """Return what `--list-devices` prints for the library's own list of devices."""
    lines = [
        f"  {device['name']}: {device['description']} "
        f"({device['memory_total'] >> 20} MiB, {device['memory_free'] >> 20} MiB free)"
        for device in _gpus(devices)
    ]
    return "\n".join(["Available devices:", *(lines or ["  (none)"])])


def configure(settings: Settings, library: Any) -> Any:
    """Return the library's parameters for `settings`.

    Raises:
        ArgumentError: this version of the library lacks a setting, or does not take the value.
    """
    parameters = library.CommonParams()
    for path, value in settings.values.items():
        *parents, name = path.split(".")
        source = settings.sources.get(path, "")
        try:
            owner = functools.reduce(getattr, parents, parameters)
            setattr(owner, name, _for_library(value, getattr(owner, name), library))
        except AttributeError as error:
            reason = f"{PACKAGE} {importlib.metadata.version(PACKAGE)} has no setting for it"
            raise ArgumentError(f"error: the embedded engine cannot honour {source} ({reason})") from error
        except (OverflowError, TypeError, ValueError) as error:
            raise argument_error(source, str(error)) from error
    asked_for_gpu = [warning for path, warning in NO_GPU_WARNINGS.items() if path in settings.values]
    if asked_for_gpu and not _gpus(library.get_device_info()):
        _say("\n".join(asked_for_gpu))
    return parameters


def taken_address(settings: Settings) -> tuple[str, int] | None:
    """Return the first address of the command line on which another program listens, or None.

    The library looks too, but not on Windows, where two servers would share the port.
    """
    port: int = settings.values["port"]
    for host in settings.values.get("hostnames", ("127.0.0.1",)):
        if port == 0 or host.endswith(".sock") or settings.values.get("reuse_port"):
            continue
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if sys.platform != "win32":  # there it would allow a second listener, which is what is to be found out
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return host, port
    return None


def _serve(library: Any, parameters: Any) -> int:
    """Load the model, then serve until SIGTERM or SIGINT. Returns only when the load fails."""
    ends = {signal.SIGTERM, signal.SIGINT}
    problems: list[BaseException] = []
    servers: list[Any] = []
    allowed, done = threading.Event(), threading.Event()

    def load() -> None:
        allowed.wait()
        try:
            servers.append(library.Server(parameters))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which ends the program with it
            problems.append(error)
        done.set()

    loader = threading.Thread(target=load, name="load the model", daemon=True)
    for number in ends:
        signal.signal(number, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # for the loader, and for every thread that comes from it
        loader.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
    else:
        loader.start()
    allowed.set()
    done.wait()
    if problems:
        loader.join()
        return _fail(f"E srv  embedded_eng: {problems[0]}")  # why stands above it in llama.cpp's own log
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)
    else:
        ended = threading.Event()
        for number in ends:
            signal.signal(number, lambda *_: ended.set())
        while not ended.wait(0.2):  # a wait without end would keep the handler from running
            pass
    os._exit(0)


def _for_library(value: Any, current: Any, library: Any) -> Any:
    """Translate a plain value of `Settings` into what the library's attribute takes; `current` is its default."""
    if isinstance(value, Member):
        return getattr(getattr(library, value.enumeration), value.name)
    if isinstance(value, Leading):
        if len(value.numbers) >= len(current):
            raise ValueError(f"got {len(value.numbers)} input configs, but the library takes {len(current) - 1}")
        rest = current[len(value.numbers) :]
        return [*value.numbers, *(rest if value.rest is None else [value.rest] * len(rest))]
    if isinstance(value, Processors):
        return [number in value.numbers for number in range(len(current))]
    if isinstance(value, Adapter):
        return library.CommonAdapterLoraInfo(value.path, value.scale)
    if isinstance(value, frozenset):
        return set(value)
    if isinstance(value, tuple):
        items = [_for_library(item, current, library) for item in value]
        if isinstance(current, str):  # tensor overrides: one text
            return ",".join(items)
        if isinstance(current, int):  # what was chosen by hand: one bit each
            return functools.reduce(lambda bits, item: bits | int(item.value), items, current)
        return items
    return value


def _gpus(devices: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [device for device in devices if device["type"].name.rpartition("_")[2] in ("GPU", "IGPU")]


def _fail(text: str) -> int:
    _say(text)
    return 1


def _say(text: str) -> None:
    """Say something on stderr, where llama-server says everything but its help and its devices."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
