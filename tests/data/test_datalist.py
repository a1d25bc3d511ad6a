# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.data import (
    UNGRADED,
    check_datalist,
    check_scale,
    grade_names,
    healthy_indices,
    load_datalist,
    read_grade_names,
    write_datalist,
)
from monai_semise.utils import InputError

FILES = tuple("abcdefgh")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files a.png to h.png; a datalist reads no pixels."""
    folder = tmp_path_factory.mktemp("datalist")
    for name in FILES:
        (folder / f"{name}.png").touch()
    return folder


def item(name, **fields):
    return {"image": f"{name}.png", **fields}


def valid():
    return {
        "training": [item("a", severity=0), item("b", severity=1), item("c", severity=2), item("d")],
        "validation": [item("e", severity=0), item("f", severity=2)],
        "test": [item("g", severity=1)],
        "unlabelled": [item("h")],
    }


def load(folder, content, **kwargs):
    """Write ``content`` (text, bytes, or anything JSON holds) as a datalist, and load it."""
    path = folder / "datalist.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_datalist(path, **kwargs)


def changed(**sections):
    return {**valid(), **sections}


def with_training_item(n, **fields):
    """The valid datalist with fields of training[n] replaced."""
    content = valid()
    content["training"][n].update(fields)
    return content


# ---------------------------------------------------------------- what can be loaded


def test_sections_severity_and_paths(folder):
    datalist = load(folder, valid())
    assert {section: len(items) for section, items in datalist.items()} == {
        "training": 4,
        "validation": 2,
        "test": 1,
        "unlabelled": 1,
    }
    assert [entry["severity"] for entry in datalist["training"]] == [0, 1, 2, UNGRADED]
    assert datalist["unlabelled"][0]["severity"] == UNGRADED
    assert datalist["training"][0]["image"] == str(folder / "a.png")


def test_index_counts_on_from_training_to_unlabelled(folder):
    datalist = load(folder, valid())
    assert [entry["index"] for entry in datalist["training"] + datalist["unlabelled"]] == [0, 1, 2, 3, 4]
    assert [entry["index"] for entry in datalist["validation"]] == [0, 1]
    assert [entry["index"] for entry in datalist["test"]] == [0]


def test_missing_sections_are_empty(folder):
    datalist = load(folder, {"training": valid()["training"]})
    assert datalist["validation"] == datalist["test"] == datalist["unlabelled"] == []


@pytest.mark.parametrize(("given_severity", "loaded"), [(2, 2), (2.0, 2), (1000, 1000), (None, UNGRADED)])
def test_whole_severity(folder, given_severity, loaded):
    severity = load(folder, with_training_item(2, severity=given_severity))["training"][2]["severity"]
    assert severity == loaded
    assert isinstance(severity, int)


def test_own_fields_and_own_keys_are_kept(folder):
    content = changed(name="mine", fold_sizes=[1, 2], raters=["x"])
    content["training"][1].update(age=61, laterality="left", group="p1", mask="h.png")
    entry = load(folder, {**content, "unlabelled": []})["training"][1]
    assert (entry["age"], entry["laterality"], entry["group"]) == (61, "left", "p1")
    assert entry["mask"] == str(folder / "h.png")


def test_null_group_and_mask_are_dropped(folder):
    entry = load(folder, with_training_item(0, group=None, mask=None))["training"][0]
    assert "group" not in entry
    assert "mask" not in entry


def test_relative_paths_start_from_base_dir(folder, tmp_path, monkeypatch):
    path = tmp_path / "elsewhere.json"
    path.write_text(json.dumps(valid()))
    assert load_datalist(path, base_dir=folder)["test"][0]["image"] == str(folder / "g.png")
    monkeypatch.chdir(folder.parent)
    relative = load_datalist(path, base_dir=folder.name)  # the images must be found from any working directory
    assert relative["test"][0]["image"] == str(folder / "g.png")


def test_relative_path_of_the_datalist_gives_absolute_images(folder, monkeypatch):
    load(folder, valid())
    monkeypatch.chdir(folder)
    assert load_datalist("datalist.json")["training"][0]["image"] == str(folder / "a.png")


def test_absolute_image_path(folder, tmp_path):
    (tmp_path / "far.png").touch()
    loaded = load(folder, with_training_item(0, image=str(tmp_path / "far.png")))
    assert loaded["training"][0]["image"] == str(tmp_path / "far.png")


def test_sections_not_required_may_be_empty(folder):
    assert load(folder, changed(validation=[]))["validation"] == []


def test_healthy_indices(folder):
    datalist = load(folder, valid())
    assert healthy_indices(datalist["training"] + datalist["unlabelled"]) == [0]
    assert healthy_indices([]) == []


@pytest.mark.parametrize(
    ("content", "names"), [({"grades": ["none", 3]}, ["none", "3"]), ({}, None), ({"grades": "none"}, None), ([], None)]
)
def test_grade_names(tmp_path, content, names):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content))
    assert read_grade_names(path) == names


UP_TO_2 = [{"image": "a.png", "severity": 0}, {"image": "b.png", "severity": 2}, {"image": "c.png", "severity": -1}]


@pytest.mark.parametrize(
    ("content", "names"),
    [({}, ["0", "1", "2"]), ({"grades": ["none", "mild", "severe", "fatal"]}, ["none", "mild", "severe", "fatal"])],
)
def test_grades_are_named_or_those_up_to_the_highest(tmp_path, content, names):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content))
    assert grade_names(path, UP_TO_2) == names


def test_a_grade_without_a_name_is_found(tmp_path):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"grades": ["none", "mild"]}))
    with pytest.raises(InputError, match=r"b\.png: severity 2 is outside the scale of 2 grades"):
        grade_names(path, UP_TO_2)


@pytest.mark.parametrize("n_grades", [None, 3, 4])
def test_a_scale_that_has_all_grades_is_right(n_grades):
    assert check_scale(UP_TO_2, n_grades) is None


@pytest.mark.parametrize("header", [{"structures": ["lesion", "disc"]}, {}])
def test_one_mask_file_for_each_structure(folder, header):
    content = changed(**header)
    content["training"][0]["mask"] = ["b.png", None]
    content["test"][0]["mask"] = [None, None]
    content["unlabelled"][0]["mask"] = None
    datalist = load(folder, content)
    assert datalist["training"][0]["mask"] == [str(folder / "b.png"), None]
    assert datalist["test"][0]["mask"] == [None, None]
    assert "mask" not in datalist["unlabelled"][0]
    assert "mask" not in datalist["training"][1]


@pytest.mark.parametrize(
    "training",
    [
        [item("a", mask="b.png"), item("c")],  # no grades at all
        [item("a", severity=0), item("c", severity=0)],  # one grade
        [item("a", severity=2), item("c", severity=1)],  # no healthy image
    ],
)
def test_segmentation_needs_no_grades(folder, training):
    content = changed(training=training)
    with pytest.raises(InputError, match="severity"):
        load(folder, content)
    loaded = load(folder, content, graded=False)["training"]
    assert [entry["severity"] for entry in loaded] == [entry.get("severity", UNGRADED) for entry in training]


def test_without_grades_all_else_is_checked(folder):
    def load_ungraded(**sections):
        return load(folder, changed(**sections), graded=False)

    with pytest.raises(InputError, match="the training section is empty"):
        load_ungraded(training=[])
    with pytest.raises(InputError, match=r"test\[0\]\.image: .*b\.png is also training\[0\]; list it once"):
        load_ungraded(training=[item("b")], test=[item("b")])
    with pytest.raises(InputError, match=r"test\[0\]\.group: 'p' is also in training\[0\]"):
        load_ungraded(training=[item("b", group="p")], test=[item("g", group="p")])


# ---------------------------------------------------------------- writing


def test_round_trip(folder):
    datalist = load(folder, with_training_item(1, group="p1", mask="e.png") | {"validation": []})
    write_datalist(folder / "again.json", datalist)
    assert load_datalist(folder / "again.json") == datalist


def test_written_paths_are_portable(folder, tmp_path):
    moved = tmp_path / "moved"
    write_datalist(folder / "again.json", {"name": "mine", **load(folder, valid())})
    written = json.loads((folder / "again.json").read_text())
    assert written["training"][0] == {"image": "a.png", "severity": 0}
    assert written["unlabelled"] == [{"image": "h.png"}]
    assert written["name"] == "mine"
    shutil.copytree(folder, moved)
    assert load_datalist(moved / "again.json")["training"][0]["image"] == str(moved / "a.png")


def test_paths_outside_the_folder_stay_absolute(folder, tmp_path):
    write_datalist(tmp_path / "far.json", load(folder, valid()))
    assert json.loads((tmp_path / "far.json").read_text())["training"][0]["image"] == str(folder / "a.png")
    assert load_datalist(tmp_path / "far.json") == load(folder, valid())


def test_masks_of_several_structures_are_written_relative(folder, tmp_path):
    (tmp_path / "far.png").touch()
    content = changed(structures=["lesion", "disc", "cup"], unlabelled=[])
    content["training"][0]["mask"] = ["h.png", None, str(tmp_path / "far.png")]
    content["training"][1]["mask"] = [None, None, None]
    datalist = load(folder, content)
    write_datalist(folder / "again.json", {"structures": content["structures"], **datalist})
    written = json.loads((folder / "again.json").read_text())["training"]
    assert [entry.get("mask") for entry in written[:3]] == [
        ["h.png", None, str(tmp_path / "far.png")],
        [None] * 3,
        None,
    ]
    assert load_datalist(folder / "again.json") == datalist
    shutil.copytree(folder, tmp_path / "moved")
    assert load_datalist(tmp_path / "moved" / "again.json")["training"][0]["mask"][0] == str(
        tmp_path / "moved" / "h.png"
    )


@pytest.mark.parametrize("name", ["läsion.png", "a b.png", "\udcff.png", "line\nend.png"])
def test_file_names_of_all_kinds_survive(tmp_path, name):
    """A file name on Linux is bytes; Python holds those that are no UTF-8 as half surrogates."""
    (tmp_path / name).touch()
    (tmp_path / "a.png").touch()
    items = [{"image": str(tmp_path / name), "severity": 0}, {"image": str(tmp_path / "a.png"), "severity": 1}]
    write_datalist(tmp_path / "datalist.json", {"training": items})
    loaded = load_datalist(tmp_path / "datalist.json")["training"]
    assert loaded[0]["image"] == str(tmp_path / name)
    assert json.loads((tmp_path / "datalist.json").read_text())["training"][0]["image"] == name


# ---------------------------------------------------------------- errors: each names the item and the problem


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: cannot be read \(.*No such file"):
        load_datalist(tmp_path / "nowhere.json")


def test_a_folder(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_datalist(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"datalist\.json: not valid JSON \(.*line 1"),
        ("", r"datalist\.json: not valid JSON"),
        ("[" * 100_000, r"datalist\.json: not valid JSON"),
        ('{"training": [' + "9" * 5000 + "]}", r"datalist\.json: not valid JSON .*digits"),
        (b"\xff\xfe{}", r"datalist\.json: cannot be read .*utf-8"),
        ([], r"expected an object with the lists training, .*; found list"),
        (3, r"found int"),
        (None, r"found NoneType"),
        ({}, r"found \[\]"),
        ({"images": ["a.png"]}, r"found \['images'\]"),
        (changed(training={"0": item("a")}), r"training must be a list, found dict"),
        (changed(validation=None), r"validation must be a list, found NoneType"),
        (changed(trainig=[item("a")]), r'unknown section "trainig"; did you mean "training"\?'),
        (changed(unlabeled=[item("a")]), r'unknown section "unlabeled"; did you mean "unlabelled"\?'),
        (changed(xyz=[item("a")]), r'unknown section "xyz"; the sections are training, validation, test, unlabelled'),
        (changed(test=["g.png"]), r"^test\[0\]: expected an object with an image, found str"),
        (changed(test=[{}]), r"^test\[0\]\.image: expected a file path, found None"),
        (with_training_item(2, severtiy=3), r'^training\[2\]: unknown field "severtiy"; did you mean "severity"\?'),
        (with_training_item(2, images="a"), r'^training\[2\]: unknown field "images"; did you mean "image"\?'),
        (with_training_item(1, image=7), r"^training\[1\]\.image: expected a file path, found 7"),
        (with_training_item(1, image=""), r"^training\[1\]\.image: expected a file path, found ''"),
        (with_training_item(1, image="a\0b"), r"^training\[1\]\.image: expected a file path, found 'a\\x00b'"),
        (with_training_item(1, image="\ud800"), r"^training\[1\]\.image: expected a file path, found '\\ud800'"),
        (with_training_item(1, image=["a.png"]), r"^training\[1\]\.image: expected a file path, found \['a\.png'\]"),
        (with_training_item(1, image="z.png"), r"^training\[1\]\.image: .*z\.png does not exist; correct the path"),
        (with_training_item(1, image="n" * 5000), r"^training\[1\]\.image: .* does not exist"),
        (with_training_item(1, mask="z.png"), r"^training\[1\]\.mask: .*z\.png does not exist"),
        (with_training_item(1, mask=1), r"^training\[1\]\.mask: expected a file path, found 1"),
        (with_training_item(1, mask=["a.png", "z.png"]), r"^training\[1\]\.mask\[1\]: .*z\.png does not exist"),
        (with_training_item(1, mask=[None, 3]), r"^training\[1\]\.mask\[1\]: expected a file path, found 3"),
        (with_training_item(1, mask=[["a.png"]]), r"^training\[1\]\.mask\[0\]: expected a file path, found \['a"),
        (with_training_item(1, mask={"disc": "a.png"}), r"^training\[1\]\.mask: expected a file path, found \{'disc"),
        (with_training_item(1, mask=[]), r"^training\[1\]\.mask: expected a list of one file .* found 0 .* names none"),
        (
            with_training_item(1, mask=["a.png"]) | {"structures": ["disc", "cup"]},
            r"^training\[1\]\.mask: expected a list of one file for each structure, null .*; found 1 where .* names 2",
        ),
        (with_training_item(3, severity=1.5), r"^training\[3\]\.severity: 1\.5 is not a whole number; use 0 \(healthy"),
        (with_training_item(3, severity="2"), r"^training\[3\]\.severity: '2' is not a whole number"),
        (with_training_item(3, severity=True), r"^training\[3\]\.severity: True is not a whole number"),
        (with_training_item(3, severity=[1]), r"^training\[3\]\.severity: \[1\] is not a whole number"),
        (with_training_item(3, severity=float("nan")), r"^training\[3\]\.severity: nan is not a whole number"),
        (with_training_item(3, severity=float("inf")), r"^training\[3\]\.severity: inf is not a whole number"),
        (with_training_item(3, severity=-float("inf")), r"^training\[3\]\.severity: -inf is not a whole number"),
        (with_training_item(3, severity=-1), r"^training\[3\]\.severity: -1 is negative; use 0 .* when ungraded"),
        (with_training_item(3, severity=-2.0), r"^training\[3\]\.severity: -2\.0 is negative"),
        (with_training_item(3, severity=1001), r"^training\[3\]\.severity: 1001 is above 1000"),
        (with_training_item(3, severity=10**30), r"^training\[3\]\.severity: 10+ is above 1000"),
        (with_training_item(3, severity=1e300), r"^training\[3\]\.severity: 1e\+300 is above 1000"),
        (with_training_item(3, group=["p"]), r"^training\[3\]\.group: expected a patient or study id .* found \['p'\]"),
        (with_training_item(3, group=True), r"^training\[3\]\.group: expected a patient or study id .* found True"),
        (changed(unlabelled=[item("h", severity=1)]), r"^unlabelled\[0\]\.severity: 1 in the unlabelled section; move"),
        (changed(training=[]), r"the training section is empty; give it graded images"),
        (changed(training=[item("a"), item("b")]), r"no training image has a severity; grade some of them"),
        (
            changed(training=[item("a", severity=1), item("b", severity=3)]),
            r"no healthy training image \(severity 0\) found, only severity \[1, 3\]; .*add healthy images",
        ),
        (
            changed(training=[item("a", severity=0), item("b", severity=0)]),
            r"all training images have severity 0; add images of at least one other",
        ),
        (changed(test=[item("b", severity=1)]), r"test\[0\]\.image: .*b\.png is also training\[1\]; list it once"),
        (with_training_item(3, image="a.png"), r"training\[3\]\.image: .*a\.png is also training\[0\]; list it once"),
        (changed(unlabelled=[item("e")]), r"unlabelled\[0\]\.image: .*e\.png is also validation\[0\]"),
    ],
)
def test_error(folder, content, message):
    with pytest.raises(InputError, match=message):
        load(folder, content)


def test_a_datalist_of_test_images_alone_is_fine_for_inference(folder):
    content = {"test": [item("a", severity=2), item("b")]}
    loaded = load(folder, content, required=(), graded=False)
    assert [entry["severity"] for entry in loaded["test"]] == [2, -1]
    with pytest.raises(InputError, match="the training section is empty"):
        load(folder, content)


def test_same_image_by_another_path(folder):
    (folder / "link.png").symlink_to(folder / "b.png")
    (folder / "sub").mkdir()
    for name in ("link", "sub/../b"):
        with pytest.raises(InputError, match=r"test\[0\]\.image: .* is also training\[1\]; list it once"):
            load(folder, changed(test=[item(name, severity=1)]))


@pytest.mark.parametrize("section", ["validation", "test"])
def test_required_section_is_empty(folder, section):
    with pytest.raises(InputError, match=rf"datalist\.json: the {section} section is empty; give it graded images"):
        load(folder, changed(**{section: []}), required=("training", section))


@pytest.mark.parametrize(
    ("section", "other"),
    [("test", "training"), ("validation", "training"), ("test", "validation"), ("unlabelled", "validation")],
)
def test_group_on_both_sides(folder, section, other):
    content = valid()
    content[section][0]["group"] = content[other][0]["group"] = "patient-7"
    with pytest.raises(InputError, match=r"group: 'patient-7' is also in .*; a patient must not be on both sides") as e:
        load(folder, content)
    assert f"{section}[0]" in str(e.value)
    assert f"{other}[0]" in str(e.value)


def test_group_as_number_and_as_text_is_one_patient(folder):
    content = valid()
    content["training"][0]["group"], content["test"][0]["group"] = 7, "7"
    with pytest.raises(InputError, match=r"test\[0\]\.group: '7' is also in training\[0\]"):
        load(folder, content)


def test_group_may_repeat_inside_training_and_unlabelled(folder):
    content = valid()
    for entry in (*content["training"], *content["unlabelled"]):
        entry["group"] = "patient-7"
    assert load(folder, content)["unlabelled"][0]["group"] == "patient-7"
    content = changed(test=[], unlabelled=[item("g", group="patient-8"), item("h", group="patient-8")])
    assert [entry["group"] for entry in load(folder, content)["unlabelled"]] == ["patient-8"] * 2


def test_check_datalist_uses_the_name_given():
    with pytest.raises(InputError, match=r"^mine: the training section is empty"):
        check_datalist({}, name="mine")


# ---------------------------------------------------------------- fuzz: a datalist or an InputError, nothing else

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 4),
    st.sampled_from([10**30, -(10**30), 1e300, -0.0, 1.5]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["a.png", "b.png", ".", "..", "/", "~", "a.png/b", "\ud800", "a\0", "n" * 300]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from([f"{name}.png" for name in FILES]) | SCALARS,
        "severity": st.integers(0, 3) | SCALARS,
        "mask": JSON,
        "group": st.integers(0, 2) | JSON,
        "index": JSON,
        "severtiy": SCALARS,
    },
)
SECTION = st.lists(ITEMS | JSON, max_size=4) | JSON
DATALISTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("training", "validation", "test", "unlabelled", "trianing", "grades"), SECTION)
)
PLAUSIBLE_ITEM = st.builds(
    lambda name, severity: {"image": f"{name}.png", "severity": severity},
    st.sampled_from(FILES),
    st.none() | st.integers(0, 2),
)
PLAUSIBLE = st.builds(
    lambda training, test: {"training": training, "test": test},
    st.lists(PLAUSIBLE_ITEM, max_size=5, unique_by=lambda entry: entry["image"]),
    st.lists(PLAUSIBLE_ITEM, max_size=1),
)


def assert_loads_or_explains(folder, content):
    try:
        datalist = load(folder, content)
    except InputError:
        return
    assert list(datalist) == ["training", "validation", "test", "unlabelled"]
    for items in datalist.values():
        for entry in items:
            assert isinstance(entry["severity"], int)
            assert -1 <= entry["severity"] <= 1000
            assert isinstance(entry["image"], str)
    indices = [entry["index"] for entry in datalist["training"] + datalist["unlabelled"]]
    assert indices == list(range(len(indices)))


@given(content=JSON | DATALISTS | PLAUSIBLE)
def test_fuzz_json(folder, content):
    assert_loads_or_explains(folder, json.dumps(content))


@given(content=st.text() | st.binary())
def test_fuzz_text_and_bytes(folder, content):
    assert_loads_or_explains(folder, content.encode("utf-8") if isinstance(content, str) else content)
