# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The page on a real server, its REST by HTTP, and what a rater sees by headless Chromium."""

from __future__ import annotations

import csv
import io
import json
import socket
import threading
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from monai_semise.apps.label.compare_page import comparison_router
from monai_semise.comparison import AnswerStore, ComparisonSession, read_answers
from tests.data.dicom_files import write_dicom
from tests.utils.limits import disk_of

fastapi = pytest.importorskip("fastapi", reason="comes with MONAI Label")
uvicorn = pytest.importorskip("uvicorn", reason="comes with MONAI Label")
SCRIPT = "<img src=x onerror=\"document.title='hacked'\">"
NAMES = ["plain", "Ünï cödé 影.png", "a/../b", "100%41", SCRIPT, "../../etc/passwd", "?id=plain&x", "x.dcm"]


@pytest.fixture
def server(tmp_path):
    """Address of a server that compares eight images, and its session."""
    random = np.random.default_rng(0)
    files = {}
    for n, name in enumerate(NAMES):
        files[name] = str(tmp_path / f"{n}.png")
        Image.fromarray(random.integers(256, size=(40, 60, 3), dtype=np.uint8)).save(files[name])
    write_dicom(
        tmp_path / "7.png", random.integers(4096, size=(50, 40), dtype=np.uint16), WindowCenter=2000, WindowWidth=900
    )
    store = AnswerStore(tmp_path / "answers.jsonl")
    session = ComparisonSession(store, files, repeat_rate=0, overlap_rate=0)
    app = fastapi.FastAPI()
    app.include_router(comparison_router(lambda: session))
    guarded = fastapi.HTTPException(401)

    def guard():
        raise guarded

    app.include_router(comparison_router(session, [fastapi.Depends(guard)], prefix="/guarded"))
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", session
    running.should_exit = True
    thread.join()
    session.close()


def ask(address, body=None):
    """Status, content and headers of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(address, data, {"Content-Type": "application/json"}), timeout=30) as response:
            return response.status, response.read(), response.headers
    except HTTPError as error:
        return error.code, error.read(), error.headers


def answer(n, **change):
    given = {"id": f"id-{n}", "image_a": NAMES[0], "image_b": NAMES[1], "outcome": "left", "rater": "x", "seconds": 1.5}
    return {**given, **change}


# ---------------------------------------------------------------- by HTTP


def test_an_answer_is_on_the_disk_when_it_is_acknowledged_and_stored_once(server):
    url, session = server
    for _ in range(2):
        status, content, _ = ask(f"{url}/compare/api/answers", answer(1))
        assert status == 200
    assert json.loads(content)["progress"]["answered"] == 1
    assert [one.id for one in read_answers(session.store.path)] == ["id-1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_b": "../plain"}, "is none of the images"),
        ({"image_b": NAMES[0]}, "compared with itself"),
        ({"outcome": "<b>"}, "outcome: '<b>' is none of"),
        ({"rater": "a\nb"}, "rater: "),
        ({"id": "x" * 101}, "id: "),
        ({"seconds": -1}, "seconds: "),
    ],
)
def test_what_cannot_be_stored_is_refused_with_a_reason(server, change, message):
    url, session = server
    status, content, _ = ask(f"{url}/compare/api/answers", answer(1, **change))
    assert (status, message in json.loads(content)["detail"]) == (400, True)
    assert session.answers == []


@pytest.mark.parametrize("body", [{}, {"id": 1}, [], "x", answer(1, seconds="soon"), answer(1, rater=None)])
def test_another_body_is_refused(server, body):
    assert ask(f"{server[0]}/compare/api/answers", body)[0] == 422


def test_full_disk_is_said_and_the_answer_can_be_sent_again(server):
    url, session = server
    with disk_of(10):
        status, content, _ = ask(f"{url}/compare/api/answers", answer(1))
    assert (status, "not stored" in json.loads(content)["detail"]) == (507, True)
    assert ask(f"{url}/compare/api/answers", answer(1))[0] == 200
    assert len(read_answers(session.store.path)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_name_is_an_image(server, name):
    url, _ = server
    status, content, _ = ask(f"{url}/compare/api/image?id={quote(name, safe='')}")
    image = json.loads(content)
    assert (status, image["width"], image["height"]) == (
        200,
        40 if name == "x.dcm" else 60,
        50 if name == "x.dcm" else 40,
    )
    status, content, headers = ask(f"{url}/compare/api/pixels?id={quote(name, safe='')}&slice=0")
    assert len(content) == (2 * 40 * 50 if name == "x.dcm" else 3 * 60 * 40)
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e%2fetc%2fpasswd", "/etc/passwd", "0.png", "b", "%2500", "100A", "plain%00", "%ff", ""],
)
def test_a_name_that_is_not_listed_is_no_path(server, name):
    url, _ = server
    for part in ("image", "pixels"):
        assert ask(f"{url}/compare/api/{part}?id={name}")[0] == 404
    assert ask(f"{url}/compare/api/{name}")[0] in (404, 405)
    assert ask(f"{url}/compare/..%2f..%2fsetup.py")[0] == 404


def test_no_such_slice_and_an_image_that_is_gone(server, tmp_path):
    url, _ = server
    assert ask(f"{url}/compare/api/pixels?id=plain&slice=1")[0] == 400
    (tmp_path / "0.png").unlink()
    status, content, _ = ask(f"{url}/compare/api/image?id=plain")
    assert (status, "No such file" in json.loads(content)["detail"]) == (422, True)


def test_the_page_is_open_and_all_else_guarded(server):
    url, _ = server
    for part in ("", "compare.js", "compare.css"):
        status, _, headers = ask(f"{url}/guarded/{part}")
        assert status == 200
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    for part in ("api/next?rater=x", "api/image?id=plain", "api/ranking", "api/agreement", "pairs.csv"):
        assert ask(f"{url}/guarded/{part}")[0] == 401
    assert ask(f"{url}/guarded/api/answers", answer(1))[0] == 401
    assert ask(f"{url}/guarded/api/undo", {"id": "1", "rater": "x"})[0] == 401


def test_export_ranking_and_agreement(server):
    url, _ = server
    ask(f"{url}/compare/api/answers", answer(1))
    ask(f"{url}/compare/api/answers", answer(2, rater="y"))
    rows = list(csv.DictReader(io.StringIO(ask(f"{url}/compare/pairs.csv")[1].decode())))
    assert [(row["winner"], row["rater"]) for row in rows] == [("a", "x"), ("a", "y")]
    assert json.loads(ask(f"{url}/compare/api/ranking")[1])[0]["image"] == "plain"
    assert json.loads(ask(f"{url}/compare/api/agreement")[1])["between"][0]["same"][0] == 1.0


# ---------------------------------------------------------------- by Chromium


@pytest.fixture
def page(server, browser):
    """The page of a rater whose name is a script; nothing may be loaded from elsewhere or go wrong."""
    url, _ = server
    context = browser.new_context(viewport={"width": 1180, "height": 820}, accept_downloads=True)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on(
        "request", lambda request: problems.append(request.url) if not request.url.startswith((url, "blob:")) else None
    )
    page.goto(f"{url}/compare/")
    page.fill("#rater", SCRIPT)
    page.keyboard.press("Enter")
    wait_for_pair(page)
    yield page
    # Chromium says so of each answer that a test keeps from the server
    assert [problem for problem in problems if not problem.startswith("Failed to load resource")] == []
    assert page.title() == "Which image is worse?"
    context.close()


def wait_for_pair(page):
    page.wait_for_selector("#work[data-ready=yes]")


def brightness(page, side):
    """Mean brightness of what is drawn."""
    return page.evaluate(
        "(side) => { const c = document.getElementById(side);"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let sum = 0; for (let n = 0; n < d.length; n += 4) sum += d[n]; return sum / (d.length / 4); }",
        side,
    )


def test_ten_pairs_by_key_and_click_then_undo_reload_export(server, page):
    _, session = server
    keys = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "equal", "ArrowUp": "cannot_tell"}
    expected = []
    for n, (key, outcome) in enumerate([*keys.items()] * 3):
        if n == 10:
            break
        pair = session.next_pair(SCRIPT)
        if n % 2:
            page.keyboard.press(key)
        else:
            page.dblclick(f"[data-outcome={outcome}]")  # a double click is one answer
        expected.append((*pair, outcome, SCRIPT))
        page.wait_for_function(
            "(n) => document.getElementById('count').textContent.startsWith(n + ' by')", arg=str(n + 1)
        )
        wait_for_pair(page)
    assert [one[1:5] for one in session.answers] == expected
    assert all(0.2 < one.seconds < 60 for one in session.answers)
    assert page.inner_text("#who") == f"Rater: {SCRIPT}"

    page.keyboard.press("u")
    page.wait_for_selector("#status:has-text('taken back')")
    wait_for_pair(page)
    assert [one[1:5] for one in session.answers] == expected[:9]
    assert session.next_pair(SCRIPT) == expected[9][:2]

    before = session.next_pair(SCRIPT)
    page.reload()
    wait_for_pair(page)
    assert page.inner_text("#count").startswith("9 by you")
    page.keyboard.press("n")
    assert (page.inner_text("#left-name"), page.inner_text("#right-name")) == tuple(before)

    with page.expect_download() as download:
        page.click("#export")
    with open(download.value.path(), encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rater"] for row in rows] == [SCRIPT] * 9
    page.click("#agreement-open")
    page.wait_for_selector("#agreement[open]")
    assert "no pair was judged twice yet" in page.inner_text("#agreement-rows")


def test_zoom_and_window_change_both_pictures(page):
    before = [brightness(page, side) for side in ("left", "right")]
    for _ in range(4):
        page.keyboard.press("w")
    brighter = [brightness(page, side) for side in ("left", "right")]
    assert all(after > first + 2 for first, after in zip(before, brighter))
    page.keyboard.press("r")
    assert [brightness(page, side) for side in ("left", "right")] == before
    for _ in range(4):
        page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    view = page.evaluate("view")
    assert (view["zoom"], round(view["x"], 3)) == (1.0, 0.05)
    box = page.locator("#right").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 100)
    page.mouse.up()
    assert page.evaluate("view")["x"] > 0.06  # dragged to the left: what lies to the right comes in sight


def test_keyboard_alone_and_names_for_a_screen_reader(page):
    named = page.evaluate(
        "Array.from(document.querySelectorAll('#work button, #work input, canvas, progress'))"
        ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length"
    )
    assert named == 0
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.outcome"))
    assert {"left", "right", "equal", "cannot_tell", "undo", "zoom", "level", "contrast", "reset", "export"} <= reached
    assert page.get_attribute("#status", "aria-live") == "polite"


@pytest.mark.parametrize("size", [(1366, 768), (820, 1180), (1180, 820)])
def test_fits_laptop_and_tablet(page, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert (width, height) <= size
    for side in ("left", "right"):
        assert page.locator(f"#{side}").bounding_box()["height"] > 0.5 * size[1]


def test_a_server_that_is_down_loses_no_answer(server, page):
    _, session = server
    page.route("**/api/answers", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#again:visible")
    assert "Not stored" in page.inner_text("#trouble")
    page.unroute("**/api/answers")
    page.click("#again")
    page.wait_for_selector("#status:has-text('Stored')")
    assert len(session.answers) == 1
