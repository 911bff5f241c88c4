"""The Chat & vision page: the conversation with one tier, what is being written to it, and how it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMimeData, Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QMessageBox, QVBoxLayout, QWidget

from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.chat.conversation import Conversation, Speaker
from variet_gui.events import ServerStatus
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.composer import Composer
from variet_gui.ui.widgets.generation_panel import GenerationPanel
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.picture_loader import PictureLoader
from variet_gui.ui.widgets.prompt_edit import pictures_in
from variet_gui.ui.widgets.situation import situation_of
from variet_gui.ui.widgets.transcript import RIGHT_PX, Transcript

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

_SIDE_WIDTH = 300
_NARROW = 760
_ACCEPT_MS = 4000


class ChatPage(QWidget):
    """Reads the conversation of the tier that is shown; everything the operator does goes through the bridge."""

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._role = ""
        self._settings: dict[str, dict[str, Any]] = {}
        self._sent: dict[str, frozenset[str]] = {}
        self._stale = True
        self._loader = PictureLoader(self)
        self._transcript = Transcript(self._loader)
        self._transcript.regenerate_asked.connect(self._regenerate)
        self._transcript.link_asked.connect(self._ask_about_link)
        self._composer = Composer(self._loader)
        self._composer.send_asked.connect(self._send)
        self._composer.stop_asked.connect(lambda: bridge.stop_answer(self._role))
        self._composer.start_asked.connect(lambda: bridge.start(self._role))
        self._generation = GenerationPanel()
        self._new = Button(tr("New conversation"), "plain")
        self._new.clicked.connect(lambda: self._bridge.new_conversation(self._role))
        self._settings_button = Button(tr("Generation"), "quiet", "unfold")
        self._settings_button.setCheckable(True)
        self._settings_button.toggled.connect(self._arrange)
        self._settings_button.hide()
        self.setAcceptDrops(True)
        below = QVBoxLayout()
        below.setContentsMargins(0, 0, RIGHT_PX, 0)
        below.addWidget(self._composer)
        talk = QVBoxLayout()
        talk.setContentsMargins(0, 0, 0, 14)
        talk.setSpacing(8)
        above = row(None, self._settings_button)
        above.setContentsMargins(0, 6, RIGHT_PX, 0)
        talk.addLayout(above)
        talk.addWidget(self._transcript, 1)
        talk.addLayout(below)
        self._side = QWidget()
        theme.mark(self._side, look="plain")
        self._side.setFixedWidth(_SIDE_WIDTH)
        side = QVBoxLayout(self._side)
        side.setContentsMargins(0, 14, 0, 14)
        side.setSpacing(12)
        side.addWidget(self._generation)
        side.addLayout(row(self._new, None))
        side.addStretch(1)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addLayout(talk, 1)
        box.addWidget(self._side)
        bridge.server_changed.connect(self._on_server)
        bridge.draft_changed.connect(self._on_draft)
        bridge.answer_changed.connect(self._on_answer)

    # --------------------------------------------------------------------------------------------------------- showing

    def show_role(self, role: str) -> None:
        """Show the conversation with `role`. The draft of the other tier is put away, not lost."""
        if role == self._role:
            return
        if self._role:
            self._settings[self._role] = self._generation.values()
        self._role = role
        self._generation.set_values(self._settings.get(role, {}))
        self._composer.show_role(role)
        self._transcript.set_hint(
            tr("Ask {role} something. Its answers and what they cost in time appear here.", role=role)
        )
        self._show_all()
        self._transcript.follow()
        self._refresh()

    def take_over(self, other: ChatPage) -> None:
        """Go on with what was typed and set in `other`, the same page of a window that is being replaced."""
        self._settings = dict(other._settings)
        if other._role:
            self._settings[other._role] = other._generation.values()
        self._generation.set_values(self._settings.get(self._role, {}))
        self._composer.take_over(other._composer)

    @property
    def composer(self) -> Composer:
        """What is being written."""
        return self._composer

    @property
    def transcript(self) -> Transcript:
        """What was said."""
        return self._transcript

    @property
    def generation(self) -> GenerationPanel:
        """How answers are generated."""
        return self._generation

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale and self._role:
            self._show_all()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """In a narrow window the settings make room for the conversation and come when they are asked for."""
        narrow = self.width() < _NARROW
        self._settings_button.setVisible(narrow)
        self._settings_button.set_icon("fold" if self._settings_button.isChecked() else "unfold")
        self._side.setVisible(not narrow or self._settings_button.isChecked())

    def _conversation(self, role: str) -> Conversation:
        return self._bridge.panel.converse.conversation(role)

    def _tier(self) -> Tier | None:
        catalog = self._bridge.panel.tune.catalog
        return next((tier for tier in catalog.tiers if tier.role == self._role), None) if catalog else None

    def _draft(self) -> LaunchProfile | None:
        return self._bridge.panel.tune.draft(self._role) if self._tier() else None

    def _show_all(self) -> None:
        conversation = self._conversation(self._role)
        self._transcript.show_messages(conversation.messages, can_regenerate=self._can_regenerate())
        self._new.setVisible(bool(conversation.messages))
        self._stale = False

    def _can_regenerate(self) -> bool:
        return self._bridge.status(self._role).state.is_up and not self._conversation(self._role).busy

    def _refresh(self) -> None:
        status = self._bridge.status(self._role)
        answering = self._conversation(self._role).busy
        self._composer.set_situation(situation_of(status, self._draft(), answering=answering))

    # ---------------------------------------------------------------------------------------------------------- events

    def _on_server(self, status: ServerStatus) -> None:
        if status.role == self._role:
            self._refresh()
            if self.isVisible():
                self._show_all()

    def _on_draft(self, role: str) -> None:
        if role == self._role:
            self._refresh()

    def _on_answer(self, conversation_id: str, message_id: str) -> None:
        self._note_accepted()
        if not self._role:
            return
        conversation = self._conversation(self._role)
        if conversation.id != conversation_id:
            return
        self._refresh()
        if not self.isVisible():
            self._stale = True
            return
        message = conversation.message(message_id)
        if (
            message is None
            or not conversation.busy
            or not self._transcript.show_message(message, can_regenerate=self._can_regenerate())
        ):
            self._show_all()

    def _note_accepted(self) -> None:
        for role, known in list(self._sent.items()):
            asked = {m.id for m in self._conversation(role).messages if m.role is Speaker.USER}
            if asked - known:
                del self._sent[role]
                self._composer.accepted(role)

    # ------------------------------------------------------------------------------------------------- the operator's

    def _send(self, text: str, pictures: tuple[bytes, ...]) -> None:
        role = self._role
        self._sent[role] = frozenset(m.id for m in self._conversation(role).messages)
        self._bridge.ask(role, text, pictures, self._sampling())
        self._transcript.follow()
        # Should the message never arrive (a notice then says why), the draft is still there and can be sent again.
        QTimer.singleShot(_ACCEPT_MS, self, lambda: self._give_back(role))

    def _sampling(self) -> dict[str, Any]:
        """Return what is set, and let the conversation have its system prompt, which is no sampling parameter."""
        values = self._generation.values()
        # One reference, read by the core when the next request is made.
        self._conversation(self._role).system_prompt = values.pop("system_prompt", "")
        return values

    def _give_back(self, role: str) -> None:
        if self._sent.pop(role, None) is not None:
            self._composer.returned(role)

    def _regenerate(self) -> None:
        self._bridge.regenerate(self._role, self._sampling())
        self._transcript.follow()

    def _ask_about_link(self, url: QUrl) -> None:
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextFormat(Qt.TextFormat.PlainText)
        shown = url.toDisplayString()
        if url.scheme() in ("http", "https") and url.host():
            box.setWindowTitle(tr("Open a web page"))
            box.setText(tr("Open this address in the browser? The model wrote it; nobody has checked it."))
            box.setInformativeText(shown)
            go = box.addButton(tr("Open"), QMessageBox.ButtonRole.AcceptRole)
            cancel = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
            box.setDefaultButton(cancel)
            go.clicked.connect(lambda: QDesktopServices.openUrl(url))
        else:
            box.setWindowTitle(tr("This link is not opened"))
            box.setText(tr("Only web addresses (http, https) are opened from an answer."))
            box.setInformativeText(shown)
            box.addButton(tr("Close"), QMessageBox.ButtonRole.RejectRole)
        theme.mark(box, look="window")
        box.open()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _may_be_picture(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        self._composer.dropEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._role and self._conversation(self._role).busy:
            self._bridge.stop_answer(self._role)
        else:
            super().keyPressEvent(event)


def _may_be_picture(mime: QMimeData) -> bool:
    return bool(pictures_in(mime)) or mime.hasUrls()
