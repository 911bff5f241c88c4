"""Pictures on their way into a message: read, checked, turned upright and made small, on a thread of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QColor, QImage, QImageReader, QPainter

from variet_gui.client.images import MAX_BYTES, MAX_PIXELS, ImageError, sniff
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

LONG_SIDE_PX = 1280
"""Models see far fewer pixels than a camera makes; more only costs time and memory."""
PREVIEW_PX = 320
_JPEG_QUALITY = 92
_VECTOR = frozenset({b"svg", b"svgz", b"pdf"})


class PictureError(Exception):
    """A picture cannot be used; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class LoadedPicture:
    """A picture that can be sent."""

    data: bytes
    """PNG or JPEG."""
    width: int
    """Pixels, upright and scaled, as it is sent."""
    height: int
    original: tuple[int, int]
    """Pixels before scaling, upright."""
    name: str
    preview: QImage
    """At most `PREVIEW_PX` on its long side."""


def load_picture(source: Path | QImage | bytes, name: str = "") -> LoadedPicture:
    """Read `source`, turn it as its EXIF data say, scale it to `LONG_SIDE_PX` and encode it. Blocks; use a thread.

    Raises:
        PictureError: it is too large, cut off, damaged, or no picture at all.
    """
    if isinstance(source, QImage):
        if source.isNull():
            raise PictureError(msg("The clipboard holds no picture that can be read. Copy it again."))
        return _finish(source, (source.width(), source.height()), name, lossless=True)
    data = source if isinstance(source, bytes) else _read_file(source)
    name = name or ("" if isinstance(source, bytes) else source.name)
    _check(data)
    buffer = QBuffer()
    buffer.setData(QByteArray(data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setDecideFormatFromContent(True)
    if not reader.canRead() or reader.format().data() in _VECTOR:
        raise PictureError(msg("This is no picture of a known kind. PNG, JPEG, WebP, GIF and BMP can be read."))
    size = reader.size()
    if size.isValid() and size.width() * size.height() > MAX_PIXELS:
        raise PictureError(_too_many_pixels(size))
    reader.setAutoTransform(True)
    turned = reader.transformation().value & reader.transformation().TransformationRotate90.value
    original = (size.height(), size.width()) if turned else (size.width(), size.height())
    if size.isValid() and max(size.width(), size.height()) > LONG_SIDE_PX:
        # The decoder scales while it reads: a quarter of the memory and a third of the time of scaling afterwards.
        reader.setScaledSize(size.scaled(LONG_SIDE_PX, LONG_SIDE_PX, Qt.AspectRatioMode.KeepAspectRatio))
    lossless = reader.format().data() != b"jpeg"
    image = reader.read()
    if image.isNull():
        raise PictureError(
            msg("The picture could not be read ({reason}). Save it anew and try again.", reason=reader.errorString())
        )
    if not size.isValid():
        original = (image.width(), image.height())
    return _finish(image, original, name, lossless=lossless)


def preview_of(data: bytes, long_side_px: int = PREVIEW_PX) -> QImage:
    """Return a small upright image of an encoded picture; a null image when it cannot be read."""
    buffer = QBuffer()
    buffer.setData(QByteArray(data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setAutoTransform(True)
    size = reader.size()
    if size.isValid() and max(size.width(), size.height()) > long_side_px:
        reader.setScaledSize(size.scaled(long_side_px, long_side_px, Qt.AspectRatioMode.KeepAspectRatio))
    return reader.read()


class PictureLoader(QObject):
    """Loads pictures one after the other without the GUI thread; results come back in it, in order of completion."""

    loaded = Signal(int, object)
    """Ticket and LoadedPicture."""
    refused = Signal(int, object)
    """Ticket and Message."""
    previewed = Signal(int, QImage)
    """Ticket and small image."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        # One: pictures are large, and the computer is busy with a model.
        self._pool.setMaxThreadCount(1)
        self._tickets = 0

    def load(self, source: Path | QImage | bytes, name: str = "") -> int:
        """Load `source`; `loaded` or `refused` follows with the ticket that is returned here."""
        return self._run(lambda ticket: self._load(ticket, source, name))

    def preview(self, data: bytes, long_side_px: int = PREVIEW_PX) -> int:
        """Decode a small image of an encoded picture; `previewed` follows with the ticket."""
        return self._run(lambda ticket: self.previewed.emit(ticket, preview_of(data, long_side_px)))

    def wait(self) -> None:
        """Wait until nothing is being loaded (at the end of the program, and in tests)."""
        self._pool.waitForDone()

    def _run(self, work: Callable[[int], None]) -> int:
        self._tickets += 1
        self._pool.start(_Work(work, self._tickets))
        return self._tickets

    def _load(self, ticket: int, source: Path | QImage | bytes, name: str) -> None:
        try:
            picture = load_picture(source, name)
        except PictureError as refused:
            self.refused.emit(ticket, refused.message)
        except Exception as error:
            log.exception("a picture could not be loaded")
            self.refused.emit(ticket, msg("The picture could not be read: {reason}.", reason=error))
        else:
            self.loaded.emit(ticket, picture)


class _Work(QRunnable):
    def __init__(self, work: Callable[[int], None], ticket: int) -> None:
        super().__init__()
        self._work, self._ticket = work, ticket

    def run(self) -> None:
        self._work(self._ticket)


def _read_file(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PictureError(msg("{path} is a folder. Choose a picture in it.", path=path))
        if path.stat().st_size > MAX_BYTES:
            raise PictureError(
                msg(
                    "{name} has {size} MB; pictures may have {limit} MB at most. Make it smaller first.",
                    name=path.name,
                    size=f"{path.stat().st_size / 1e6:.0f}",
                    limit=MAX_BYTES // 1_000_000,
                )
            )
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PictureError(msg("{path} cannot be read: {reason}.", path=path, reason=reason)) from error


def _check(data: bytes) -> None:
    try:
        sniff(data)
    except ImageError as error:
        # Qt reads more kinds than the engine; what is sent is always encoded anew.
        if error.code != "unknown_format":
            raise PictureError(error.message) from error
    # libjpeg fills what is missing with grey and calls it a picture. Scan data cannot contain these two markers, and
    # the end of an embedded thumbnail comes before the last scan.
    if data.startswith(b"\xff\xd8\xff") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise PictureError(msg("The JPEG picture is cut off: its end is missing. Copy or download it again."))


def _finish(image: QImage, original: tuple[int, int], name: str, *, lossless: bool) -> LoadedPicture:
    if max(image.width(), image.height()) > LONG_SIDE_PX:
        image = image.scaled(
            LONG_SIDE_PX,
            LONG_SIDE_PX,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    if image.hasAlphaChannel():
        # The engine drops transparency and shows whatever colour hides behind it, mostly black under black text.
        flat = QImage(image.size(), QImage.Format.Format_RGB32)
        flat.fill(QColor(Qt.GlobalColor.white))
        painter = QPainter(flat)
        painter.drawImage(0, 0, image)
        painter.end()
        image = flat
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    written = image.save(buffer, "PNG") if lossless else image.save(buffer, "JPEG", _JPEG_QUALITY)
    if not written:
        raise PictureError(msg("The picture could not be prepared for sending. Save it as PNG and try again."))
    preview = image
    if max(image.width(), image.height()) > PREVIEW_PX:
        preview = image.scaled(
            PREVIEW_PX, PREVIEW_PX, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    return LoadedPicture(buffer.data().data(), image.width(), image.height(), original, name, preview)


def _too_many_pixels(size: QSize) -> Message:
    return msg(
        "The picture has {width} × {height} pixels; at most {limit} megapixels are taken. Make it smaller first: "
        "models see far fewer pixels anyway.",
        width=size.width(),
        height=size.height(),
        limit=MAX_PIXELS // 1_000_000,
    )
