"""What is about to be asked: text, pictures, Send or Stop, and in plain words what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QImage, QKeyEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from variet_gui.events import ServerState
from variet_gui.i18n import Message, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.layout import column, label
from variet_gui.ui.widgets.picture_loader import LoadedPicture, PictureLoader
from variet_gui.ui.widgets.picture_strip import PictureStrip
from variet_gui.ui.widgets.prompt_edit import PromptEdit, pictures_in
from variet_gui.ui.widgets.situation import Situation
from variet_gui.ui.widgets.state_badge import StateShape

MAX_PICTURES = 8


@dataclass(slots=True)
class _Draft:
    text: str = ""
    pictures: dict[int, LoadedPicture | None] = field(default_factory=dict)
    """By ticket of the loader; None while it is being loaded."""
    names: dict[int, str] = field(default_factory=dict)
    sending: bool = False


class Composer(QWidget):
    """Keeps an unsent draft for every tier: whatever happens to a server, what was typed stays."""

    send_asked = Signal(str, tuple)
    """Text and pictures (bytes). The draft stays until `accepted`."""
    stop_asked = Signal()
    start_asked = Signal()

    def __init__(self, loader: PictureLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loader = loader
        self._drafts: dict[str, _Draft] = {}
        self._draft = _Draft()
        self._role = ""
        self._situation = Situation(ServerState.STOPPED)
        self.setAcceptDrops(True)
        self._build()
        loader.loaded.connect(self._picture_loaded)
        loader.refused.connect(self._picture_refused)

    def _build(self) -> None:
        self._shape = StateShape()
        self._obstacle = label("", "quiet", wrap=True)
        self._start = Button("", "primary", "play")
        self._start.clicked.connect(self.start_asked)
        self._banner = QWidget()
        theme.mark(self._banner, look="plain")
        line = QHBoxLayout(self._banner)
        line.setContentsMargins(4, 0, 0, 0)
        line.addWidget(self._shape)
        line.addWidget(self._obstacle, 1)
        line.addWidget(self._start)
        self._frame = QFrame()
        theme.mark(self._frame, look="composer")
        self._strip = PictureStrip()
        self._strip.remove_asked.connect(self._remove)
        self._add = Button(tr("Image"), icon="picture")
        self._add.clicked.connect(self.pick_pictures)
        self._edit = PromptEdit()
        self._edit.submitted.connect(self.send)
        self._edit.textChanged.connect(self._text_changed)
        self._edit.pictures_given.connect(self.add_pictures)
        self._send = Button(tr("Send"), "primary", "send")
        self._send.clicked.connect(self.send)
        self._stop = Button(tr("Stop"), "danger", "stop")
        self._stop.setToolTip(tr("Stop the answer and keep what has come (Esc)"))
        self._stop.clicked.connect(self.stop_asked)
        bottom = QHBoxLayout()
        bottom.setSpacing(10)
        for widget, stretch in ((self._add, 0), (self._edit, 1), (self._send, 0), (self._stop, 0)):
            bottom.addWidget(widget, stretch, Qt.AlignmentFlag.AlignBottom)
        self._no_pictures = label("", "faint", wrap=True)
        self._refusal = label("", "failure", wrap=True)
        self._close = IconButton("close", tr("Close this message"))
        self._close.clicked.connect(lambda: self.show_refusal(""))
        self._refusal_line = QWidget()
        theme.mark(self._refusal_line, look="plain")
        refusal_line = QHBoxLayout(self._refusal_line)
        refusal_line.setContentsMargins(0, 0, 0, 0)
        refusal_line.addWidget(self._refusal, 1)
        refusal_line.addWidget(self._close)
        inside = QVBoxLayout(self._frame)
        inside.setContentsMargins(12, 10, 12, 10)
        inside.setSpacing(8)
        for item in (self._refusal_line, self._strip, self._no_pictures):
            inside.addWidget(item)
        inside.addLayout(bottom)
        self.setLayout(column(self._banner, self._frame))
        self._refusal_line.hide()

    # ------------------------------------------------------------------------------------------------- from the page

    def show_role(self, role: str) -> None:
        """Put away the draft of the tier that was shown and take out that of `role`."""
        self._draft.text = self._edit.toPlainText()
        self._draft = self._drafts.setdefault(role, _Draft())
        blocked = self._edit.blockSignals(True)
        self._edit.setPlainText(self._draft.text)
        self._edit.moveCursor(self._edit.textCursor().MoveOperation.End)
        self._edit.blockSignals(blocked)
        self._role = role
        self._edit.setAccessibleName(tr("Message to {role}", role=role))
        self.show_refusal("")
        self._show_pictures()

    def take_over(self, other: Composer) -> None:
        """Go on with what was being written in `other`, whose window is being replaced."""
        other._draft.text = other._edit.toPlainText()
        for role, draft in other._drafts.items():
            # Numbered anew, and below what the loader of this window will ever hand out.
            loaded = [(-n, ticket) for n, (ticket, picture) in enumerate(draft.pictures.items(), 1) if picture]
            self._drafts[role] = _Draft(
                draft.text,
                {new: draft.pictures[old] for new, old in loaded},
                {new: draft.names[old] for new, old in loaded},
            )
        self._draft = _Draft()
        if self._role:
            self.show_role(self._role)

    def set_situation(self, situation: Situation) -> None:
        """Show what the tier can take."""
        if situation != self._situation:
            self._situation = situation
            self._refresh()

    def accepted(self, role: str) -> None:
        """The conversation of `role` has the message now: its draft is done."""
        draft = self._drafts.get(role)
        if draft is None or not draft.sending:
            return
        draft.sending = False
        draft.text = ""
        draft.pictures.clear()
        draft.names.clear()
        if draft is self._draft:
            self._edit.clear()
            self._show_pictures()

    def returned(self, role: str) -> None:
        """The message did not get through: the draft can be sent again."""
        draft = self._drafts.get(role)
        if draft is not None:
            draft.sending = False
        self._refresh()

    def show_refusal(self, text: str) -> None:
        """Say why a picture was not taken; "" says nothing."""
        self._refusal.setText(text)
        self._refusal_line.setVisible(bool(text))

    @property
    def edit(self) -> PromptEdit:
        """Where one types."""
        return self._edit

    # ------------------------------------------------------------------------------------------------- the operator's

    def send(self) -> None:
        """Send the draft, if it can be sent."""
        if self._can_send():
            self._draft.sending = True
            self._draft.text = self._edit.toPlainText()
            pictures = tuple(picture.data for picture in self._draft.pictures.values() if picture is not None)
            self._refresh()
            self.send_asked.emit(self._draft.text.strip(), pictures)

    def pick_pictures(self) -> None:
        """Open a dialog to choose pictures; nothing waits for it."""
        places = QStandardPaths.standardLocations(QStandardPaths.StandardLocation.PicturesLocation)
        dialog = QFileDialog(self, tr("Choose pictures"), places[0] if places else "")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilters(
            [tr("Pictures ({patterns})", patterns="*.png *.jpg *.jpeg *.webp *.gif *.bmp"), tr("All files (*)")]
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda files: self.add_pictures([Path(name) for name in files]))
        dialog.open()

    def add_pictures(self, sources: list[Path | QImage]) -> None:
        """Take these pictures into the draft, or say why not."""
        if self._situation.no_pictures:
            self.show_refusal(self._situation.no_pictures)
            return
        self.show_refusal("")
        for source in sources:
            if len(self._draft.pictures) >= MAX_PICTURES:
                self.show_refusal(tr("At most {count} pictures go into one message.", count=MAX_PICTURES))
                break
            name = source.name if isinstance(source, Path) else tr("pasted picture")
            ticket = self._loader.load(source, name)
            self._draft.pictures[ticket] = None
            self._draft.names[ticket] = name
        self._show_pictures()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if pictures_in(event.mimeData()) or event.mimeData().hasUrls():
            theme.mark(self._frame, drop=True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        theme.mark(self._frame, drop=False)

    def dropEvent(self, event: QDropEvent) -> None:
        theme.mark(self._frame, drop=False)
        pictures = pictures_in(event.mimeData())
        if pictures:
            self.add_pictures(pictures)
        else:
            self.show_refusal(tr("Only pictures on this computer are taken; nothing is fetched from the network."))
        event.acceptProposedAction()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._situation.answering:
            self.stop_asked.emit()
        else:
            super().keyPressEvent(event)

    # ---------------------------------------------------------------------------------------------------- the pictures

    def _picture_loaded(self, ticket: int, picture: LoadedPicture) -> None:
        for draft in (self._draft, *self._drafts.values()):
            if ticket in draft.pictures:
                draft.pictures[ticket] = picture
        self._show_pictures()

    def _picture_refused(self, ticket: int, reason: Message) -> None:
        for draft in (self._draft, *self._drafts.values()):
            if ticket in draft.pictures:
                name = draft.names.pop(ticket)
                del draft.pictures[ticket]
                if draft is self._draft:
                    self.show_refusal(tr("{name} was not taken. {reason}", name=name, reason=reason))
        self._show_pictures()

    def _remove(self, ticket: int) -> None:
        self._draft.pictures.pop(ticket, None)
        self._draft.names.pop(ticket, None)
        self._show_pictures()

    def _show_pictures(self) -> None:
        self._strip.show_pictures(self._draft.names, self._draft.pictures)
        self._refresh()

    # --------------------------------------------------------------------------------------------------------- showing

    def _can_send(self) -> bool:
        draft, now = self._draft, self._situation
        if now.obstacle or now.answering or draft.sending or (draft.pictures and now.no_pictures):
            return False
        if any(picture is None for picture in draft.pictures.values()):
            return False
        return bool(self._edit.toPlainText().strip()) or bool(draft.pictures)

    def _text_changed(self) -> None:
        self._send.setEnabled(self._can_send())

    def _refresh(self) -> None:
        now = self._situation
        self._banner.setVisible(bool(now.obstacle))
        self._shape.set_state(now.state)
        self._obstacle.setText(now.obstacle)
        self._start.setText(now.start_text)
        self._start.setVisible(bool(now.start_text))
        self._add.setEnabled(not now.no_pictures)
        self._no_pictures.setText(now.no_pictures)
        self._no_pictures.setVisible(bool(now.no_pictures))
        if now.no_pictures:
            self._edit.setPlaceholderText(tr("Ask {role} something", role=self._role))
        else:
            self._edit.setPlaceholderText(tr("Ask {role} something – paste or drop a picture here", role=self._role))
        self._send.setVisible(not now.answering)
        self._send.setEnabled(self._can_send())
        self._stop.setVisible(now.answering)
