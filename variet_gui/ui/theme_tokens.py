"""The colours of the two themes, by name. Nothing else in the program holds a colour.

Both themes are designed: text against its own background keeps a contrast of 4.5 or more (WCAG 2.2, 1.4.3), which
`tests/gui/test_theme.py` holds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Tokens:
    """One theme. Every value is a `#rrggbb` colour; `name` is "dark" or "light"."""

    name: str

    # Surfaces, from the back to the front.
    window: str
    rail: str
    bar: str
    """Top bar, status bar and the panels of the right column."""
    card: str
    card_selected: str
    field: str
    line: str
    """Quiet separators and card edges."""
    field_line: str
    track: str
    """The empty part of meters and sliders."""
    hover: str

    # Text.
    text: str
    quiet: str
    faint: str
    strong: str
    """The chosen tab and segment."""
    code: str

    # Controls.
    accent: str
    button: str
    button_line: str
    button_hover: str
    primary: str
    primary_hover: str
    on_primary: str
    danger: str
    danger_hover: str
    danger_line: str
    on_danger: str
    chosen: str
    """Background of the chosen segment and of selected text."""
    handle: str
    handle_line: str

    # Meanings. The `_text` ones are for words, the plain ones for shapes and bars.
    good: str
    good_text: str
    caution: str
    caution_text: str
    failure: str
    failure_text: str
    failure_panel: str
    caution_panel: str
    idle: str

    # Series of plots and bars.
    gpu0: str
    gpu1: str
    context: str
    compute: str
    other: str

    def named(self) -> dict[str, str]:
        """Return every colour by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}


DARK = Tokens(
    name="dark",
    window="#0f1216",
    rail="#12161b",
    bar="#151a20",
    card="#181d24",
    card_selected="#1a222d",
    field="#181d24",
    line="#252c35",
    field_line="#2a323c",
    track="#2a323c",
    hover="#1c232b",
    text="#e6e9ee",
    quiet="#9aa5b1",
    faint="#8b96a3",
    strong="#ffffff",
    code="#b7c4d3",
    accent="#4c9aff",
    button="#202832",
    button_line="#33404d",
    button_hover="#28323e",
    primary="#2f6fdb",
    primary_hover="#2763c6",
    on_primary="#ffffff",
    danger="#3a1f24",
    danger_hover="#4a262d",
    danger_line="#7a2f3a",
    on_danger="#ffb4bd",
    chosen="#2a3a52",
    handle="#e6e9ee",
    handle_line="#e6e9ee",
    good="#3ecf8e",
    good_text="#3ecf8e",
    caution="#f0b429",
    caution_text="#f0b429",
    failure="#ff6b6b",
    failure_text="#ff9a9a",
    failure_panel="#26191d",
    caution_panel="#24200f",
    idle="#56616e",
    gpu0="#4c9aff",
    gpu1="#3ecf8e",
    context="#9b7bff",
    compute="#f0b429",
    other="#3a4653",
)

LIGHT = Tokens(
    name="light",
    window="#f3f5f8",
    rail="#eaeef2",
    bar="#ffffff",
    card="#ffffff",
    card_selected="#f1f7ff",
    field="#ffffff",
    line="#dce2e9",
    field_line="#cbd3dc",
    track="#d3dae2",
    hover="#e9eef4",
    text="#1b232c",
    quiet="#505c69",
    faint="#5a6673",
    strong="#0b1118",
    code="#2c3a49",
    accent="#1f6fe0",
    button="#ffffff",
    button_line="#c3ccd6",
    button_hover="#eef2f6",
    primary="#1f66d0",
    primary_hover="#1a59b8",
    on_primary="#ffffff",
    danger="#fdecee",
    danger_hover="#fadde0",
    danger_line="#e4a8b0",
    on_danger="#a11d2c",
    chosen="#d6e5fb",
    handle="#ffffff",
    handle_line="#8795a5",
    good="#1a9d68",
    good_text="#0d7a4d",
    caution="#e0a000",
    caution_text="#8a5a00",
    failure="#d8343f",
    failure_text="#b3202c",
    failure_panel="#fff3f3",
    caution_panel="#fff8e6",
    idle="#93a0ad",
    gpu0="#1f6fe0",
    gpu1="#1a9d68",
    context="#7a56e0",
    compute="#e0a000",
    other="#a9b5c1",
)
