"""The catalog file: read, refused, written, never lost."""

from __future__ import annotations

import copy
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.catalog import store as store_module
from variet_gui.catalog.store import CatalogChangedOutside, CatalogError, CatalogStore
from variet_gui.catalog.tiers import Catalog, LaunchProfile, Tier

CONFIG = Path(__file__).resolve().parents[2] / "config"

SMALL: dict[str, Any] = {
    "schema": 1,
    "title": "two tiers",
    "note of mine": {"kept": [1, 2.5, None]},
    "tiers": [
        {
            "role": "fast",
            "colour": "red",
            "model_name": "A",
            "port": 8081,
            "parameters": {"ctx_size": 4096, "tensor_split": [1, 2]},
            "acceptance": {"min_tps": 70, "mood": "good"},
        },
        {"role": "ultra", "model_name": "B", "port": 8082},
    ],
}


def store_with(folder: Path, data: object) -> CatalogStore:
    """Return a store on a file that holds `data`: text, bytes, or anything that becomes JSON."""
    path = folder / "catalog.json"
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        path.write_text(data if isinstance(data, str) else json.dumps(data, indent=2), encoding="utf-8")
    return CatalogStore(path, folder / "no-template.json")


def refusal(folder: Path, data: object) -> CatalogError:
    """Return what a file is refused with, having made sure that it was left alone."""
    store = store_with(folder, data)
    before = store.path.read_bytes()
    with pytest.raises(CatalogError) as caught:
        store.load()
    assert store.path.read_bytes() == before
    assert str(store.path) in str(caught.value)
    return caught.value


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """Return SMALL with one value replaced."""
    data = copy.deepcopy(SMALL)
    inner: Any = data
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = to
    return data


def test_that_a_first_start_copies_the_template(tmp_path: Path) -> None:
    template = CONFIG / "engine_models.json"
    store = CatalogStore(tmp_path / "new" / "folder" / "catalog.json", template)
    catalog = store.load()
    assert catalog.roles == ("fast", "balanced", "deep-coder", "deep-logic", "ultra")
    assert store.path.read_bytes() == template.read_bytes()
    assert [entry.name for entry in store.path.parent.iterdir()] == ["catalog.json"]


def test_that_a_missing_template_is_named(tmp_path: Path) -> None:
    store = CatalogStore(tmp_path / "catalog.json", tmp_path / "gone.json")
    with pytest.raises(CatalogError, match=r"gone\.json cannot be read"):
        store.load()


def test_that_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    store = CatalogStore(tmp_path / "file" / "catalog.json", CONFIG / "engine_models.json")
    with pytest.raises(CatalogError, match=r"catalog\.json cannot be made"):
        store.load()


def test_that_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="is a folder, not a file") as caught:
        CatalogStore(tmp_path, CONFIG / "engine_models.json").load()
    assert caught.value.found == "a folder"


@pytest.mark.parametrize(
    ("data", "where", "found", "allowed"),
    [
        ("", "line 1, column 1", "the end of a line", "JSON"),
        ('{"tiers": [}', "line 1, column 12", '"}"', "JSON"),
        ('{\n "schema": 1\n "tiers": []}', "line 3, column 2", "tiers", "JSON"),
        (b"\xff\xfe{", "byte 0", "0xff", "UTF-8"),
        ("[]", "", "[]", "an object"),
        ('"text"', "", '"text"', "an object"),
        ('{"tiers": NaN}', "line 1, column 11", "NaN", "finite"),
        ('{"title": "NaN 1e999",\n "tiers": 1e999}', "line 2, column 11", "1e999", "finite"),
        ('{"title": "a", "title": "b"}', "line 1, column 16", '"title" twice', "each name once"),
        ('{"deep": ' + "[" * 200 + "]" * 200 + "}", "line 1, column 109", "brackets", "JSON"),
        ("[" * 100_000, "line 1, column 101", "brackets", "JSON"),
        ('{"big": ' + "9" * 5000 + "}", "line 1, column 9", "999", "not so long"),
        ({}, "tiers", "missing", "may not be left out"),
        ({"tiers": []}, "tiers", "[]", "at least 1"),
        ({"tiers": {}}, "tiers", "{}", "a list"),
        (changed("tiers", 0, to=5), "tiers[0]", "5", "an object"),
        (changed("tiers", 0, "port", to=80), "tiers[0].port", "80", "from 1024 up"),
        (changed("tiers", 0, "port", to=70000), "tiers[0].port", "70000", "up to 65535"),
        (changed("tiers", 0, "port", to="http"), "tiers[0].port", '"http"', "whole number"),
        (changed("tiers", 1, "port", to=8081), "tiers[1].port", "8081", "no other tier"),
        (changed("tiers", 1, "role", to="fast"), "tiers[1].role", '"fast"', "no other tier"),
        (changed("tiers", 1, "role", to="Fast One"), "tiers[1].role", '"Fast One"', "small letters"),
        (changed("tiers", 0, "acceptance", "min_tps", to=-5), "tiers[0].acceptance.min_tps", "-5", "above 0"),
        (changed("tiers", 0, "keep_running", to="often"), "tiers[0].keep_running", '"often"', "true or false"),
        (changed("tiers", 0, "environment", to={"A=B": "x"}), 'tiers[0].environment["A=B"]', '"x"', "without ="),
        (changed("tiers", 0, "environment", to={"A": 1}), "tiers[0].environment.A", "1", "a text"),
        (changed("tiers", 0, "extra_arguments", to=["a\0"]), "tiers[0].extra_arguments[0]", "a", "command line"),
        (changed("tiers", 0, "parameters", "ctx_sise", to=1), "tiers[0].parameters.ctx_sise", "ctx_sise", "ctx_size"),
        (changed("tiers", 0, "parameters", "ctx_size", to=-1), "tiers[0].parameters.ctx_size", "-1", "from 1 to"),
        (changed("tiers", 0, "parameters", "ctx_size", to="4096"), "tiers[0].parameters.ctx_size", '"4096"', "whole"),
        (changed("tiers", 0, "parameters", "ctx_size", to=None), "tiers[0].parameters.ctx_size", "null", "whole"),
        (changed("tiers", 0, "parameters", "ctx_size", to={}), "tiers[0].parameters.ctx_size", "{}", "whole"),
        (changed("tiers", 0, "parameters", "tensor_split", to=["a"]), "tiers[0].parameters.tensor_split", "a", "list"),
        (changed("tiers", 0, "parameters", "flash_attn", to=True), "tiers[0].parameters.flash_attn", "true", "auto"),
        (changed("tiers", 0, "parameters", to=[]), "tiers[0].parameters", "[]", "an object"),
        (changed("schema", to=0), "schema", "0", "from 1 up"),
        (changed("simulated_gpus", to=[0]), "simulated_gpus[0]", "0", "above 0"),
    ],
)
def test_that_a_bad_file_is_refused_with_its_place(
    tmp_path: Path, data: object, where: str, found: str, allowed: str
) -> None:
    error = refusal(tmp_path, data)
    assert error.where == where
    assert found in error.found
    assert allowed in str(error.allowed)


def test_that_a_misspelt_parameter_is_answered_with_the_right_one(tmp_path: Path) -> None:
    error = refusal(tmp_path, changed("tiers", 0, "parameters", "n-gpu-layers", to=99))
    assert "did you mean n_gpu_layers?" in str(error)


def test_that_a_newer_file_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, changed("schema", to=2))
    assert "written by a newer Variet: schema 2; this one reads 1" in str(error)
    assert (error.where, error.found) == ("schema", "2")


def test_that_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    assert store_with(tmp_path, b"\xef\xbb\xbf" + json.dumps(SMALL).encode()).load().roles == ("fast", "ultra")


def test_that_unknown_keys_survive_a_save_everywhere(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    profile = LaunchProfile.of(store.load().tier("fast")).with_value("ctx_size", 8192)
    store.save_profile("fast", profile)
    assert json.loads(store.path.read_text(encoding="utf-8")) == changed("tiers", 0, "parameters", "ctx_size", to=8192)


def test_that_a_save_changes_only_the_lines_it_must(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    before = store.path.read_text(encoding="utf-8").splitlines()
    store.save_profile("fast", LaunchProfile.of(store.load().tier("fast")).with_value("ctx_size", 8192))
    after = store.path.read_text(encoding="utf-8").splitlines()
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ('        "ctx_size": 4096,', '        "ctx_size": 8192,')
    ]


def test_that_a_whole_profile_is_saved_and_read_back(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    store.load()
    profile = LaunchProfile(
        "ultra", {"tensor_split": (0.43, 0.57), "mmproj_offload": False}, ("--x", "y"), {"CUDA_VISIBLE_DEVICES": "1"}
    )
    saved = store.save_profile("ultra", profile)
    again = CatalogStore(store.path, store.path).load()
    assert again == saved
    assert LaunchProfile.of(again.tier("ultra")) == profile


def test_that_unsetting_a_parameter_removes_it_from_the_file(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    store.save_profile("fast", LaunchProfile.of(store.load().tier("fast")).with_value("ctx_size", None))
    assert json.loads(store.path.read_text(encoding="utf-8"))["tiers"][0]["parameters"] == {"tensor_split": [1, 2]}


def test_that_an_unchanged_catalog_is_written_as_it_was(tmp_path: Path) -> None:
    for name in ("engine_models.json", "demo_models.json"):
        content = (CONFIG / name).read_bytes()
        store = store_with(tmp_path, content)
        store.save(store.load())
        assert store.path.read_bytes() == content


def test_that_a_wrong_catalog_is_never_written(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    catalog = store.load()
    before = store.path.read_bytes()
    with pytest.raises(CatalogError) as caught:
        store.save_profile("fast", LaunchProfile("fast", {"ctx_size": -1}))
    assert caught.value.where == "tiers[0].parameters.ctx_size"
    with pytest.raises(CatalogError, match="no other tier"):
        store.save(catalog.model_copy(update={"tiers": [catalog.tiers[0]] * 2}))
    with pytest.raises(CatalogError):
        store.save(catalog.model_copy(update={"title": float("nan")}))
    assert store.path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalog.json"]


def test_that_an_unknown_role_is_named(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    with pytest.raises(KeyError, match="no tier is called 'slow'"):
        store.save_profile("slow", LaunchProfile("slow"))


def test_that_a_change_from_outside_is_not_overwritten(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    catalog = store.load()
    assert not store.changed_outside()
    status = store.path.stat()
    theirs = json.dumps(changed("title", to="2 tiers!!"), indent=2)
    store.path.write_text(theirs, encoding="utf-8")
    # Even with the same size and time: the content is what counts before a save.
    os.utime(store.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.path.stat().st_size == status.st_size
    with pytest.raises(CatalogChangedOutside, match="changed by another program"):
        store.save(catalog)
    assert store.path.read_text(encoding="utf-8") == theirs
    assert store.load().title == "2 tiers!!"
    store.save(catalog)
    assert store.load().title == "two tiers"


def test_that_a_change_from_outside_is_noticed_and_a_touch_is_not(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    store.load()
    os.utime(store.path, (1, 1))
    assert not store.changed_outside()
    store.path.write_text(json.dumps(changed("title", to="another")), encoding="utf-8")
    assert store.changed_outside()


def test_that_overwriting_is_possible_when_it_is_meant(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    catalog = store.load()
    store.path.write_text("{", encoding="utf-8")
    store.save(catalog, overwrite=True)
    assert CatalogStore(store.path, store.path).load() == catalog


def test_that_a_deleted_file_is_written_anew(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    catalog = store.load()
    store.path.unlink()
    store.save(catalog)
    assert CatalogStore(store.path, store.path).load() == catalog


def test_that_a_file_never_read_is_not_overwritten(tmp_path: Path) -> None:
    store = store_with(tmp_path, SMALL)
    catalog = Catalog(tiers=[Tier(role="fast", model_name="A", port=8081)])
    with pytest.raises(CatalogChangedOutside):
        store.save(catalog)


def test_that_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_with(tmp_path, SMALL)
    catalog = store.load()
    before = store.path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(catalog.model_copy(update={"title": "new"}))
    assert store.path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalog.json"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_that_permissions_and_links_stay(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    store = store_with(real, SMALL)
    store.path.chmod(0o600)
    link = tmp_path / "link.json"
    link.symlink_to(store.path)
    linked = CatalogStore(link, link)
    linked.save(linked.load().model_copy(update={"title": "through the link"}))
    assert link.is_symlink()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.load().title == "through the link"


# ---------------------------------------------------------------------------------------------- any mutation at all

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(["ctx_size", "model", "tensor_split", "role", "port", "schema", "tiers", "new"]) | st.text()


@st.composite
def mutated(draw: st.DrawFn) -> object:
    """Return a shipped catalog with one to three things replaced, removed or added, anywhere."""
    name = draw(st.sampled_from(["engine_models.json", "demo_models.json"]))
    data: Any = json.loads((CONFIG / name).read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        inner = data
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(inner[key], dict | list) and draw(st.booleans()):
                inner = inner[key]
                continue
            action = draw(st.sampled_from(["replace", "remove", "add"]))
            if action == "replace":
                inner[key] = draw(_JSON)
            elif action == "remove":
                del inner[key]
            elif isinstance(inner, dict):
                inner[draw(_KEYS)] = draw(_JSON)
            else:
                inner.append(draw(_JSON))
            break
    return data


def loads_or_is_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = store_with(Path(folder), content)
        try:
            catalog = store.load()
        except CatalogError as error:
            refused = error
        else:
            store.save(catalog)
            assert CatalogStore(store.path, store.path).load() == catalog
            return
        assert store.path.read_bytes() == content
        assert [entry.name for entry in Path(folder).iterdir()] == [store.path.name]
        assert refused.found
        assert str(refused.allowed)
        assert str(store.path) in refused.message.english
        if refused.where:
            assert refused.where in refused.message.english
        else:  # the whole file is something else
            assert not isinstance(json.loads(content), dict)


@given(mutated())
def test_that_any_change_of_the_json_loads_or_is_refused_with_a_place(data: object) -> None:
    loads_or_is_refused(json.dumps(data).encode())


@given(_JSON)
def test_that_any_json_at_all_loads_or_is_refused(data: object) -> None:
    loads_or_is_refused(json.dumps(data).encode())


@given(mutated(), st.data())
def test_that_a_name_said_twice_is_found(data: object, more: st.DataObject) -> None:
    text = json.dumps(data, indent=2)
    lines = text.splitlines()
    names = [number for number, line in enumerate(lines) if line.rstrip().endswith(",") and '": ' in line]
    if names:
        number = more.draw(st.sampled_from(names))
        lines.insert(number, lines[number])
    loads_or_is_refused("\n".join(lines).encode())


@given(st.sampled_from(["engine_models.json", "demo_models.json"]), st.data())
def test_that_any_change_of_the_bytes_loads_or_is_refused(name: str, data: st.DataObject) -> None:
    content = bytearray((CONFIG / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    loads_or_is_refused(bytes(content))
