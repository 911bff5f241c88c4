"""The program's own icons: small SVGs drawn in one colour, tinted by the theme, sharp at any scale."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from variet_gui import assets
from variet_gui.ui import theme

_SCALES = (1.0, 2.0, 3.0)


def app_icon() -> QIcon:
    """Return the icon of the program, in its own colours."""
    icon = QIcon()
    renderer = QSvgRenderer(str(assets.resource("icons", "app.svg")))
    for side in (16, 24, 32, 48, 64, 128, 256):
        icon.addPixmap(_render(renderer, side, 1.0))
    return icon


def icon(name: str, colour: str = "text", side: int = 16) -> QIcon:
    """Return `resources/icons/<name>.svg` in the theme's `colour`, for a button of the theme in use.

    A change of theme needs a new one; `widgets.buttons` does that by itself.

    Raises:
        FileNotFoundError: no icon has that name.
    """
    return _icon(name, theme.colour(colour).name(), theme.colour("idle").name(), side)


def paint(painter: QPainter, name: str, rect: QRectF, colour: QColor) -> None:
    """Draw the icon `name` in `colour` into `rect` (logical pixels)."""
    QSvgRenderer(_source(name, colour.name())).render(painter, rect)


def pixmap(name: str, colour: str = "text", side: int = 16) -> QPixmap:
    """Return the icon `name` in the theme's `colour` as a pixmap of `side` logical pixels for the sharpest screen."""
    scale = max((screen.devicePixelRatio() for screen in QGuiApplication.screens()), default=1.0)
    return _tinted(name, theme.colour(colour), side, scale)


@lru_cache(maxsize=256)
def _icon(name: str, tint: str, disabled: str, side: int) -> QIcon:
    result = QIcon()
    for scale in _SCALES:
        result.addPixmap(_tinted(name, QColor(tint), side, scale))
        result.addPixmap(_tinted(name, QColor(disabled), side, scale), QIcon.Mode.Disabled)
    return result


def _tinted(name: str, tint: QColor, side: int, scale: float) -> QPixmap:
    return _render(QSvgRenderer(_source(name, tint.name())), side, scale)


@lru_cache(maxsize=256)
def _source(name: str, tint: str) -> QByteArray:
    text = assets.resource("icons", f"{name}.svg").read_text(encoding="utf-8")
    return QByteArray(text.replace("currentColor", tint).encode())


def _render(renderer: QSvgRenderer, side: int, scale: float) -> QPixmap:
    size = QSize(round(side * scale), round(side * scale))
    image = QPixmap(size)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, QRectF(0, 0, size.width(), size.height()))
    painter.end()
    image.setDevicePixelRatio(scale)
    return image
