"""What the way a process ended says by itself: exit codes and signals, in words and as causes."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from variet_gui.events import Certainty
from variet_gui.i18n import Message, msg

_SIGNAL_WORDS: Mapping[int, Message] = {
    4: msg("The signal was SIGILL (illegal instruction)."),
    6: msg("The signal was SIGABRT (it gave up by itself)."),
    7: msg("The signal was SIGBUS (memory that is not there)."),
    8: msg("The signal was SIGFPE (arithmetic error)."),
    9: msg("The signal was SIGKILL (ended by force)."),
    11: msg("The signal was SIGSEGV (forbidden memory)."),
}
_WINDOWS_WORDS: Mapping[int, Message] = {
    0xC0000005: msg("The code says access violation (forbidden memory)."),
    0xC0000006: msg("The code says that a part of a file could not be read into memory."),
    0xC0000017: msg("The code says that there is not enough memory."),
    0xC000001D: msg("The code says illegal instruction."),
    0xC000012D: msg("The code says that the limit of the page file was reached."),
    0xC0000135: msg("A library (DLL) that it needs is missing."),
    0xC0000139: msg("A library (DLL) does not have what it needs of it."),
    0xC000013A: msg("It was stopped with Ctrl-C."),
    0xC0000142: msg("A library (DLL) could not be prepared."),
    0xC0000409: msg("It gave up by itself (fast fail)."),
}
_CAUSES: Mapping[int, tuple[str, Certainty]] = {
    -4: ("engine_wrong_cpu", Certainty.LIKELY),
    -7: ("model_file_vanished", Certainty.LIKELY),
    -9: ("killed", Certainty.GUESS),
    -11: ("crashed", Certainty.CERTAIN),
    -8: ("crashed", Certainty.CERTAIN),
    -6: ("crashed", Certainty.CERTAIN),
    -2: ("stopped_from_outside", Certainty.CERTAIN),
    -15: ("stopped_from_outside", Certainty.CERTAIN),
    0xC0000005: ("crashed", Certainty.CERTAIN),
    0xC0000006: ("model_file_vanished", Certainty.LIKELY),
    0xC0000017: ("out_of_host_memory", Certainty.CERTAIN),
    0xC000001D: ("engine_wrong_cpu", Certainty.LIKELY),
    0xC000012D: ("out_of_host_memory", Certainty.CERTAIN),
    0xC0000135: ("engine_library_missing", Certainty.CERTAIN),
    0xC0000139: ("engine_library_unfit", Certainty.CERTAIN),
    0xC000013A: ("stopped_from_outside", Certainty.CERTAIN),
    0xC0000142: ("engine_library_unfit", Certainty.LIKELY),
    0xC0000409: ("crashed", Certainty.CERTAIN),
}


def cause_of_exit(exit_code: int | None) -> tuple[str, Certainty]:
    """Return the cause that an exit code stands for where the log is silent, and how sure that is.

    128 + n is what a wrapper script returns for signal n. Windows' codes may come as negative numbers.
    """
    if exit_code is None:
        return "unknown", Certainty.CERTAIN
    if 128 < exit_code < 160:
        exit_code = 128 - exit_code
    if exit_code < -1000:
        exit_code &= 0xFFFFFFFF
    return _CAUSES.get(exit_code, ("unknown", Certainty.CERTAIN))


def exit_in_words(exit_code: int | None) -> Message:
    """Say how a process ended."""
    if exit_code is None:
        return msg("How it ended is not known.")
    if exit_code == 0:
        return msg("It ended without reporting an error.")
    if exit_code < -1000:
        exit_code &= 0xFFFFFFFF
    if exit_code < 0:
        known = _SIGNAL_WORDS.get(-exit_code)
        if known is not None:
            return known
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = str(-exit_code)
        return msg("The signal was {name}.", name=name)
    if exit_code in _WINDOWS_WORDS:
        return _WINDOWS_WORDS[exit_code]
    if exit_code > 0xFFFF:
        return msg("It ended with exit code {code}.", code=f"0x{exit_code:08X}")
    return msg("It ended with exit code {code}.", code=exit_code)
