"""How long a server worked on a picture, from the facts of its log.

Its own timings count the picture as a part of the prompt. Newer builds say how long the model took over the picture's
tokens, but not how long the projector took: that is the time between two lines.
"""

from __future__ import annotations

from variet_gui.engine import log_facts as facts
from variet_gui.engine.log_facts import Fact


class ImageTimer:
    """Feed it every fact of one server; it returns the milliseconds of each picture when the picture is through."""

    def __init__(self) -> None:
        self._encode_began_at_ms: float | None = None
        self._ms = 0.0
        self._batches_left = 1

    def add(self, fact: Fact) -> float | None:
        """Take in one fact; return encoding and decoding of a picture in ms when this fact ends one, else None."""
        match fact:
            case facts.ImageEncodeBegun(at_ms):
                self._encode_began_at_ms = at_ms
                self._ms = 0.0
            case facts.ImageEncoded(ms):
                self._ms += ms
                self._encode_began_at_ms = None
            case facts.ImageDecodeBegun(_, batch, batches, at_ms):
                self._batches_left = batches - batch + 1
                if self._encode_began_at_ms is not None and at_ms is not None:
                    self._ms += max(0.0, at_ms - self._encode_began_at_ms)
                self._encode_began_at_ms = None
            case facts.ImageDecoded(ms):
                self._ms += ms
                self._batches_left -= 1
                if self._batches_left <= 0:
                    whole, self._ms = self._ms, 0.0
                    return whole
            case _:
                pass
        return None
