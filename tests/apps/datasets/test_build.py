# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_semise.apps.datasets.build import DatalistOptions, build_datalist
from monai_semise.data import check_datalist
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.utils import InputError
from tests.apps.datasets.files import pixels, write_image, write_mask

SECTIONS = ("training", "validation", "test", "unlabelled")
N_IMAGES = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """a00.png to a23.png; copies of the first eight, b00.png to b07.png; others of the same names in capital letters,
    A00.png to A03.png; a black image, a broken one, and a mask that fits all."""
    folder = tmp_path_factory.mktemp("images")
    for n in range(N_IMAGES):
        # the digest must be that of the pixels, whatever the folder is called
        Image.fromarray(pixels(f"a{n}")).save(folder / f"a{n:02}.png")
    for n in range(8):
        shutil.copy(folder / f"a{n:02}.png", folder / f"b{n:02}.png")
    for n in range(4):
        Image.fromarray(pixels(f"A{n}")).save(folder / f"A{n:02}.png")
    Image.fromarray(np.zeros_like(pixels("black"))).save(folder / "black.png")
    (folder / "broken.png").write_bytes((folder / "a00.png").read_bytes()[:80])
    write_mask(folder / "mask.png")
    return folder


def images(folder, count=N_IMAGES):
    return [folder / f"a{n:02}.png" for n in range(count)]


def collection(records, **fields):
    return Collection("phantom", ["none", "mild", "severe"], list(records), structures=("lesion",), **fields)


def build(records, options=None, earlier=None, **kwargs):
    return build_datalist(collection(records), options or DatalistOptions(), earlier, progress=False, **kwargs)


def section_of(datalist):
    """Section of each image; unlabelled ones belong to training."""
    return {
        Path(item["image"]): "training" if section == "unlabelled" else section
        for section in SECTIONS
        for item in datalist[section]
    }


# ---------------------------------------------------------------- what a datalist holds


def test_items_hold_what_is_known(folder):
    a, b, c, d, e, f = images(folder, 6)
    mask = folder / "mask.png"
    datalist = build(
        [
            Record(a, 0, "p", "training"),
            Record(b, 2, None, "training", {"lesion": mask}),
            Record(c, None, "q", "training", {"lesion": None}),
            Record(d, None, "q", "training"),
            Record(e, 1, "r", "validation"),
            Record(f, 1, None, "test"),
        ]
    )
    assert datalist == {
        "name": "phantom",
        "grades": ["none", "mild", "severe"],
        "structures": ["lesion"],
        "training": [
            {"image": str(a), "severity": 0, "group": "p"},
            {"image": str(b), "severity": 2, "mask": str(mask)},
            {"image": str(c), "mask": [None], "group": "q"},
        ],
        "validation": [{"image": str(e), "severity": 1, "group": "r"}],
        "test": [{"image": str(f), "severity": 1}],
        "unlabelled": [{"image": str(d), "group": "q"}],
    }


def test_masks_of_several_structures_are_in_their_order(folder):
    a, b, c = images(folder, 3)
    mask = folder / "mask.png"
    records = [
        Record(a, 0, masks={"cup": mask, "disc": None}),
        Record(b, 0, masks={"cup": mask}),
        Record(c, 0, masks={"disc": mask, "rim": mask, "cup": None}),
    ]
    source = Collection("x", ["none"], records, structures=("disc", "cup", "rim"))
    datalist = build_datalist(source, DatalistOptions(validation=0, test=0), progress=False)
    assert [item["mask"] for item in datalist["training"]] == [
        [None, str(mask), None],
        [None, str(mask), None],
        [str(mask), None, str(mask)],
    ]
    assert "structures" not in build_datalist(Collection("x", [], []), DatalistOptions(), progress=False)


def test_images_for_segmentation_alone(folder):
    mask = folder / "mask.png"
    source = Collection(
        "x", (), [Record(a, masks={"lesion": mask}) for a in images(folder, 20)], structures=("lesion",)
    )
    datalist = build_datalist(source, DatalistOptions(), progress=False)
    assert {section: len(datalist[section]) for section in SECTIONS} == {
        "training": 14,
        "validation": 3,
        "test": 3,
        "unlabelled": 0,
    }
    assert datalist["grades"] == []
    assert all(item.keys() == {"image", "mask"} for item in datalist["test"])


def test_problems_are_added_to_those_of_the_source(folder):
    source = collection([Record(name, 0) for name in [*images(folder, 2), folder / "black.png", folder / "broken.png"]])
    source.skip(ProblemKind.GRADE, folder / "x.png", "grade 9")
    datalist = build_datalist(source, DatalistOptions(), progress=False)
    kinds = {problem.image.name: problem.kind for problem in source.problems}
    assert kinds == {"x.png": ProblemKind.GRADE, "black.png": ProblemKind.BLACK, "broken.png": ProblemKind.UNREADABLE}
    assert len(section_of(datalist)) == 2


def test_ungraded_images_of_tested_patients_are_left_out_with_a_note(folder):
    a, b, c, d, e = images(folder, 5)
    source = collection(
        [
            Record(a, 0, "p", "test"),
            Record(b, None, "p"),
            Record(c, None, "q", "validation"),
            Record(d, 0),
            Record(e, None),
        ]
    )
    datalist = build_datalist(source, DatalistOptions(), progress=False)
    assert section_of(datalist) == {a: "test", d: "training", e: "training"}
    assert [item["image"] for item in datalist["unlabelled"]] == [str(e)]
    assert source.notes == ["2 ungraded image(s) of validation and test patients are left out"]
    assert not source.problems


# ---------------------------------------------------------------- splits


def test_only_what_is_not_published_is_drawn(folder):
    records = [Record(a, n % 2, split="test" if n < 6 else "training") for n, a in enumerate(images(folder))]
    sections = section_of(build(records, DatalistOptions(validation=0.25, test=0.5)))
    assert [name for name, section in sections.items() if section == "test"] == images(folder, 6)
    assert Counter(sections.values()) == {"test": 6, "validation": 6, "training": 12}


def test_all_published(folder):
    splits = ["training", "validation", "test", None]
    records = [Record(a, n % 2, split=splits[n % 4]) for n, a in enumerate(images(folder))]
    sections = section_of(build(records))
    assert [sections[record.image] for record in records] == [record.split or "training" for record in records]


def test_drawn_instead_of_published(folder):
    records = [Record(a, n % 2, split="test") for n, a in enumerate(images(folder))]
    drawn = build(records, DatalistOptions(split="drawn"))
    assert drawn == build([dataclasses.replace(record, split=None) for record in records])
    assert Counter(section_of(drawn).values()) == {"training": 16, "validation": 4, "test": 4}


def test_shares_are_of_labelled_images(folder):
    """Fourteen ungraded images among 24 must not draw a test set as large as the rest."""
    records = [Record(a, n % 2 if n < 10 else None) for n, a in enumerate(images(folder))]
    datalist = build(records, DatalistOptions(validation=0.2, test=0.3))
    assert {section: len(datalist[section]) for section in SECTIONS} == {
        "training": 5,
        "validation": 2,
        "test": 3,
        "unlabelled": 14,
    }


def test_the_draw_is_the_same_wherever_the_data_set_lies(tmp_path):
    sections = []
    for place in ("a", "b/c"):
        root, work = tmp_path / place / "root", tmp_path / place / f"work {len(sections)}"
        files = [write_image(root / "sub" / f"{n}.png") for n in range(12)]
        files += [write_image(work / f"made {n}.png") for n in range(12)]
        options = DatalistOptions(labelled=0.5)
        datalist = build([Record(file, n % 3) for n, file in enumerate(files)], options, folders=(work, root))
        names = {name: [Path(item["image"]).name for item in datalist[name]] for name in SECTIONS}
        sections.append(names)
    assert sections[0] == sections[1]
    assert all(sections[0].values())


def test_workers_make_no_difference(folder):
    names = [*images(folder), *(folder / f"b{n:02}.png" for n in range(8)), folder / "broken.png", folder / "black.png"]
    sources = [collection([Record(name, 0) for name in names]) for _ in range(2)]
    datalists = [build_datalist(source, DatalistOptions(), None, (), n, False) for n, source in zip((0, 2), sources)]
    assert datalists[0] == datalists[1]
    assert sources[0].problems == sources[1].problems
    assert len(sources[0].problems) == 10


def test_the_seed_is_that_of_both_draws(folder):
    records = [Record(a, n % 2) for n, a in enumerate(images(folder))]
    drawn = [section_of(build(records, DatalistOptions(seed=seed))) for seed in range(3)]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]
    records = [dataclasses.replace(record, split="training") for record in records]
    shares = {"validation": 0, "test": 0, "labelled": 0.3}
    labelled = [build(records, DatalistOptions(seed=seed, **shares))["training"] for seed in range(3)]
    assert labelled[0] != labelled[1] != labelled[2] != labelled[0]


# ---------------------------------------------------------------- label budgets


def test_label_budgets_are_nested_and_take_grades_and_masks(folder):
    mask = folder / "mask.png"
    records = [Record(a, n % 3, f"p{n // 2}", masks={"lesion": mask}) for n, a in enumerate(images(folder))]
    records[-1] = dataclasses.replace(records[-1], severity=None, masks=None)
    whole = build(records)
    labelled = [
        {item["image"] for item in build(records, DatalistOptions(labelled=share))["training"]}
        for share in (0.2, 0.4, 0.7, 1.0)
    ]
    assert labelled[0] < labelled[1] < labelled[2] < labelled[3] == {item["image"] for item in whole["training"]}

    part = build(records, DatalistOptions(labelled=0.4))
    assert section_of(part) == section_of(whole)
    assert part["test"] == whole["test"]
    assert part["validation"] == whole["validation"]
    assert all(item.keys() == {"image", "group"} for item in part["unlabelled"])
    assert all(item.keys() == {"image", "severity", "mask", "group"} for item in part["training"])
    patients = {item["group"] for item in whole["training"]}
    assert len({item["group"] for item in part["training"]}) == round(0.4 * len(patients))


# ---------------------------------------------------------------- patients whose names are private


def test_private_groups_are_numbered(folder):
    secret = ["Doe^Jane", "P-4711", "Doe^Jane", "19510203", "P-4711", None]
    records = [Record(a, n % 2, group, "training") for n, (a, group) in enumerate(zip(images(folder), secret))]
    source = collection(records, private_groups=True)
    datalist = build_datalist(source, DatalistOptions(labelled=0.7), progress=False)
    by_image = {item["image"]: item.get("group") for section in SECTIONS for item in datalist[section]}
    assert [by_image[str(record.image)] for record in records] == [
        "patient-00001",
        "patient-00002",
        "patient-00001",
        "patient-00003",
        "patient-00002",
        None,
    ]
    assert not any(group in json.dumps(datalist) for group in secret if group)


def test_private_groups_are_in_no_problem_and_no_note(folder):
    a, b, c, d, e = images(folder, 5)
    source = collection(
        [
            Record(a, 0, "Doe^Jane", "test"),
            Record(b, 0, "Doe^Jane", "training"),  # in two splits
            Record(folder / "b00.png", 0, "P-4711", "training"),  # a copy of a, so the patients are one
            Record(c, None, "P-4711", "test"),
            Record(folder / "b03.png", 1, "19510203"),
            Record(d, 0, "Smith"),  # copies in conflict
            Record(folder / "broken.png", 0, "Doe^John"),
            Record(e, 0, "Doe^John"),
        ],
        private_groups=True,
    )
    datalist = build_datalist(source, DatalistOptions(), progress=False)
    kinds = Counter(problem.kind for problem in source.problems)
    assert kinds == {
        ProblemKind.SPLIT: 1,
        ProblemKind.DUPLICATE: 1,
        ProblemKind.CONFLICT: 2,
        ProblemKind.UNREADABLE: 1,
    }
    told = repr((datalist, source.problems, source.notes))
    assert not any(name in told for name in ("Doe", "Jane", "John", "4711", "1951", "Smith"))


# ---------------------------------------------------------------- an earlier datalist


@st.composite
def some_records(draw, folder, names):
    """Records of some of the files, with patients, grades, masks and, in some sets, published splits."""
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=10))
    published = draw(st.sampled_from([(None,), (None, "training", "test"), ("training", "validation", "test")]))
    return [
        Record(
            folder / name,
            draw(st.sampled_from([0, 1, 2, None])),
            draw(st.sampled_from([None, *"pqrstuvw"])),
            draw(st.sampled_from(published)),
            draw(st.sampled_from([None, {"lesion": folder / "mask.png"}])),
        )
        for name in chosen
    ]


OLD = [f"a{n:02}.png" for n in range(0, N_IMAGES, 2)] + ["b00.png", "b02.png"]
NEW = [f"a{n:02}.png" for n in range(1, N_IMAGES, 2)] + [f"b{n:02}.png" for n in range(1, 8)]
NEW += [f"A{n:02}.png" for n in range(4)] + ["black.png", "broken.png"]
OPTIONS = st.builds(
    DatalistOptions,
    validation=st.sampled_from([0, 0.15, 0.4]),
    test=st.sampled_from([0, 0.15, 0.4]),
    split=st.sampled_from(["official", "drawn"]),
    labelled=st.sampled_from([0.3, 1.0]),
    seed=st.integers(0, 3),
)


@settings(max_examples=60)
@given(data=st.data(), options=OPTIONS)
def test_what_is_added_never_moves_what_was_there(folder, data, options):
    old = data.draw(some_records(folder, OLD))
    new = data.draw(some_records(folder, NEW))
    before = build(old, options)
    sections = section_of(before)
    check(before)
    if not sections:
        return
    assert build(old, options, sections) == before  # the same once more: nothing changes

    source = collection(sorted([*old, *new], key=lambda record: record.image))
    after = build_datalist(source, options, sections, progress=False)
    check(after)
    found, listed = section_of(after), {problem.image: problem.kind for problem in source.problems}
    for image, section in sections.items():
        if image in found:
            assert found[image] == section
        else:
            # a new copy has another grade, or shows that two patients in two sections are one
            assert listed[image] in (ProblemKind.CONFLICT, ProblemKind.SPLIT)
    assert sum(image in found for image in sections) == int(source.notes[-1].split()[0])


def check(datalist):
    if datalist["training"]:
        check_datalist(
            {
                section: [{"severity": -1, **item} for item in datalist[section]]
                for section in ("training", "validation", "test", "unlabelled")
            },
            graded=False,
        )
    assert not any("severity" in item or "mask" in item for item in datalist["unlabelled"])


def test_a_patient_who_joins_again_and_again_stays(folder):
    sections = {}
    for count in range(4, N_IMAGES + 1, 2):
        records = [Record(a, n % 2, f"p{n % 5}") for n, a in enumerate(images(folder, count))]
        after = section_of(build(records, earlier=sections))
        assert {image: after[image] for image in sections} == sections
        sections = after
    assert set(sections.values()) == {"training", "validation", "test"}


def test_earlier_images_are_known_by_any_path(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    records = [Record(a, n % 2) for n, a in enumerate(images(folder))]
    through_link = {tmp_path / "link" / ".." / folder.name / a.name: "test" for a in images(folder, 20)}
    sections = section_of(build(records, earlier=through_link))
    assert all(sections[a] == "test" for a in images(folder, 20))


def test_images_that_are_gone_are_counted(folder):
    source = collection([Record(a, n % 2) for n, a in enumerate(images(folder, 8))])
    source.records.append(Record(folder / "broken.png", 0))
    earlier = dict.fromkeys([*images(folder, 11)[4:], folder / "broken.png"], "validation")
    sections = section_of(build_datalist(source, DatalistOptions(), earlier, progress=False))
    assert all(sections[a] == "validation" for a in images(folder, 8)[4:])
    assert source.notes == ["4 of the 8 images of the earlier datalist and their patients stay in their sections"]


def test_no_image_of_the_earlier_datalist_is_there(folder):
    with pytest.raises(
        InputError, match=r"^none of the 2 images of the earlier datalist is in the data set.*--resplit"
    ):
        build([Record(a, 0) for a in images(folder, 3)], earlier={Path("/x"): "test", Path("/y"): "test"})


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": -0.1}, r"^test: -0\.1 is not a share in \[0, 1\)"),
        ({"validation": 15}, r"^validation: 15 is not a share"),
        ({"validation": float("nan")}, r"^validation: nan is not a share"),
        ({"validation": 0.6, "test": 0.4}, r"leave nothing for training"),
        ({"labelled": 0}, r"^labelled: 0 is not a share in \(0, 1\]"),
        ({"labelled": 1.5}, r"^labelled: 1\.5 is not a share"),
        ({"split": "offical"}, r"^split: 'offical' is not official or drawn"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        DatalistOptions(**options)
