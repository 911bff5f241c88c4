"""Pictures on their way to a model: what they are, whether they can be sent, and how they are written in a request.

Nothing is decoded here: format and size come from the header, so a picture that would unpack to gigabytes costs
nothing. The engine decodes PNG, JPEG, GIF (first frame) and BMP; it has no WebP.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from variet_gui.client.image_headers import READERS, DamagedError, Header, TruncatedError
from variet_gui.i18n import Message, msg

MAX_BYTES = 20_000_000
MAX_PIXELS = 100_000_000


class ImageFormat(StrEnum):
    """The formats that are recognised, by the word that MIME uses."""

    PNG = "png"
    JPEG = "jpeg"
    GIF = "gif"
    BMP = "bmp"
    WEBP = "webp"

    @property
    def label(self) -> str:
        """Return the name that people write."""
        return "WebP" if self is ImageFormat.WEBP else self.value.upper()


class ImageError(Exception):
    """A picture cannot be used; `message` says why and what to do. `code` is stable."""

    def __init__(self, code: str, message: Message) -> None:
        super().__init__(message.english)
        self.code = code
        """"empty", "truncated", "damaged", "unknown_format", "too_many_bytes", "too_many_pixels",
        "engine_cannot_read", "missing", "not_a_file", "unreadable"."""
        self.message = message

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a picture is."""

    format: ImageFormat
    width: int
    """Pixels, before any EXIF rotation."""
    height: int
    byte_count: int
    engine_reads: bool
    """Whether llama.cpp can decode it. If not, convert it to PNG before sending."""

    @property
    def media_type(self) -> str:
        """Return the MIME type, such as "image/png"."""
        return f"image/{self.format.value}"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be sent: its bytes as they were given, and what they are."""

    data: bytes
    info: ImageInfo
    name: str | None = None
    """The file's name, where it came from a file."""

    @classmethod
    def of(cls, data: bytes, name: str | None = None) -> Picture:
        """Check `data` and return it as a picture.

        Raises:
            ImageError: it is no picture that the engine can read.
        """
        info = sniff(data)
        require_engine_reads(info)
        return cls(bytes(data), info, name)

    @property
    def url(self) -> str:
        """Return the picture as a `data:` URL, the form that llama-server takes."""
        return f"data:{self.info.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def sniff(data: bytes) -> ImageInfo:
    """Tell format and size of the picture in `data`, by its content and never by a file name.

    Raises:
        ImageError: it is empty, cut off, damaged, of no known format, larger than `MAX_BYTES`, or has more than
            `MAX_PIXELS` pixels.
    """
    if not data:
        raise ImageError("empty", msg("The picture is empty. Choose another file, or copy the picture again."))
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(len(data))
    found = _format_of(data)
    if found is None:
        raise _unknown_format(data)
    header = _read_header(found, data)
    if header.width <= 0 or header.height <= 0:
        raise _damaged(found)
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(
            "too_many_pixels",
            msg(
                "The picture has {width} × {height} pixels; at most {limit} megapixels are taken. "
                "Make it smaller first: models see far fewer pixels anyway.",
                width=header.width,
                height=header.height,
                limit=MAX_PIXELS // 1_000_000,
            ),
        )
    return ImageInfo(found, header.width, header.height, len(data), header.engine_reads)


def require_engine_reads(info: ImageInfo) -> None:
    """Refuse a picture that llama.cpp cannot decode.

    Raises:
        ImageError: code "engine_cannot_read".
    """
    if info.engine_reads:
        return
    if info.format is ImageFormat.WEBP:
        message = msg("llama-server cannot read WebP pictures. Save it as PNG or JPEG and send that.")
    else:
        message = msg(
            "llama-server cannot read this kind of {format} picture. Save it as PNG and send that.",
            format=info.format.label,
        )
    raise ImageError("engine_cannot_read", message)


def data_url(data: bytes) -> str:
    """Return `data` as a `data:` URL for a chat request.

    Raises:
        ImageError: as `Picture.of`.
    """
    return Picture.of(data).url


def load(path: Path) -> Picture:
    """Read a picture from a file. Blocks for the read: at most `MAX_BYTES`.

    Raises:
        ImageError: there is no such file, it cannot be read, or as `Picture.of`.
    """
    try:
        if path.is_dir():
            raise ImageError("not_a_file", msg("{path} is a folder. Choose a picture in it.", path=path))
        if path.stat().st_size > MAX_BYTES:
            raise _too_many_bytes(path.stat().st_size)
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError("missing", msg("There is no picture {path}. Check the name.", path=path)) from None
    except OSError as error:
        raise ImageError(
            "unreadable",
            msg("{path} cannot be read: {reason}.", path=path, reason=error.strerror or str(error)),
        ) from error
    return Picture.of(data, path.name)


def _format_of(data: bytes) -> ImageFormat | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageFormat.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if data.startswith((b"GIF87a", b"GIF89a")):
        return ImageFormat.GIF
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if data.startswith(b"BM"):
        return ImageFormat.BMP
    return None


def _read_header(found: ImageFormat, data: bytes) -> Header:
    try:
        return READERS[found.value](data)
    except TruncatedError:
        raise ImageError(
            "truncated",
            msg(
                "The {format} picture is cut off: its end is missing. Copy or download it again.",
                format=found.label,
            ),
        ) from None
    except DamagedError:
        raise _damaged(found) from None


def _damaged(found: ImageFormat) -> ImageError:
    return ImageError(
        "damaged",
        msg("The {format} picture is damaged. Open it in a picture viewer and save it anew.", format=found.label),
    )


def _too_many_bytes(byte_count: int) -> ImageError:
    return ImageError(
        "too_many_bytes",
        msg(
            "The picture has {size} MB; at most {limit} MB are taken. Make it smaller, or save it as JPEG.",
            size=f"{byte_count / 1_000_000:.1f}",
            limit=MAX_BYTES // 1_000_000,
        ),
    )


def _unknown_format(data: bytes) -> ImageError:
    for magic, offset, name in _OTHER_FORMATS:
        if data[offset : offset + len(magic)] == magic:
            return ImageError(
                "unknown_format",
                msg("This is {name}, which llama-server cannot read. Save it as PNG or JPEG.", name=name),
            )
    return ImageError(
        "unknown_format",
        msg("This is no picture of a known kind. PNG, JPEG, GIF and BMP can be sent."),
    )


_OTHER_FORMATS = (
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypheix", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIF"),
    (b"%PDF-", 0, "PDF"),
    (b"<svg", 0, "SVG"),
    (b"<?xml", 0, "SVG"),
)
"""(magic, offset, name) of formats that people drop here and that get a better answer than "unknown"."""
