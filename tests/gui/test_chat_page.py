"""The Chat & vision page: nothing typed is lost, half answers stay, pictures are taken or refused in plain words."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QBuffer, QIODevice, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDesktopServices, QDropEvent, QGuiApplication, QImage, QImageReader
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from tests.gui.fake_pages import PagesBridge, write_tiers
from variet_gui.chat.messages import ChatMessage, Speaker, StreamState
from variet_gui.client.stream import (
    AnswerFinished,
    PromptProgressed,
    ReasoningArrived,
    StreamCut,
    TextArrived,
    TimingsArrived,
)
from variet_gui.events import Failure, ServerState, ServerStatus, Timings
from variet_gui.i18n import msg
from variet_gui.ui import theme
from variet_gui.ui.pages.chat import ChatPage
from variet_gui.ui.widgets.answer_text import finished_line, live_line
from variet_gui.ui.widgets.message_view import MessageView
from variet_gui.ui.widgets.picture_loader import PictureError, load_picture
from variet_gui.ui.widgets.thumbnail import Thumbnail

DONE = AnswerFinished("stop", Timings(generated_tokens=84, generation_tps=71.4, prefill_tps=1010.0), {})
NO_PROJECTOR = "This tier has no projector (--mmproj is not set), so it cannot see pictures."


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[PagesBridge]:
    made = PagesBridge(write_tiers(tmp_path))
    yield made
    made.finish()


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication, bridge: PagesBridge) -> Iterator[ChatPage]:
    theme.apply(qapp, "dark")
    made = ChatPage(bridge)
    qtbot.addWidget(made)
    made.resize(1100, 760)
    bridge.up("fast", vision=True)
    made.show_role("fast")
    made.show()
    qtbot.waitExposed(made)
    yield made
    made._loader.wait()


def write(page: ChatPage, text: str) -> None:
    page.composer.edit.setPlainText(text)


def button(page: ChatPage, text: str) -> QPushButton:
    return next(b for b in page.findChildren(QPushButton) if b.text() == text and b.isVisible())


def seen(page: ChatPage, text: str) -> bool:
    return any(b.text() == text and b.isVisible() for b in page.findChildren(QPushButton))


def answer(page: ChatPage) -> MessageView:
    return [view for view in page.transcript.views() if view.is_answer][-1]


def ask(page: ChatPage, bridge: PagesBridge, text: str = "hello") -> None:
    write(page, text)
    page.composer.send()
    bridge.spin()


def picture(width: int = 60, height: int = 40, colour: str = "#d9423a") -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(colour))
    return image


def encoded(image: QImage, kind: str = "PNG") -> bytes:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    assert image.save(buffer, kind)
    return buffer.data().data()


def dropped(page: ChatPage, mime: QMimeData) -> None:
    event = QDropEvent(
        QPointF(10, 10), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    page.dropEvent(event)


def thumbnails(page: ChatPage) -> list[Thumbnail]:
    return [made for made in page.findChildren(Thumbnail) if made.isVisible()]


def refusal(page: ChatPage) -> str:
    return page.composer._refusal.text()


# ------------------------------------------------------------------------------------------------ asking and answering


def test_that_an_answer_streams_with_its_speed_and_ends_with_its_timings(page: ChatPage, bridge: PagesBridge) -> None:
    ask(page, bridge)
    bridge.spin(PromptProgressed(40, 100, 0))
    assert answer(page).measured_text == "reading… 40 %"
    bridge.spin(TextArrived("The **answer**"), TimingsArrived(Timings(generated_tokens=12, generation_tps=70.9), {}))
    assert answer(page).measured_text == "generating… · 70.9\u00a0t/s · 12 tokens"
    QApplication.processEvents()
    bridge.spin(TextArrived(" is 3."), DONE, None)
    bridge.spin()
    assert answer(page).body.toPlainText() == "The answer is 3."
    assert answer(page).measured_text.startswith("71.4\u00a0t/s · 84 tokens · first token 0.")
    assert answer(page).measured_text.endswith("prefill 1\u2009010\u00a0t/s")


def test_that_the_question_is_a_bubble_at_the_right_and_the_answer_one_at_the_left(
    page: ChatPage, bridge: PagesBridge
) -> None:
    ask(page, bridge, "short")
    bridge.spin(TextArrived("yes"), DONE, None)
    QApplication.processEvents()
    question, reply = page.transcript.views()
    assert question.x() + question.width() > reply.x() + reply.width()
    assert reply.x() == 0
    assert question.width() < 200


def test_that_a_caret_stands_where_the_answer_grows_and_goes_with_its_end(
    page: ChatPage, bridge: PagesBridge, qtbot: QtBot
) -> None:
    ask(page, bridge)
    bridge.spin(TextArrived("growing"))
    qtbot.waitUntil(lambda: answer(page).body.toPlainText() == "growing\u258d")
    bridge.spin(DONE, None)
    bridge.spin()
    assert answer(page).body.toPlainText() == "growing"


def test_that_stop_keeps_what_has_come(page: ChatPage, bridge: PagesBridge, qtbot: QtBot) -> None:
    ask(page, bridge)
    bridge.spin(TextArrived("half an answer"))
    assert seen(page, "Stop")
    assert not seen(page, "Send")
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Escape)
    bridge.spin()
    assert ("stop_answer", "fast") in bridge.asked
    assert answer(page).body.toPlainText() == "half an answer"
    assert answer(page).measured_text.startswith("stopped")
    assert seen(page, "Send")


def test_that_a_broken_answer_stays_and_says_why(page: ChatPage, bridge: PagesBridge) -> None:
    ask(page, bridge)
    bridge.spin(TextArrived("half an answer"))
    bridge.spin(StreamCut())
    bridge.spin()
    assert answer(page).body.toPlainText() == "half an answer"
    assert "The answer was cut off" in answer(page)._failure.text()
    assert answer(page)._failure.isVisible()


def test_that_enter_sends_and_shift_enter_begins_a_line(page: ChatPage, bridge: PagesBridge, qtbot: QtBot) -> None:
    edit = page.composer.edit
    qtbot.keyClicks(edit, "one")
    low = edit.height()
    qtbot.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(edit, "two")
    assert edit.toPlainText() == "one\ntwo"
    assert edit.height() > low
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert bridge.asked[-1] == ("ask", "fast", "one\ntwo", 0, {})


def test_that_nothing_is_sent_while_there_is_nothing_to_send(page: ChatPage, bridge: PagesBridge) -> None:
    write(page, "  \n ")
    page.composer.send()
    assert bridge.asked == []


def test_that_copy_gives_the_answer_as_it_came(page: ChatPage, bridge: PagesBridge) -> None:
    ask(page, bridge)
    bridge.spin(TextArrived("a **bold** `word`"), DONE, None)
    bridge.spin()
    answer(page).copy_button.click()
    assert QGuiApplication.clipboard().text() == "a **bold** `word`"


def test_that_the_last_answer_can_be_asked_for_again(page: ChatPage, bridge: PagesBridge) -> None:
    for reply in ("first", "second"):
        ask(page, bridge, f"question {reply}")
        bridge.spin(TextArrived(reply), DONE, None)
        bridge.spin()
    views = [view for view in page.transcript.views() if view.is_answer]
    assert [view.regenerate_button.isVisible() for view in views] == [False, True]
    views[1].regenerate_button.click()
    bridge.spin()
    bridge.spin(TextArrived("third"), DONE, None)
    bridge.spin()
    assert [view.body.toPlainText() for view in page.transcript.views() if view.is_answer] == ["first", "third"]


def test_that_reasoning_is_folded_until_it_is_asked_for(page: ChatPage, bridge: PagesBridge) -> None:
    ask(page, bridge)
    bridge.spin(ReasoningArrived("I look at it twice."))
    assert answer(page).fold_button.text() == "Reasoning…"
    bridge.spin(TextArrived("3"), DONE, None)
    bridge.spin()
    assert answer(page).fold_button.text() == "Reasoning · 5 words"
    assert not answer(page)._reasoning.isVisible()
    answer(page).fold_button.click()
    assert answer(page)._reasoning.isVisible()
    assert answer(page)._reasoning.toPlainText() == "I look at it twice."


def test_that_a_new_conversation_is_empty(page: ChatPage, bridge: PagesBridge) -> None:
    ask(page, bridge)
    bridge.spin(TextArrived("3"), DONE, None)
    bridge.spin()
    button(page, "New conversation").click()
    bridge.spin()
    assert page.transcript.views() == ()
    assert page.transcript._hint.isVisible()


def test_that_a_hidden_page_catches_up_when_it_is_shown(page: ChatPage, bridge: PagesBridge) -> None:
    ask(page, bridge)
    page.hide()
    bridge.spin(TextArrived("while nobody looked"), DONE, None)
    bridge.spin()
    page.show()
    assert answer(page).body.toPlainText() == "while nobody looked"


def test_that_the_view_follows_the_answer_until_the_operator_scrolls_up(
    page: ChatPage, bridge: PagesBridge, qtbot: QtBot
) -> None:
    bar = page.transcript.verticalScrollBar()
    ask(page, bridge)
    bridge.spin(TextArrived("line\n\n" * 60))
    qtbot.waitUntil(lambda: bar.maximum() > 200 and bar.value() == bar.maximum())
    bar.triggerAction(bar.SliderAction.SliderPageStepSub)
    held = bar.value()
    bridge.spin(TextArrived("line\n\n" * 60))
    qtbot.waitUntil(lambda: bar.maximum() > held + 900)
    assert bar.value() == held


# --------------------------------------------------------------------------------------------- what stands in the way


def test_that_a_stopped_server_is_said_and_the_text_stays(page: ChatPage, bridge: PagesBridge) -> None:
    bridge.show(ServerStatus("fast"))
    write(page, "what I typed")
    assert "fast is not running" in page.composer._obstacle.text()
    assert page.composer._banner.isVisible()
    page.composer.send()
    assert bridge.asked == []
    assert page.composer.edit.toPlainText() == "what I typed"
    button(page, "Start fast").click()
    assert bridge.asked == [("start", "fast")]
    bridge.show(ServerStatus("fast", ServerState.LOADING, progress=0.62, values={"mmproj": "m"}))
    assert "62 %" in page.composer._obstacle.text()
    assert not button(page, "Send").isEnabled()
    bridge.up("fast", vision=True)
    assert not page.composer._banner.isVisible()
    assert button(page, "Send").isEnabled()
    assert page.composer.edit.toPlainText() == "what I typed"


def test_that_a_failed_server_says_why_and_can_be_started_again(page: ChatPage, bridge: PagesBridge) -> None:
    bridge.show(ServerStatus("fast", ServerState.FAILED, failure=Failure("oom", msg("Out of GPU memory on CUDA1."))))
    assert "Out of GPU memory on CUDA1." in page.composer._obstacle.text()
    button(page, "Start again").click()
    assert bridge.asked == [("start", "fast")]


def test_that_the_draft_goes_only_when_the_conversation_has_it(page: ChatPage, bridge: PagesBridge) -> None:
    write(page, "precious")
    page.composer.send()
    assert page.composer.edit.toPlainText() == "precious"
    assert not button(page, "Send").isEnabled()
    bridge.spin()
    assert page.composer.edit.toPlainText() == ""


def test_that_a_message_that_never_arrived_can_be_sent_again(page: ChatPage, bridge: PagesBridge, monkeypatch) -> None:
    monkeypatch.setattr(bridge, "ask", lambda *a: None)
    write(page, "precious")
    page.composer.send()
    page._give_back("fast")
    assert page.composer.edit.toPlainText() == "precious"
    assert button(page, "Send").isEnabled()


def test_that_every_tier_keeps_a_draft_of_its_own(page: ChatPage, bridge: PagesBridge, qtbot: QtBot) -> None:
    write(page, "for fast")
    page.composer.add_pictures([picture()])
    qtbot.waitUntil(lambda: len(thumbnails(page)) == 1)
    page.generation.temperature.set_value(0.3)
    page.show_role("deep-coder")
    assert page.composer.edit.toPlainText() == ""
    assert thumbnails(page) == []
    assert page.generation.values() == {}
    write(page, "for deep-coder")
    page.show_role("fast")
    assert page.composer.edit.toPlainText() == "for fast"
    assert len(thumbnails(page)) == 1
    assert page.generation.values() == {"temperature": 0.3}


# ------------------------------------------------------------------------------------------------------------ pictures


def test_that_a_tier_without_a_projector_says_so_before_anybody_tries(page: ChatPage, bridge: PagesBridge) -> None:
    page.show_role("deep-coder")
    assert page.composer._no_pictures.isVisible()
    assert page.composer._no_pictures.text() == NO_PROJECTOR
    assert not button(page, "Image").isEnabled()
    bridge.up("deep-coder")
    assert page.composer._no_pictures.text() == NO_PROJECTOR
    write(page, "kept")
    page.composer.add_pictures([picture()])
    assert refusal(page) == NO_PROJECTOR
    assert thumbnails(page) == []
    assert page.composer.edit.toPlainText() == "kept"


def test_that_a_projector_that_came_after_the_start_is_explained(page: ChatPage, bridge: PagesBridge) -> None:
    bridge.show(ServerStatus("fast", ServerState.READY, port=8081, values={}, vision=False))
    assert "started without its projector" in page.composer._no_pictures.text()
    bridge.show(ServerStatus("fast", ServerState.READY, port=8081, values={"mmproj": "m"}, vision=False))
    assert "The server says that it cannot see pictures" in page.composer._no_pictures.text()
    bridge.up("fast", vision=True)
    assert not page.composer._no_pictures.isVisible()
    assert button(page, "Image").isEnabled()


def test_that_a_pasted_picture_becomes_a_thumbnail_and_is_sent(
    page: ChatPage, bridge: PagesBridge, qtbot: QtBot
) -> None:
    QGuiApplication.clipboard().setImage(picture(60, 40))
    page.composer.edit.paste()
    assert not button(page, "Send").isEnabled()
    qtbot.waitUntil(lambda: button(page, "Send").isEnabled())
    assert "60 × 40" in thumbnails(page)[0]._size.text()
    ask(page, bridge, "What is it?")
    assert bridge.asked[-1] == ("ask", "fast", "What is it?", 1, {})
    sent = bridge.panel.converse.conversation("fast").messages[0].pictures[0]
    assert sent.data.startswith(b"\x89PNG")
    assert (sent.info.width, sent.info.height) == (60, 40)
    assert thumbnails(page) == []
    bubble = page.transcript.views()[0]
    page._loader.wait()
    qtbot.waitUntil(lambda: not bubble._waiting)


def test_that_a_dropped_file_is_taken_and_can_be_taken_away(page: ChatPage, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "홍길동 photo.jpg"
    path.write_bytes(encoded(picture(), "JPEG"))
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    dropped(page, mime)
    qtbot.waitUntil(lambda: bool(thumbnails(page)) and "×" in thumbnails(page)[0]._size.text())
    thumbnails(page)[0].findChild(QToolButton).click()
    assert thumbnails(page) == []
    assert not button(page, "Send").isEnabled()


def test_that_pictures_from_the_network_are_not_fetched(page: ChatPage) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl("http://127.0.0.1:9/picture.png")])
    dropped(page, mime)
    assert "nothing is fetched from the network" in refusal(page)
    assert thumbnails(page) == []


def test_that_pasted_text_stays_plain(page: ChatPage) -> None:
    mime = QMimeData()
    mime.setHtml("<b>bold</b>")
    mime.setText("bold")
    page.composer.edit.insertFromMimeData(mime)
    assert page.composer.edit.toPlainText() == "bold"


def test_that_a_refused_picture_is_named_and_the_others_stay(page: ChatPage, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "notes.txt").write_text("no picture at all")
    page.composer.add_pictures([tmp_path / "notes.txt", picture()])
    qtbot.waitUntil(lambda: "notes.txt was not taken." in refusal(page))
    qtbot.waitUntil(lambda: bool(thumbnails(page)) and "×" in thumbnails(page)[0]._size.text())
    assert len(thumbnails(page)) == 1


def test_that_no_more_than_eight_pictures_go_into_a_message(page: ChatPage) -> None:
    page.composer.add_pictures([picture(8, 8)] * 9)
    assert len(thumbnails(page)) == 8
    assert "At most 8 pictures" in refusal(page)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"no picture", "no picture of a known kind"),
        (png_claiming(30_000, 30_000), "100 megapixels"),
        (encoded(picture(400, 300), "JPEG")[:-200], "cut off"),
        (encoded(picture(400, 300))[:90], "cut off"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "known kind"),
    ],
    ids=["empty", "text", "bomb", "cut JPEG", "cut PNG", "SVG"],
)
def test_that_what_cannot_be_used_is_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(PictureError) as refused:
        load_picture(data)
    assert said in str(refused.value.message)


def test_that_a_picture_with_nothing_behind_its_header_is_refused_without_a_crash() -> None:
    with pytest.raises(PictureError):
        load_picture(png_claiming(6000, 6000))


def test_that_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="is a folder"):
        load_picture(tmp_path)
    with pytest.raises(PictureError, match=r"gone\.png cannot be read"):
        load_picture(tmp_path / "gone.png")


def test_that_a_large_picture_is_made_small(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(encoded(picture(4000, 3000), "JPEG"))
    loaded = load_picture(path)
    assert (loaded.width, loaded.height) == (1280, 960)
    assert loaded.original == (4000, 3000)
    assert loaded.data.startswith(b"\xff\xd8")
    assert max(loaded.preview.width(), loaded.preview.height()) <= 320


def test_that_a_turned_photo_stands_upright() -> None:
    plain = encoded(picture(400, 200), "JPEG")
    # An EXIF block with orientation 6: "turn a quarter clockwise".
    tiff = b"II*\x00\x08\x00\x00\x00\x01\x00" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    block = b"Exif\0\0" + tiff
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    loaded = load_picture(turned)
    assert (loaded.width, loaded.height) == (200, 400)
    assert loaded.original == (200, 400)
    buffer = QBuffer()
    buffer.setData(loaded.data)
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    assert QImageReader(buffer).transformation() == QImageReader(buffer).transformation().TransformationNone


def test_that_transparency_becomes_white() -> None:
    clear = QImage(20, 20, QImage.Format.Format_ARGB32)
    clear.fill(QColor(0, 0, 0, 0))
    loaded = load_picture(encoded(clear))
    shown = QImage.fromData(loaded.data)
    assert not shown.hasAlphaChannel()
    assert shown.pixelColor(10, 10) == QColor("white")


# --------------------------------------------------------------------------------------------- settings, links, words


def test_that_settings_are_the_servers_own_until_they_are_set(page: ChatPage, bridge: PagesBridge) -> None:
    panel = page.generation
    assert panel.values() == {}
    assert panel.temperature.slider.accessibleDescription() == "as the server is set"
    assert panel.temperature.field.placeholderText() == "as set"
    panel.temperature.slider.setValue(panel.temperature.slider.value() + 2)
    panel.max_tokens.field.setText("1 500")
    panel.max_tokens.field.setModified(True)
    panel.max_tokens.field.returnPressed.emit()
    panel.system_prompt.setPlainText("You are a careful visual inspector.")
    assert panel.values() == {
        "temperature": pytest.approx(0.9),
        "max_tokens": 1500,
        "system_prompt": "You are a careful visual inspector.",
    }
    ask(page, bridge)
    assert bridge.asked[-1][4] == {"temperature": pytest.approx(0.9), "max_tokens": 1500}
    wire = bridge.api.requests[-1].messages
    assert wire[0] == {"role": "system", "content": "You are a careful visual inspector."}
    panel.clear()
    assert panel.values() == {}
    assert panel.temperature.field.text() == ""


def test_that_a_senseless_setting_is_taken_back(page: ChatPage) -> None:
    row = page.generation.temperature
    row.set_value(0.5)
    for typed in ("warm", "-1", "99"):
        row.field.setText(typed)
        row.field.setModified(True)
        row.field.returnPressed.emit()
        assert row.value == 0.5
        assert row.field.text() == "0.50"


def test_that_a_web_link_asks_first(page: ChatPage, monkeypatch, qtbot: QtBot) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    page.transcript.link_asked.emit(QUrl("https://example.org/page"))
    box = page.findChild(QMessageBox)
    assert "https://example.org/page" in box.informativeText()
    assert opened == []
    next(b for b in box.buttons() if b.text() == "Open").click()
    assert opened == ["https://example.org/page"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "smb://host/x", "http:///nowhere"])
def test_that_other_links_are_never_opened(page: ChatPage, monkeypatch, url: str) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    page.transcript.link_asked.emit(QUrl(url))
    box = page.findChild(QMessageBox)
    assert [b.text() for b in box.buttons()] == ["Close"]
    box.buttons()[0].click()
    assert opened == []


def test_that_image_tokens_and_their_time_are_told_when_they_are_known() -> None:
    def line(**timings) -> str:
        return finished_line(ChatMessage("1", Speaker.ASSISTANT, "x", timings=Timings(**timings)))

    assert line(image_tokens=283, image_ms=1020.0) == "picture 283 tokens in 1.02 s"
    assert line(image_tokens=283) == "picture 283 tokens"
    assert line(image_ms=1020.0) == "picture in 1.02 s"
    assert line(generation_tps=71.4, generated_tokens=1, time_to_first_token_ms=1310.0) == (
        "71.4\u00a0t/s · 1 token · first token 1.31 s"
    )
    assert line(cached_tokens=1200) == "1\u2009200 tokens from the cache"


def test_that_what_is_not_known_is_left_out() -> None:
    assert finished_line(ChatMessage("1", Speaker.ASSISTANT, "x")) == ""
    assert finished_line(ChatMessage("1", Speaker.ASSISTANT, state=StreamState.STOPPED)) == "stopped"
    assert live_line(ChatMessage("1", Speaker.ASSISTANT, state=StreamState.STREAMING)) == "reading…"
    cut = ChatMessage("1", Speaker.ASSISTANT, "x", finish_reason="length")
    assert finished_line(cut) == "cut off at the token limit"


def test_that_every_control_has_a_name_for_screen_readers(page: ChatPage) -> None:
    for made in page.findChildren(QPushButton) + page.findChildren(QToolButton):
        if made.isVisible():
            assert made.accessibleName() or made.text(), made
    assert page.composer.edit.accessibleName() == "Message to fast"
    assert page.generation.temperature.slider.accessibleName() == "Temperature"
    assert page.generation.system_prompt.accessibleName() == "System prompt"


def test_that_a_narrow_window_keeps_the_conversation_and_unfolds_the_settings(page: ChatPage) -> None:
    page.resize(640, 520)
    assert not page.generation.isVisible()
    button(page, "Generation").click()
    assert page.generation.isVisible()
    page.resize(1100, 760)
    assert page.generation.isVisible()
    assert page.composer.mapTo(page, QPoint(0, 0)).x() == 0
