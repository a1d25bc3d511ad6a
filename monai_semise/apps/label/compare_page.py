# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai.utils import optional_import

from monai_semise.apps.label.display_image import DisplayImage, load_display_image
from monai_semise.comparison import ComparisonSession, StorageError, pairs_text
from monai_semise.utils import InputError

if TYPE_CHECKING:
    from fastapi import APIRouter, Response

__all__ = ["comparison_router"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PARTS = {
    "": ("compare.html", "text/html"),
    "compare.js": ("compare.js", "text/javascript"),
    "compare.css": ("compare.css", "text/css"),
}
IMAGES_KEPT = 4
"""Decoded images in memory: the pair, and the one before."""


def comparison_router(
    session: ComparisonSession | Callable[[], ComparisonSession],
    dependencies: Sequence[Any] = (),
    prefix: str = "/compare",
    fetch: Callable[[str], str] | None = None,
) -> APIRouter:
    """The page on which raters compare images, and what it asks of the server, for a FastAPI application.

    The page and its script hold no image and no name, so they need no sign-in; all else is guarded by
    ``dependencies``. On a 401 the page asks for user and password, fetches a token from ``../auth/token``, as MONAI
    Label offers it, and goes on. Images are looked up in the session's list; no part of a request becomes a path.

    Args:
        session: what to compare; or a function that gives it, asked at every request.
        dependencies: FastAPI's, such as the check of a user.
        prefix: path of the page, without the slash at its end.
        fetch: brings an image to its file before it is shown, and gives the file; by default it is there.

    Raises:
        OptionalImportError: without FastAPI, which MONAI Label brings.
    """
    fastapi, _ = optional_import("fastapi")
    router = fastapi.APIRouter(prefix=prefix, tags=["Comparison"])
    api = fastapi.APIRouter(dependencies=list(dependencies))
    body = fastapi.Body

    def current() -> ComparisonSession:
        return session if isinstance(session, ComparisonSession) else session()

    def turn(compared: ComparisonSession, rater: str) -> dict[str, Any]:
        pair = compared.next_pair(rater)
        return {"pair": None if pair is None else pair._asdict(), "progress": compared.progress(rater)}

    def refused(status: int, error: Exception) -> Exception:
        return fastapi.HTTPException(status, str(error))

    def answered(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except InputError as error:
            raise refused(400, error) from error
        except StorageError as error:
            raise refused(507, error) from error

    def display(id: str) -> DisplayImage:
        file = current().images.get(id)
        if file is None:
            raise fastapi.HTTPException(404, "none of the images that are compared has this id")
        try:
            file = file if fetch is None else fetch(id)
            return _load(file, Path(file).stat().st_mtime_ns)
        except (InputError, OSError) as error:
            raise refused(422, error) from error

    def part(name: str) -> Response:
        template, kind = PARTS[name]
        content = files("monai_semise.apps.label").joinpath("templates", template).read_bytes()
        return fastapi.Response(content, media_type=f"{kind}; charset=utf-8", headers=HEADERS)

    for name in PARTS:
        router.add_api_route(f"/{name}", lambda name=name: part(name), include_in_schema=False)

    @api.get("/api/next")
    def next_pair(rater: str) -> dict[str, Any]:
        return answered(lambda: turn(current(), rater))

    @api.post("/api/answers")
    def answer(
        id: str = body(),
        image_a: str = body(),
        image_b: str = body(),
        outcome: str = body(),
        rater: str = body(),
        seconds: float = body(),
    ) -> dict[str, Any]:
        def store() -> dict[str, Any]:
            compared = current()
            compared.answer(id, image_a, image_b, outcome, rater, seconds)
            return turn(compared, rater)

        return answered(store)

    @api.post("/api/undo")
    def undo(id: str = body(), rater: str = body()) -> dict[str, Any]:
        def take_back() -> dict[str, Any]:
            compared = current()
            undone = compared.undo(id, rater)
            return {"undone": None if undone is None else undone.id, **turn(compared, rater)}

        return answered(take_back)

    @api.get("/api/image")
    def image(id: str) -> dict[str, Any]:
        return display(id).description()

    @api.get("/api/pixels")
    def pixels(id: str, slice: int = 0) -> Any:
        content = answered(lambda: display(id).slice_bytes(slice))
        return fastapi.Response(content, media_type="application/octet-stream", headers=HEADERS)

    @api.get("/api/ranking")
    def ranking() -> list[dict[str, Any]]:
        return current().ranking()

    @api.get("/api/agreement")
    def agreement() -> dict[str, Any]:
        return current().agreement()

    @api.get("/pairs.csv")
    def export() -> Any:
        compared = current()
        content = pairs_text(compared.answers, compared.images)
        return fastapi.Response(content, media_type="text/csv; charset=utf-8", headers=HEADERS)

    router.include_router(api)
    return router


@lru_cache(maxsize=IMAGES_KEPT)
def _load(file: str, changed: int) -> DisplayImage:
    return load_display_image(file)
