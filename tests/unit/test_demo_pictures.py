"""The pictures that the demo's small model learns from and is examined with. Nothing here needs PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demo_vision.drawing import SHAPES, Canvas, Placement, shape_stamp
from demo_vision.examination import table, tasks
from demo_vision.gguf_file import GgufFile, GgufWriter, unpacked
from demo_vision.glyphs import CHARACTERS, DOTS, FACES, Lettering, advances, can_print, print_text
from demo_vision.lessons import LENGTH, MARKS, LessonMaker, marks
from demo_vision.painting import paint, print_places
from demo_vision.palette import COLOURS
from demo_vision.picture_files import png
from demo_vision.questions import TYPES, Asker, Question
from demo_vision.scenes import KINDS, SceneMaker, cell_of
from demo_vision.tokenizer import BEFORE_ANSWER, Tokenizer, before_user
from demo_vision.words import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

from variet_gui.client.images import sniff
from variet_gui.gguf.header import read_header

TRAIN = Path(__file__).resolve().parents[2] / "models" / "demo" / "train"
SHIPPED = TRAIN.parents[2] / "resources" / "vision_checks"


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_that_the_same_seed_draws_the_same_pictures_and_asks_the_same() -> None:
    first, second = list(tasks(12, 5)), list(tasks(12, 5))
    for one, other in zip(first, second, strict=True):
        assert one.question == other.question
        assert np.array_equal(one.picture, other.picture)
    assert [task.question.type for task in first] == list(TYPES)
    assert any(a.question != b.question for a, b in zip(first, tasks(12, 6), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(KINDS))
def test_that_every_scene_can_be_drawn_and_asked_about(seed: int, kind: str) -> None:
    chance = random(seed)
    scene = SceneMaker(chance).scene(kind)
    picture = paint(scene, chance)
    assert picture.shape == (scene.height, scene.width, 3)
    asked = Asker(chance).questions(scene)
    assert {question.type for question in asked} <= set(TYPES)
    assert all(question.is_right(question.answer) for question in asked)
    assert all(question.text.isascii() for question in asked)
    for thing in scene.things:
        half = thing.size / 2 * min(scene.width, scene.height)
        assert half * 0.9 < thing.x * scene.width < scene.width - half * 0.9
        assert half * 0.9 < thing.y * scene.height < scene.height - half * 0.9


def test_that_things_do_not_touch() -> None:
    maker = SceneMaker(random(1))
    for _ in range(60):
        scene = maker.scene("several")
        short = min(scene.width, scene.height)
        places = [(t.x * scene.width / short, t.y * scene.height / short, t.size) for t in scene.things]
        for number, (x, y, size) in enumerate(places):
            for other_x, other_y, other in places[:number]:
                assert np.hypot(x - other_x, y - other_y) > (size + other) * 0.5


def test_that_counting_goes_from_one_to_six_about_evenly() -> None:
    maker = SceneMaker(random(2))
    counts = np.bincount([len(maker.scene("alike").things) for _ in range(600)], minlength=7)
    assert counts[0] == 0
    assert counts[1:].min() > 60


def test_that_a_form_has_its_colour_inside_and_the_paper_outside() -> None:
    for shape in SHAPES:
        canvas = Canvas(100, 80, (255, 255, 255))
        canvas.fill(shape_stamp(shape), Placement(50, 40, 30, 30), (200, 30, 30))
        assert tuple(canvas.pixels[40, 50]) == (200, 30, 30), shape
        assert tuple(canvas.pixels[2, 2]) == (255, 255, 255), shape


def test_that_shapes_differ_from_one_another() -> None:
    drawn = {}
    for shape in SHAPES:
        canvas = Canvas(64, 64, (0, 0, 0))
        canvas.fill(shape_stamp(shape), Placement(32, 32, 28, 28), (255, 255, 255))
        drawn[shape] = canvas.pixels[..., 0].astype(float) / 255
    for one in SHAPES:
        for other in SHAPES:
            if one != other:
                assert np.abs(drawn[one] - drawn[other]).sum() > 100, (one, other)


@pytest.mark.parametrize("face", [*FACES, DOTS])
def test_that_every_letter_of_a_face_leaves_its_own_mark(face: str) -> None:
    how = Lettering(face, 28)
    seen: dict[bytes, str] = {}
    for letter in CHARACTERS:
        if can_print(face, letter):
            canvas = Canvas(60, 60, (255, 255, 255))
            print_text(canvas, letter, 10, 30, how, (0, 0, 0))
            assert (canvas.pixels < 128).any(), letter
            assert advances(letter, how)[0] > 0
            mark = canvas.pixels.tobytes()
            if face != DOTS or letter != "O":  # a dot display writes O and 0 alike
                assert mark not in seen, (letter, seen.get(mark))
            seen[mark] = letter


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [(0.1, 0.1, "top left"), (0.5, 0.1, "top"), (0.5, 0.5, "centre"), (0.9, 0.5, "right"), (0.1, 0.9, "bottom left")],
)
def test_that_ninths_have_the_names_that_people_use(x: float, y: float, name: str) -> None:
    assert cell_of(x, y) == name


def test_that_nobody_is_asked_about_a_place_near_a_border() -> None:
    assert cell_of(0.34, 0.5) is None
    assert cell_of(0.5, 0.65) is None


@pytest.mark.parametrize(
    ("answer", "said", "right"),
    [
        ("Circle", "circle", True), ("Circle", "A circle.", True), ("3", "three", True), ("3", "4", False),
        ("Centre", "In the middle", True), ("Grey", "Gray.", True), ("Top left", "Top", False), ("0", "None", True),
        ("12", "12.", True), ("Red", "Red circle", False),
    ],
)  # fmt: skip
def test_that_an_answer_is_judged_by_what_it_says(answer: str, said: str, right: bool) -> None:
    assert Question("any", "?", answer).is_right(said) is right


def test_that_a_caption_is_right_when_it_has_every_fact() -> None:
    caption = Question("caption", "", "Two red stars and a blue oval.", ("2 red stars", "blue oval"))
    assert caption.is_right("A blue oval and two red stars")
    assert not caption.is_right("Two red stars.")


def test_that_the_table_counts_by_type() -> None:
    results = [(task, task.number % 2 == 0) for task in tasks(24, 1)]
    lines = table(results).splitlines()
    assert lines[2] == "| shape | 2 | 2 | 100.0% |"
    assert lines[3] == "| colour | 0 | 2 | 0.0% |"
    assert lines[-1] == "| all | 12 | 24 | 50.0% |"


def test_that_a_picture_is_a_png_that_the_panel_takes() -> None:
    scene = SceneMaker(random(3)).scene("one")
    info = sniff(png(paint(scene, random())))
    assert (info.width, info.height) == (scene.width, scene.height)


def test_that_marks_lie_where_things_are_drawn() -> None:
    maker = SceneMaker(random(4))
    for kind in KINDS:
        scene = maker.scene(kind)
        found = marks(scene, 8)
        assert found.shape == (64, len(MARKS))
        assert bool(found.any()) == (kind != "empty")
        for thing in scene.things:
            assert found[:, MARKS.index(thing.shape)].any()
        for printed in scene.prints:
            assert len(print_places(printed, scene.width, scene.height)) == len(printed.text)


def test_that_packed_weights_are_what_the_formats_say() -> None:
    scale, low = np.float16(0.5), np.float16(-2.0)
    nibbles = np.arange(32, dtype=np.uint8) % 16
    packed = (nibbles[:16] | nibbles[16:] << 4).tobytes()
    q4_0 = np.frombuffer(scale.tobytes() + packed, np.uint8).reshape(1, -1)
    assert np.array_equal(unpacked(q4_0, 2)[0], (nibbles.astype(np.float32) - 8) * 0.5)
    q4_1 = np.frombuffer(scale.tobytes() + low.tobytes() + packed, np.uint8).reshape(1, -1)
    assert np.array_equal(unpacked(q4_1, 3)[0], nibbles * 0.5 - 2.0)
    values = np.arange(-16, 16, dtype=np.int8)
    q8_0 = np.frombuffer(scale.tobytes() + values.tobytes(), np.uint8).reshape(1, -1)
    assert np.array_equal(unpacked(q8_0, 8)[0], values * 0.5)
    high = np.array([0xFFFF0000], "<u4").tobytes()  # the second sixteen have their fifth bit
    five = nibbles + np.where(np.arange(32) >= 16, 16, 0)
    q5_0 = np.frombuffer(scale.tobytes() + high + packed, np.uint8).reshape(1, -1)
    assert np.array_equal(unpacked(q5_0, 6)[0], (five.astype(np.float32) - 16) * 0.5)
    q5_1 = np.frombuffer(scale.tobytes() + low.tobytes() + high + packed, np.uint8).reshape(1, -1)
    assert np.array_equal(unpacked(q5_1, 7)[0], five * 0.5 - 2.0)


def test_that_a_written_file_reads_back(tmp_path: Path) -> None:
    writer = GgufWriter("clip")
    writer.u32("clip.vision.image_size", 64)
    writer.f32s("clip.vision.image_mean", [0.5, 0.25, 0.125])
    weights = random().normal(size=(3, 5)).astype(np.float32)
    writer.tensor("a", weights)
    writer.tensor("b", weights.astype(np.float16))
    path = writer.write(tmp_path / "x.gguf")
    back = GgufFile(path)
    assert back.metadata["clip.vision.image_mean"] == [0.5, 0.25, 0.125]
    assert np.array_equal(back.weights("a"), weights)
    assert np.array_equal(back.weights("b"), weights.astype(np.float16).astype(np.float32))
    assert read_header(path).architecture == "clip"
    with pytest.raises(KeyError):
        back.weights("c")


@pytest.mark.model
def test_that_lessons_keep_questions_apart(demo_model: Path) -> None:
    tokenizer = Tokenizer(GgufFile(demo_model).metadata)
    start = tokenizer.encode(before_user())
    chance = random(5)
    maker, scenes, asker = LessonMaker(tokenizer, 64, chance), SceneMaker(chance), Asker(chance)
    several = 0
    for _ in range(40):
        lesson = maker.lesson(asker.questions(scenes.scene("several")))
        used = lesson.segments >= 0
        assert 91 < used.sum() <= LENGTH
        assert sorted(lesson.rows[lesson.rows >= 0]) == list(range(64))
        several += lesson.segments.max() > 2
        for segment in range(1, lesson.segments.max() + 1):
            mine = np.flatnonzero(lesson.segments == segment)
            assert np.array_equal(mine, np.arange(mine[0], mine[-1] + 1))
            positions = lesson.positions[mine]
            assert np.array_equal(np.diff(positions), np.ones(len(mine) - 1))
            graded = mine[lesson.targets[mine] >= 0]
            assert lesson.targets[graded[-1]] == tokenizer.end
            following = graded[:-1] + 1
            assert np.array_equal(lesson.targets[graded[:-1]], lesson.tokens[following]) or len(graded) > 2
    assert several > 25
    assert start == tokenizer.encode(before_user())


@pytest.mark.engine
@pytest.mark.model
def test_that_our_tokens_are_the_engines_own(llama_server: Path, demo_model: Path, tmp_path: Path) -> None:
    from tests.support.spawned import Spawned, free_port

    tokenizer = Tokenizer(GgufFile(demo_model).metadata)
    texts = {before_user(), BEFORE_ANSWER, *(word for word in WORDS), *(name.capitalize() for name in COLOURS)}
    for task in tasks(150, 8):
        texts |= {task.question.text, task.question.answer}
    command = [str(llama_server), "-m", str(demo_model), "-c", "512", "-np", "1", "-t", "1", "--host", "127.0.0.1"]
    with Spawned(command, tmp_path / "log", free_port()) as server:
        server.wait_for_health()
        for text in sorted(texts):
            reply = server.client.post("/tokenize", json={"content": text, "parse_special": True})
            assert tokenizer.encode(text) == reply.json()["tokens"], text


def test_that_other_alphabets_are_refused_by_name() -> None:
    tokenizer = Tokenizer({"tokenizer.ggml.tokens": ["<|im_end|>"], "tokenizer.ggml.merges": []})
    with pytest.raises(ValueError, match="ASCII"):
        tokenizer.encode("빨강")


def test_that_the_pictures_of_the_checks_are_what_the_script_draws(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(TRAIN / "draw_checks.py"), "--out", str(tmp_path)], check=True, timeout=60)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn["checks.json"] == (SHIPPED / "checks.json").read_bytes()
    assert {path.name for path in SHIPPED.iterdir()} == set(drawn)
    for check in json.loads(drawn["checks.json"])["checks"]:
        assert sniff(drawn[check["picture"]]).width == 640
        assert check["accepted"]


@pytest.mark.engine
@pytest.mark.model
def test_that_the_evaluation_prints_its_table(demo_model: Path) -> None:
    command = [sys.executable, str(TRAIN / "evaluate.py"), "--pictures", "3", "--engine", "embedded", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert "| all |" in done.stdout
    assert "engine embedded" in done.stdout
