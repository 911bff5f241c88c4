"""A log is followed whole: half lines, garbage, truncation, floods."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.support.waiting import run_async
from variet_gui.engine.log_tail import CHUNK_BYTES, LONGEST_LINE_BYTES, LogTail, cut, older, rotate, tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fast.log"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_that_a_log_that_is_not_there_yet_is_simply_empty(path: Path) -> None:
    assert LogTail(path).read() == ()


def test_that_only_whole_lines_are_handed_over(path: Path) -> None:
    reader = LogTail(path)
    append(path, b"one\ntwo\r\nthr")
    assert reader.read() == ("one", "two")
    assert reader.read() == ()
    append(path, b"ee\n")
    assert reader.read() == ("three",)


def test_that_an_unfinished_last_line_is_not_lost(path: Path) -> None:
    reader = LogTail(path)
    append(path, b"whole\nGGML_ASSERT(x) fai")
    assert reader.read() == ("whole",)
    assert reader.last_words() == ("GGML_ASSERT(x) fai",)
    assert reader.last_words() == ()


def test_that_bytes_that_are_no_text_do_not_stop_it(path: Path) -> None:
    append(path, b"ok\n\xff\xfe\x00garbage\n\xe2\x82\n")
    assert LogTail(path).read() == ("ok", "\ufffd\ufffd\x00garbage", "\ufffd")


def test_that_a_character_cut_by_the_end_of_a_chunk_stays_whole(path: Path) -> None:
    line = ("가" * 9).encode() + b"\n"
    append(path, line * (CHUNK_BYTES // len(line) + 10))
    reader = LogTail(path)
    seen = [*reader.read(), *reader.read()]
    assert set(seen) == {"가" * 9}


def test_that_form_feeds_and_other_separators_do_not_make_lines(path: Path) -> None:
    append(path, "a\x0cb\u2028c\x85d\n".encode())
    assert LogTail(path).read() == ("a\x0cb\u2028c\x85d",)


def test_that_a_truncated_log_is_read_again_from_its_start(path: Path) -> None:
    reader = LogTail(path)
    append(path, b"a long first line\nhalf a li")
    assert reader.read() == ("a long first line",)
    path.write_bytes(b"new\n")
    assert reader.read() == ("new",)


def test_that_a_log_that_vanishes_and_comes_back_is_followed_on(path: Path) -> None:
    reader = LogTail(path)
    append(path, b"before\n")
    assert reader.read() == ("before",)
    path.unlink()
    assert reader.read() == ()
    append(path, b"new\n")
    assert reader.read() == ("new",)


def test_that_one_read_takes_no_more_than_a_chunk(path: Path) -> None:
    append(path, b"x" * 63 + b"\n" * 1 + (b"y" * 63 + b"\n") * (3 * CHUNK_BYTES // 64))
    reader = LogTail(path)
    assert len(reader.read()) == CHUNK_BYTES // 64
    assert reader.position == CHUNK_BYTES


def test_that_a_line_without_end_cannot_fill_the_memory(path: Path) -> None:
    append(path, b"x" * (4 * CHUNK_BYTES))
    reader = LogTail(path)
    pieces = [line for _ in range(4) for line in reader.read()]
    assert all(len(line) == LONGEST_LINE_BYTES for line in pieces)
    assert len("".join((*pieces, *reader.last_words()))) == 4 * CHUNK_BYTES


def test_that_tail_yields_what_was_written_before_and_after_it_began(path: Path) -> None:
    async def scenario() -> None:
        append(path, b"before\n")
        async with aclosing(tail(path)) as batches:
            assert await anext(batches) == ("before",)
            append(path, b"after\nand ")
            assert await anext(batches) == ("after",)
            append(path, b"more\n")
            assert await anext(batches) == ("and more",)

    run_async(scenario())


def test_that_tail_waits_for_a_log_that_comes_later(path: Path) -> None:
    async def scenario() -> None:
        async with aclosing(tail(path)) as batches:
            first = asyncio.ensure_future(anext(batches))
            await asyncio.sleep(0)
            append(path, b"here\n")
            assert await first == ("here",)

    run_async(scenario())


def test_that_a_flood_leaves_the_loop_to_others(path: Path) -> None:
    async def scenario() -> None:
        append(path, (b"z" * 63 + b"\n") * (8 * CHUNK_BYTES // 64))
        turns = 0

        async def somebody_else() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(somebody_else())
        count = 0
        async with aclosing(tail(path)) as batches:
            while count < 8 * CHUNK_BYTES // 64:
                count += len(await anext(batches))
        other.cancel()
        assert turns >= 7

    run_async(scenario())


def test_that_rotation_keeps_the_last_five_logs_in_order(path: Path) -> None:
    for number in range(8):
        rotate(path)
        append(path, b"start %d\n" % number)
    assert path.read_bytes() == b"start 7\n"
    kept = [older(path, number).read_bytes() for number in range(1, 6)]
    assert kept == [b"start 6\n", b"start 5\n", b"start 4\n", b"start 3\n", b"start 2\n"]
    assert len(list(path.parent.iterdir())) == 6


def test_that_an_empty_log_is_not_worth_keeping(path: Path) -> None:
    append(path, b"")
    rotate(path)
    rotate(path)
    assert not older(path, 1).exists()


def test_that_a_log_can_be_cut_while_its_writer_goes_on(path: Path) -> None:
    reader = LogTail(path)
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old line\n" * 3)
        assert len(reader.read()) == 3
        cut(path)
        writer.write(b"new\n")
    assert older(path, 1).read_bytes() == b"old line\n" * 3
    assert path.read_bytes() == b"new\n"
    assert reader.read() == ("new",)
