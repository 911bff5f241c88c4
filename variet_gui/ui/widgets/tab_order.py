"""The order in which Tab walks: as things stand on the page, whenever they were made.

Qt puts a widget at the end of its window's chain when it gets its parent. Rows that are made when a group is unfolded,
and chips that come with the devices, would all come after the last button of the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def stops(inside: QWidget) -> list[QWidget]:
    """Return what can take the keyboard in `inside`, in the order in which it was made; itself where it can."""
    return [each for each in (inside, *inside.findChildren(QWidget)) if _is_stop(each)]


def follow(order: Iterable[QWidget]) -> None:
    """Let Tab walk through `order`; the first stays where it is."""
    wanted = list(order)
    # Qt moves a widget with a proxy together with all that lies between the two, and one that takes no focus itself not
    # at all. For the moment they are widgets like any other.
    proxies = [(widget, widget.focusProxy(), widget.focusPolicy()) for widget in wanted if widget.focusProxy()]
    for widget, _, _ in proxies:
        widget.setFocusProxy(None)
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    for before, after in pairwise(wanted):
        QWidget.setTabOrder(before, after)
    for widget, proxy, policy in proxies:
        widget.setFocusPolicy(policy)
        widget.setFocusProxy(proxy)


def put_last(inside: QWidget, widget: QWidget) -> None:
    """Let `widget`, made later than the others, be the last stop of `inside`."""
    others = [each for each in stops(inside) if each is not widget]
    follow([*others[-1:], widget])


def _is_stop(widget: QWidget) -> bool:
    # Tab also stops at a widget that hands the keyboard on, such as a group of segments.
    return widget.focusPolicy() != Qt.FocusPolicy.NoFocus or widget.focusProxy() is not None
