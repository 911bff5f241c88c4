"""The flags of a command line that have no row in the parameter table: what the panel decides, keeps or leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from variet_gui.catalog.command import HOST
from variet_gui.catalog.parameters import LeftOut, Reason, normalised
from variet_gui.i18n import Message, msg

_PANEL_PASSES = frozenset({"--offline", "--metrics", "--slots", "--no-ui"})
_OLD_NAMES = {"--no-webui": "--no-ui"}
_THIS_COMPUTER = frozenset({HOST, "localhost"})


class LeftOutReader:
    """Reads flags of `left_out.LEFT_OUT` from left to right."""

    def __init__(self, note: Callable[[Message], None], keep: Callable[[str, Sequence[str], Message], None]) -> None:
        """`note` tells something; `keep` keeps a flag with its values among the extra arguments, and says why."""
        self._note = note
        self._keep = keep
        self.port: int | None = None
        self.alias: str | None = None
        self.api_key: str | None = None

    def take(self, entry: LeftOut, flag: str, values: Sequence[str]) -> None:
        """Read one of them, with the values behind it."""
        text = values[0] if values else ""
        match entry.flags[-1]:
            case "--port":
                self.take_port(flag, text)
            case "--alias":
                self.alias = text.split(",")[0].strip() or None
            case "--api-key":
                self.take_key(flag, text)
            case "--host" if text in _THIS_COMPUTER:
                pass
            case "--host":
                self._note(
                    msg(
                        "{flag} {value} was left out: the panel's servers listen on {host}.",
                        flag=flag,
                        value=text,
                        host=HOST,
                    )
                )
            case "--log-verbosity" if text == "4":
                pass
            case "--cors-origins" if text == "localhost":
                pass
            case _ if normalised(flag) in _PANEL_PASSES:
                pass
            case _ if normalised(flag) in _OLD_NAMES:
                now = _OLD_NAMES[normalised(flag)]
                self._note(msg("{flag} has a new name, {now}; the panel passes it by itself.", flag=flag, now=now))
            case _ if entry.reason is Reason.NO_EFFECT:
                self._note(msg("{flag} does nothing any more; it was left out.", flag=flag))
            case _ if entry.reason is Reason.REMOVED:
                self._note(msg("{flag} was removed from llama-server; it was left out.", flag=flag))
            case _ if entry.reason.kept_on_import:
                why = msg("{flag} was kept as an extra argument. {reason}", flag=flag, reason=entry.reason.text)
                self._keep(flag, values, why)
            case _:
                self._note(msg("{flag} was left out. {reason}", flag=flag, reason=entry.reason.text))

    def take_port(self, flag: str, text: str) -> None:
        """Take the port that `flag`, or a variable of that name, says."""
        if re.fullmatch(r"[0-9]{4,5}", text) and 1024 <= int(text) <= 65535:
            self.port = int(text)
        else:
            self._note(msg("{flag} {value} was left out: a port is from 1024 to 65535.", flag=flag, value=text))

    def take_key(self, name: str, text: str) -> None:
        """Take a key that stands behind `name`; it is named nowhere else."""
        self.api_key = text or None
        self._note(msg("The key of {name} belongs in the key store; it never stands on a command line.", name=name))
