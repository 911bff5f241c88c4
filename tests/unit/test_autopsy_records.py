"""Every recorded failure is named as what it was; every rule has a record; small differences do not matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.autopsy_records import RECORDS, Record, Verdict, judge, read_records, share, table
from variet_gui.engine.diagnosis import explain, trouble
from variet_gui.engine.diagnosis_rules import RULES, TROUBLES
from variet_gui.engine.diagnosis_texts import CAUSES
from variet_gui.engine.log_parser import split_line
from variet_gui.events import Certainty

ALL = read_records(RECORDS)
MADE_BY_FACTS = {
    "out_of_gpu_memory", "out_of_gpu_memory_while_working", "out_of_gpu_memory_at_picture", "out_of_host_memory",
    "gpu_fault", "gpu_lost", "gpu_error_unsaid", "engine_wrong_gpu", "driver_too_old",
}  # fmt: skip
MADE_BY_ENDS = {"killed", "killed_for_memory", "crashed", "stopped_from_outside", "engine_wrong_cpu"}
MADE_BY_ENDS |= {"model_file_vanished", "engine_library_missing"}
NEVER_SEEN = {
    "engine_fault": "an assertion that nobody has met yet is told in its own words",
    "model_not_loaded": "what is left of a failed load, in the server's own words",
    "context_not_made": "what is left of a failed context, in the server's own words",
    "cache_types_differ": "only one architecture refuses them, and no small file of it is at hand",
    "fit_failed": "llama-fit-params ends so; a server goes on",
}
"""Rules without a record, and why; test_diagnosis.py holds a line against each."""


def test_that_the_recorded_failures_are_named_rightly(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [judge(record) for record in ALL]
    with capsys.disabled():
        print(f"\n{table(verdicts).splitlines()[-1]}")
    assert share(verdicts) == 1.0, table(verdicts)


def test_that_every_rule_has_a_record() -> None:
    recorded = {record.code for record in ALL}
    causes = {rule.cause for rule in (*RULES, *TROUBLES)} | MADE_BY_FACTS | MADE_BY_ENDS
    assert causes - recorded == set(NEVER_SEEN)


def test_that_every_log_has_its_entry_and_its_source() -> None:
    named = [record.path.name for record in ALL]
    assert sorted(named) == sorted(path.name for path in RECORDS.glob("*.txt"))
    assert len(set(named)) == len(named)
    for record in ALL:
        assert record.source.startswith(("recorded with ", "published: ")), record.path.name
        assert record.code in CAUSES, record.path.name


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda line: split_line(line).text, id="without-time-and-level"),
        pytest.param(lambda line: f"llama-1  | {line}", id="in-a-container"),
        pytest.param(lambda line: f"[40007] {split_line(line).text}", id="under-a-router"),
        pytest.param(lambda line: f"Nov 22 10:11:12 host llama-server[812]: {line}", id="in-a-journal"),
        pytest.param(lambda line: f"\x1b[0m{line}\x1b[0m", id="in-colours"),
    ],
)
def test_that_the_decoration_of_lines_does_not_matter(change: Callable[[str], str]) -> None:
    wrong = [
        record.path.name for record in ALL if not _judge_lines(record, [change(line) for line in record.lines]).right
    ]
    assert wrong == []


def test_that_a_log_with_errors_alone_is_mostly_enough() -> None:
    verdicts = [
        _judge_lines(
            replace(record, part=None),
            [line for line in record.lines if split_line(line).level in ("W", "E", None) or "listening on" in line],
        )
        for record in ALL
    ]
    assert share(verdicts) > 0.95, table(verdicts)


def test_that_every_failure_has_evidence_words_and_a_next_step() -> None:
    for record in ALL:
        failure = judge(record).failure
        assert failure is not None
        for message in (failure.title, failure.detail):
            unfilled = [place for place, said in (message.parameters if message else {}).items() if said == "?"]
            assert unfilled == [], (record.path.name, message)
        assert failure.evidence or not [line for line in record.lines if line.strip()], record.path.name
        assert failure.fixes or failure.code == "file_missing", record.path.name  # the panel knows what to leave out
        for line in failure.evidence:
            assert line.isprintable(), (record.path.name, line)
            assert len(line) <= 400


def test_that_what_the_log_does_not_say_is_never_called_certain() -> None:
    for record in ALL:
        failure = judge(record).failure
        assert failure is not None
        if failure.code == "gpu_error_unsaid" or (failure.code == "killed" and record.exit_code == -9):
            assert failure.certainty is Certainty.GUESS, record.path.name
        if record.circumstances.gpu_free_mib:
            assert failure.certainty is Certainty.LIKELY, record.path.name


def test_that_a_folder_of_ones_own_is_scored(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("error: invalid argument: --no-such-flag\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("all is well\n", encoding="utf-8")
    index = [
        {"file": "one.txt", "code": "flag_unknown", "exit_code": 1},
        {"file": "two.txt", "code": "port_in_use", "exit_code": 1},
    ]
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    verdicts = [judge(record) for record in read_records(tmp_path)]
    assert share(verdicts) == 0.5
    assert "named rightly: 1 of 2" in table(verdicts)
    assert "wrong: two.txt: is port_in_use; was called unknown" in table(verdicts)


def _judge_lines(record: Record, lines: list[str]) -> Verdict:
    if record.alive:
        return Verdict(record, trouble("fast", lines))
    failure = explain(
        role="fast",
        exit_code=record.exit_code,
        lines=lines,
        was_ready=record.was_ready,
        circumstances=record.circumstances,
    )
    return Verdict(record, failure)


def test_that_every_cause_of_an_end_stands_in_the_manual() -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    causes = {rule.cause for rule in (*RULES, *TROUBLES)} | MADE_BY_FACTS | MADE_BY_ENDS | {"load_timeout"}
    missing = [cause for cause in sorted(causes) if f"| `{cause}` |" not in manual]
    assert missing == []
