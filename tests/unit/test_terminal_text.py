from __future__ import annotations

import unicodedata

from variet_gui.i18n import set_language
from variet_gui.panel import terminal_text
from variet_gui.panel.shapes import TierRow, TiersShape, TimingsShape


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def row(role: str, **changes: object) -> TierRow:
    values: dict[str, object] = {
        "role": role, "model_name": "M", "quantisation": None, "state": "stopped", "port": 8081,
        "url": "http://127.0.0.1:8081/v1", "vision": False, "target_tps": 70.0, "vram_limit_mib": None,
        "last_tps": None, "last_measured": None, "has_fingerprint": False, "not_recorded": [],
    }  # fmt: skip
    return TierRow.model_validate({**values, **changes})


def test_that_columns_stand_under_each_other_in_korean_too() -> None:
    shape = TiersShape(catalog="c.json", demo=False, tiers=[row("fast"), row("deep-coder", state="ready")])
    try:
        for language in ("en", "ko"):
            set_language(language)
            lines = terminal_text.tiers(shape).splitlines()[1:3]
            assert len({columns(line[: line.index("http")]) for line in lines}) == 1
    finally:
        set_language("en")


def test_that_a_figure_without_a_fingerprint_is_called_history() -> None:
    shape = TiersShape(catalog="c", demo=False, tiers=[row("fast", last_tps=71.89, last_measured="2026-04")])
    assert "71.89 (2026-04, history)" in terminal_text.tiers(shape)


def test_that_what_is_not_known_is_left_out_of_the_timings() -> None:
    unknown = TimingsShape(
        generated_tokens=1, generation_tps=None, prompt_tokens=5, prefill_tps=None, cached_tokens=0,
        time_to_first_token_ms=None, image_tokens=None, image_ms=None,
    )  # fmt: skip
    assert terminal_text.timings(unknown) == "1 token"
