"""Pictures: what is recognised, what is refused, and in which words."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_pictures import BMP, GIF, JPEG, PNG, WEBP_EXTENDED, WEBP_LOSSLESS, WEBP_LOSSY
from variet_gui.client import images
from variet_gui.client.images import ImageError, ImageFormat, Picture, data_url, load, sniff

READABLE = {ImageFormat.PNG: PNG, ImageFormat.JPEG: JPEG, ImageFormat.GIF: GIF, ImageFormat.BMP: BMP}
WEBPS = {"lossy": WEBP_LOSSY, "lossless": WEBP_LOSSLESS, "extended": WEBP_EXTENDED}


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        sniff(data)
    return caught.value


@pytest.mark.parametrize("kind", READABLE)
def test_that_format_and_size_come_from_the_header(kind: ImageFormat) -> None:
    info = sniff(READABLE[kind])
    assert (info.format, info.width, info.height) == (kind, 5, 3)
    assert info.engine_reads
    assert info.byte_count == len(READABLE[kind])
    assert info.media_type == f"image/{kind.value}"


@pytest.mark.parametrize("data", WEBPS.values(), ids=WEBPS.keys())
def test_that_webp_is_recognised_and_never_sent(data: bytes) -> None:
    info = sniff(data)
    assert (info.format, info.width, info.height) == (ImageFormat.WEBP, 5, 3)
    assert not info.engine_reads
    with pytest.raises(ImageError) as caught:
        data_url(data)
    assert caught.value.code == "engine_cannot_read"
    assert "WebP" in str(caught.value)
    assert "PNG" in str(caught.value)


@pytest.mark.parametrize("kind", READABLE)
def test_that_a_cut_off_picture_is_refused_wherever_the_cut_is(kind: ImageFormat) -> None:
    data = READABLE[kind]
    whole_frame = len(data) - 1 if kind is ImageFormat.GIF else len(data)  # the last byte of a GIF is a mere trailer
    for length in range(1, whole_frame):
        assert refusal(data[:length]).code in ("truncated", "unknown_format"), length
    assert "cut off" in str(refusal(data[: len(data) // 2]))


@given(
    data=st.binary(max_size=200), kind=st.sampled_from([*READABLE.values(), *WEBPS.values()]), at=st.integers(0, 600)
)
def test_that_damaged_bytes_never_raise_anything_else(data: bytes, kind: bytes, at: int) -> None:
    for damaged in (data, kind[:at] + data, kind[:at] + data + kind[at + len(data) :]):
        try:
            info = sniff(damaged)
        except ImageError:
            continue
        else:
            assert info.width > 0
            assert info.height > 0


def test_that_a_huge_picture_is_refused_by_its_header_alone() -> None:
    header = struct.pack(">II", 100_000, 100_000)
    error = refusal(PNG[:16] + header + PNG[24:])
    assert error.code == "too_many_pixels"
    assert "100000 × 100000" in str(error)
    assert "100 megapixels" in str(error)


def test_that_a_file_of_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert images.MAX_BYTES == 20_000_000
    monkeypatch.setattr(images, "MAX_BYTES", len(PNG) - 1)
    assert refusal(PNG).code == "too_many_bytes"
    file = tmp_path / "large.png"
    file.write_bytes(PNG)
    with pytest.raises(ImageError, match="MB"):
        load(file)


def test_that_a_picture_without_extent_is_damaged() -> None:
    assert refusal(PNG[:16] + bytes(8) + PNG[24:]).code == "damaged"


def test_that_an_upside_down_bitmap_has_a_positive_height() -> None:
    flipped = BMP[:22] + struct.pack("<i", -3) + BMP[26:]
    assert sniff(flipped).height == 3


def test_that_a_run_length_bitmap_is_not_for_the_engine() -> None:
    squeezed = BMP[:28] + struct.pack("<HI", 8, 1) + BMP[34:]
    assert not sniff(squeezed).engine_reads
    with pytest.raises(ImageError, match="BMP"):
        data_url(squeezed)


@pytest.mark.parametrize(("marker", "reads"), [(0xC0, True), (0xC1, True), (0xC2, True), (0xC3, False), (0xC9, False)])
def test_that_only_the_jpegs_that_the_engine_decodes_are_sent(marker: int, reads: bool) -> None:
    assert sniff(JPEG.replace(b"\xff\xc0", bytes((0xFF, marker)))).engine_reads is reads


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"II*\x00" + bytes(30), "TIFF"),
        (b"\x00\x00\x00\x20ftypheic" + bytes(30), "HEIC"),
        (b"\x00\x00\x00\x20ftypavif" + bytes(30), "AVIF"),
        (b"%PDF-1.7" + bytes(30), "PDF"),
        (b"<svg xmlns=''/>", "SVG"),
    ],
)
def test_that_other_formats_are_called_by_their_name(data: bytes, name: str) -> None:
    error = refusal(data)
    assert error.code == "unknown_format"
    assert name in str(error)
    assert "PNG" in str(error)


def test_that_text_and_nothing_are_refused() -> None:
    assert refusal(b"").code == "empty"
    assert refusal("그림이 아닙니다".encode()).code == "unknown_format"


def test_that_a_data_url_holds_the_bytes_unchanged() -> None:
    url = data_url(JPEG)
    assert url.startswith("data:image/jpeg;base64,")
    assert base64.b64decode(url.partition(",")[2]) == JPEG


def test_that_a_file_is_judged_by_its_content_and_keeps_its_name(tmp_path: Path) -> None:
    file = tmp_path / "사진.png"
    file.write_bytes(JPEG)
    picture = load(file)
    assert picture == Picture.of(JPEG, "사진.png")
    assert picture.info.format is ImageFormat.JPEG


def test_that_a_file_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png") as caught:
        load(tmp_path / "nowhere.png")
    assert caught.value.code == "missing"
    with pytest.raises(ImageError, match="folder") as caught:
        load(tmp_path)
    assert caught.value.code == "not_a_file"
