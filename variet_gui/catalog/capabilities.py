"""What one llama-server build can do: a plain value, filled by `engine.probe` from its `--help` and `--version`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One build of llama-server, as it describes itself."""

    flags: frozenset[str] = frozenset()
    """Every flag it accepts, all spellings, with their dashes."""
    removed: frozenset[str] = frozenset()
    """Flags that it names only to refuse them ("has been removed")."""
    value_hints: tuple[tuple[str, str], ...] = ()
    """(flag, hint) for flags that take a value: ("--flash-attn", "[on|off|auto]")."""
    build: int | None = None
    """Build number; None where the build is unofficial (they say 0 or 1)."""
    commit: str | None = None
    version: str | None = None
    """The semantic version of newer builds, or None."""
    embedded: bool = False
    sha256: str | None = None
    """Of the executable file; identifies unofficial builds."""

    def knows(self, flag: str) -> bool:
        """Whether `flag` may stand on its command line."""
        return flag in self.flags and flag not in self.removed

    def value_hint(self, flag: str) -> str | None:
        """Return what `--help` prints behind `flag`, or None when it takes no value or is unknown."""
        return dict(self.value_hints).get(flag)

    @property
    def label(self) -> str:
        """Return a short name for the status bar: "b11434", "0.6.0", "build unknown"."""
        if self.build is not None:
            return f"b{self.build}"
        return self.version or "build unknown"
