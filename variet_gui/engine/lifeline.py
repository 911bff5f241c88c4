"""The small parent that every server lives under: when the panel dies, however it dies, the server goes with it.

A process of its own that holds a pipe to the panel (its stdin). One server and whatever that starts form a process
group. The panel reads JSON lines from its stdout and writes commands, one word a line, to its stdin:

    variet _lifeline --log FILE [--keep] -- PROGRAM [ARGUMENT ...]

    out  {"pid":4711,"started":1764000000.123}   the server runs; `started` is Unix time, s
    out  {"failed":"exec","errno":2}             it could not be started; "log": the log file could not be opened
    out  {"exit":0}                              it ended; negative: killed by that signal
    in   term                                    SIGTERM to the whole group
    in   kill                                    SIGKILL to the whole group
    in   end of file                             the panel is gone: TERM, up to 4 s, KILL. With --keep: let it live

Standard library only, and little of it: this costs about 10 MB and 30 ms for every server that runs.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import sys
import time
from collections.abc import Callable

GRACE_S = 4.0
"""How long a server may take to end after the panel died; with the kill that follows, all is gone within 5 s."""

_USAGE = "usage: variet _lifeline --log FILE [--keep] -- PROGRAM [ARGUMENT ...]\n"
_PR_SET_PDEATHSIG = 1
_NEVER_STARTED = 127


def main(arguments: list[str]) -> int:
    """Start the server, hold it until it ends or the panel is gone, and return 0 (2: wrong usage)."""
    options, separator, command = _split(arguments)
    keep = "--keep" in options
    paths = [value for option, value in itertools.pairwise(options) if option == "--log"]
    if not separator or not command or len(paths) != 1:
        sys.stderr.write(_USAGE)
        return 2
    if sys.platform == "win32":
        from variet_gui.engine.windows import hold

        return hold(paths[0], command, keep=keep, say=say)
    else:  # noqa: RET505 - so that a type check for either platform sees what that platform runs
        return Lifeline(paths[0], command, keep=keep).run()


def say(line: str) -> None:
    """Write one line to the panel; a panel that is gone needs none."""
    try:
        os.write(sys.stdout.fileno(), line.encode("ascii") + b"\n")
    except OSError:
        return  # the end of stdin tells the same a moment later, and that is acted on


class Lifeline:
    """One server's parent on Linux. The server is the leader of its own session and process group."""

    def __init__(self, log_path: str, command: list[str], *, keep: bool) -> None:
        self._log_path = log_path
        self._command = command
        self._keep = keep
        self._pid = 0
        self._deadline: float | None = None
        self._unfinished = b""

    def run(self) -> int:
        """Start the server and hold it to the end. Always returns 0: what became of it was said on stdout."""
        awake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # only to be woken: the number arrives in the pipe
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a mask is inherited, and the server must hear a SIGTERM
        if self._start():
            self._hold(awake)
        return 0

    def _start(self) -> bool:
        """Fork and execute the server; say its pid, or why there is none."""
        try:
            log = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            say(f'{{"failed":"log","errno":{error.errno}}}')
            return False
        die_with_parent = None if self._keep else _parent_death_signal()
        problem, report = os.pipe()  # closed by a successful exec; carries errno otherwise
        me = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._become_server(log, die_with_parent, me)
            except OSError as error:
                os.write(report, str(error.errno).encode("ascii"))
            finally:
                os._exit(_NEVER_STARTED)
        os.close(report)
        os.close(log)
        errno_text = os.read(problem, 16).decode("ascii")
        os.close(problem)
        if errno_text:
            os.waitpid(self._pid, 0)
            say(f'{{"failed":"exec","errno":{errno_text}}}')
            return False
        say(f'{{"pid":{self._pid},"started":{time.time():.3f}}}')
        return True

    def _become_server(self, log: int, die_with_parent: Callable[[], object] | None, parent: int) -> None:
        """In the forked child: own session, own signals, log as output; then become the program."""
        os.setsid()
        if die_with_parent is not None:
            die_with_parent()
            if os.getppid() != parent:  # the lifeline died before the line above could see it
                os._exit(_NEVER_STARTED)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores the last two, and an exec would hand that on
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.execvp(self._command[0], self._command)  # noqa: S606 - no shell is the point: paths are passed as they are

    def _hold(self, awake: int) -> None:
        """Wait for commands, for the end of the panel and for the end of the server."""
        watched = [awake, 0]
        while not self._has_ended():
            patience = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            ready, _, _ = select.select(watched, [], [], patience)
            if awake in ready and any(number != signal.SIGCHLD for number in os.read(awake, 64)):
                ready.append(0)  # told to end itself, at a logout say: as if the panel were gone
                data = b""
            elif 0 in ready:
                data = os.read(0, 4096)
            if 0 in ready and not data:
                if self._keep:
                    return
                watched = [awake]
                self._end()
            elif 0 in ready:
                self._obey(data)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._deadline = None
                self._signal(signal.SIGKILL)
        self._signal(signal.SIGKILL)  # what the server itself started and left; its pid is still ours: not yet reaped
        _, status = os.waitpid(self._pid, 0)
        say(f'{{"exit":{os.waitstatus_to_exitcode(status)}}}')

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _obey(self, data: bytes) -> None:
        *words, self._unfinished = (self._unfinished + data).split(b"\n")
        for word in words:
            if word == b"term":
                self._signal(signal.SIGTERM)
            elif word == b"kill":
                self._signal(signal.SIGKILL)

    def _end(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_S
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group. Safe: the leader is our unreaped child, so its number cannot be anybody else's."""
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            return  # nobody left in it
        except PermissionError:
            return  # only processes that changed their owner are left; they are not ours to end


def _split(arguments: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in arguments:
        return arguments, False, []
    at = arguments.index("--")
    return arguments[:at], True, arguments[at + 1 :]


def _parent_death_signal() -> Callable[[], object] | None:
    """Return a call that has the kernel kill the calling process when its parent dies (Linux), or None elsewhere.

    Loaded before the fork, so that the child only has to make the call. The kernel means the parent *thread*
    (PR_SET_PDEATHSIG(2const)); the lifeline has one only.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
