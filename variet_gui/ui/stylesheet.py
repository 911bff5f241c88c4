"""The one style sheet, written from the tokens of a theme.

Widgets say what they are through two dynamic properties and never how they look: `look` for labels and frames
("card", "quiet", "figure"), `kind` for buttons ("primary", "danger", "quiet").
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from variet_gui.ui.theme_tokens import Tokens

TEXT_PX = 13
SMALL_PX = 12
FIGURE_PX = 18
CARD_RADIUS = 10
CONTROL_RADIUS = 6

# Template, not str.format: a style sheet is full of braces.
_SHEET = Template("""
QWidget { color: $text; }
QMainWindow, QDialog, QWidget[look="window"] { background: $window; }
QWidget[look="plain"], QScrollArea, QScrollArea > QWidget > QWidget[look="plain"] { background: transparent; }
QScrollArea, QAbstractScrollArea { border: 0; }
QToolTip { background: $card; color: $text; border: 1px solid $button_line; padding: 4px 6px; }

QFrame[look="top"] { background: $bar; border: 0; border-bottom: 1px solid $line; }
QFrame[look="status"] { background: $bar; border: 0; border-top: 1px solid $line; }
QFrame[look="rail"] { background: $rail; border: 0; border-right: 1px solid $line; }
QFrame[look="card"] { background: $card; border: 1px solid $line; border-radius: ${card_radius}px; }
QFrame[look="card"]:hover { border-color: $button_line; }
QFrame[look="card"][ring="true"] { border-color: $quiet; }
QFrame[look="card"][selected="true"] { background: $card_selected; border-color: $accent; }
QFrame[look="card"][selected="true"][ring="true"] { border-color: $strong; }
QFrame[look="bubble"] { background: $card_selected; border: 1px solid $line; border-radius: ${card_radius}px; }
QFrame[look="composer"] { background: $bar; border: 1px solid $button_line; border-radius: ${card_radius}px; }
QFrame[look="composer"][drop="true"] { border-color: $accent; }
QFrame[look="panel"] { background: $bar; border: 1px solid $line; border-radius: ${card_radius}px; }
QFrame[look="rule"] { background: $line; border: 0; max-height: 1px; min-height: 1px; }
QFrame[look="notice"] { background: $bar; border: 0; border-bottom: 1px solid $line; }
QFrame[look="notice"][severity="warning"] { background: $caution_panel; }
QFrame[look="notice"][severity="error"] { background: $failure_panel; }

QFrame[look="banner"] { background: $caution_panel; border: 0; border-bottom: 1px solid $line; }
QFrame[look="popover"] { background: $card; border: 1px solid $button_line; border-radius: ${radius}px; }

QTreeWidget[look="table"] {
  background: $bar; color: $text; border: 1px solid $line; border-radius: ${radius}px; alternate-background-color: $bar;
  selection-background-color: $chosen; selection-color: $strong;
}
QTreeWidget[look="table"]:focus { border-color: $accent; }
QTreeWidget[look="table"]::item { padding: 4px 6px; border: 0; }
QTreeWidget[look="table"]::item:selected { background: $chosen; color: $strong; }
QTreeWidget[look="table"] QHeaderView { background: transparent; }
QTreeWidget[look="table"] QHeaderView::section {
  background: transparent; color: $faint; border: 0; border-bottom: 1px solid $line; padding: 4px 8px;
  font-size: 11px; font-weight: 600;
}

QLabel { background: transparent; }
QLabel[look="title"] { font-size: 14px; font-weight: 600; }
QLabel[look="heading"] { font-weight: 600; }
QLabel[look="group"] { color: $faint; font-size: 11px; font-weight: 600; }
QLabel[look="figure"] { font-size: ${figure}px; font-weight: 700; }
QLabel[look="figure-history"] { font-size: ${figure}px; font-weight: 600; color: $quiet; }
QLabel[look="quiet"] { color: $quiet; }
QLabel[look="faint"] { color: $faint; font-size: ${small}px; }
QLabel[look="tag"] {
  color: $caution_text; background: $caution_panel; font-size: 11px; border-radius: 4px; padding: 1px 6px;
}
QLabel[look="small"] { font-size: ${small}px; }
QLabel[look="small-quiet"] { color: $quiet; font-size: ${small}px; }
QLabel[look="changed"] { color: $caution_text; }
QLabel[look="good"] { color: $good_text; font-size: ${small}px; }
QLabel[look="caution"] { color: $caution_text; font-size: ${small}px; }
QLabel[look="failure"] { color: $failure_text; font-size: ${small}px; }
QLabel[look="loading"] { color: $caution_text; }
QLabel:disabled { color: $faint; }

QPushButton, QToolButton {
  background: $button; color: $text; border: 1px solid $button_line; border-radius: ${radius}px;
  padding: 3px 10px; font-size: ${small}px; min-height: 18px;
}
QPushButton:hover, QToolButton:hover { background: $button_hover; }
QPushButton:pressed, QToolButton:pressed { background: $track; }
QPushButton:focus, QToolButton:focus { border-color: $accent; }
QPushButton:disabled, QToolButton:disabled { color: $faint; background: transparent; border-color: $line; }
QPushButton[kind="primary"] { background: $primary; border-color: $primary; color: $on_primary; }
QPushButton[kind="primary"]:hover { background: $primary_hover; border-color: $primary_hover; }
QPushButton[kind="primary"]:focus { border-color: $strong; }
QPushButton[kind="primary"]:disabled { color: $faint; background: transparent; border-color: $line; }
QPushButton[kind="danger"] { background: $danger; border-color: $danger_line; color: $on_danger; }
QPushButton[kind="danger"]:hover { background: $danger_hover; }
QPushButton[kind="danger"]:focus { border-color: $on_danger; }
QPushButton[kind="danger"]:disabled { color: $faint; background: transparent; border-color: $line; }
QPushButton[kind="link"] {
  background: transparent; border: 1px solid transparent; color: $accent; padding: 1px 4px; text-align: left;
}
QPushButton[kind="link"]:hover { background: $hover; }
QPushButton[kind="link"]:focus { border-color: $accent; }
QPushButton[kind="group"] {
  background: transparent; border: 1px solid transparent; color: $faint; font-size: 11px; font-weight: 600;
  padding: 2px 4px 2px 0; text-align: left;
}
QPushButton[kind="group"]:hover { color: $text; }
QPushButton[kind="group"]:disabled { border-color: transparent; }
QPushButton[kind="group"]:focus { border-color: $accent; }
QToolButton[kind="quiet"], QPushButton[kind="quiet"] {
  background: transparent; border: 1px solid transparent; color: $quiet; padding: 3px;
}
QPushButton[kind="quiet"][edge="flat"] { color: $faint; padding: 0 4px; min-height: 14px; }
QPushButton[edge="right"] { text-align: right; padding: 3px 0 3px 8px; }
QToolButton[kind="quiet"]:hover, QPushButton[kind="quiet"]:hover { background: $hover; color: $text; }
QToolButton[kind="quiet"]:focus, QPushButton[kind="quiet"]:focus { border-color: $accent; }
QPushButton[kind="segment"] {
  background: transparent; border: 1px solid transparent; color: $quiet; padding: 2px 9px;
}
QPushButton[kind="segment"]:hover { background: $hover; color: $text; }
QPushButton[kind="segment"]:checked { background: $chosen; color: $strong; }
QPushButton[kind="segment"]:focus { border-color: $accent; }
QToolButton::menu-indicator, QPushButton::menu-indicator { image: none; width: 0; }

QFrame[look="segments"] { background: transparent; border: 1px solid $field_line; border-radius: ${radius}px; }
QToolButton[kind="segment"] {
  background: transparent; border: 0; border-radius: 5px; color: $quiet; padding: 2px 8px; font-size: ${text_px}px;
  min-height: 18px;
}
QToolButton[kind="segment"]:hover { color: $text; }
QToolButton[kind="segment"]:checked { background: $chosen; color: $strong; }
QToolButton[kind="segment"][saved="true"] { text-decoration: underline; }
QToolButton[kind="segment"][changed="true"]:checked { color: $caution_text; }
QToolButton[kind="segment"]:focus { border: 1px solid $accent; padding: 1px 7px; }
QToolButton[kind="segment"]:disabled { color: $faint; background: transparent; }

QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox {
  background: $field; color: $text; border: 1px solid $field_line; border-radius: ${radius}px; padding: 3px 8px;
  selection-background-color: $chosen; selection-color: $strong;
}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox { min-height: 18px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
  border-color: $accent;
}
QLineEdit:disabled, QComboBox:disabled, QPlainTextEdit:disabled { color: $faint; border-color: $line; }
QLineEdit[changed="true"] { color: $caution_text; }
QLineEdit[wrong="true"] { color: $failure_text; border-color: $failure; }
QTextEdit[look="code"], QPlainTextEdit[look="code"] {
  background: transparent; border: 1px solid transparent; color: $code; padding: 0;
  font-family: $mono; font-size: ${small}px;
}
QTextEdit[look="body"], QPlainTextEdit[look="body"] { background: transparent; border: 0; padding: 0; }
QTextEdit[look="reasoning"] {
  background: transparent; color: $quiet; border: 0; border-left: 2px solid $line; border-radius: 0;
  padding: 0 0 0 10px;
}
QPlainTextEdit[look="log"] { background: $bar; border: 1px solid $line; border-radius: ${card_radius}px; padding: 6px; }
QTextEdit[look="code"]:focus { border-color: $accent; }
QComboBox::drop-down { border: 0; width: 20px; }
QComboBox QAbstractItemView { background: $card; border: 1px solid $button_line; selection-background-color: $chosen; }

QMenu { background: $card; border: 1px solid $button_line; border-radius: ${radius}px; padding: 4px; }
QMenu::item { padding: 5px 24px 5px 12px; border-radius: 4px; }
QMenu::item:selected { background: $chosen; color: $strong; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $line; margin: 4px 8px; }
QMenu::indicator { width: 14px; height: 14px; }

QTabBar { background: transparent; }
QTabBar::tab {
  background: transparent; color: $quiet; border: 0; border-bottom: 2px solid transparent;
  padding: 11px 1px 8px 1px; margin-right: 20px;
}
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $strong; border-bottom-color: $accent; }
QTabBar::tab:focus { color: $accent; }
QTabBar QToolButton { min-height: 0; padding: 0; }

QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $track; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: $idle; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QSplitter::handle { background: $line; }
QCheckBox, QRadioButton { spacing: 8px; background: transparent; }
QProgressBar { background: $track; border: 0; border-radius: 3px; text-align: center; max-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
""")


def build(tokens: Tokens, mono_families: Sequence[str] = ("monospace",)) -> str:
    """Return the style sheet of the whole application for one theme; commands and logs take `mono_families`."""
    return _SHEET.substitute(
        tokens.named(),
        radius=CONTROL_RADIUS,
        card_radius=CARD_RADIUS,
        small=SMALL_PX,
        figure=FIGURE_PX,
        text_px=TEXT_PX,
        mono=", ".join(f'"{family}"' for family in mono_families),
    )
