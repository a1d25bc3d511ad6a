# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""MONAI Label's web application with the comparison page, and without what hostile requests could do to it.

``monailabel start_server --uvicorn_app monai_semise.apps.label.server:app`` serves it too.
"""

from __future__ import annotations

import os
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import jwt
from fastapi import Depends, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from monailabel.app import app as monailabel_app
from monailabel.config import settings
from monailabel.endpoints.user import auth
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from requests import RequestException

from monai_semise.apps.label.compare_page import comparison_router
from monai_semise.apps.label.datastore import check_name
from monai_semise.utils import InputError, SemiseError, printable

__all__ = ["app"]

NAMES = ("id", "image", "label", "tag")
"""Query parameters that become parts of file names."""
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""That a realm may sign with; none that its public key could be a password of."""
MOST_BYTES = int(os.environ.get("MONAI_SEMISE_MOST_UPLOAD_MB", "4096")) * 2**20
"""Of a request."""


class GuardedRequests:
    """Refuse requests that name files elsewhere, and those that are too large, whether they say so or not.

    Args:
        app: what serves the others.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            if not scope["path"].startswith(("/proxy", "/compare")):
                for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
                    if name in NAMES:
                        check_name(name, value)
        except InputError as error:
            return await JSONResponse({"detail": printable(error)}, 400)(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return await JSONResponse({"detail": _too_large()}, 413)(scope, receive, send)
        received = 0
        refused = False

        async def counted() -> Any:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received <= MOST_BYTES:
                return message
            if not refused:
                refused = True
                await JSONResponse({"detail": _too_large()}, 413)(scope, receive, send)
            return {"type": "http.disconnect"}

        async def answered(message: Any) -> None:
            if not refused:
                await send(message)

        await self.app(scope, counted, answered)


def _too_large() -> str:
    return f"the request has more than {MOST_BYTES / 2**20:.0f} MB; set MONAI_SEMISE_MOST_UPLOAD_MB for larger images"


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    detail = printable(error.msg if isinstance(error, MONAILabelException) else error)
    return JSONResponse({"detail": detail}, 502 if isinstance(error, RequestException) else 400)


def _guarded(application: FastAPI) -> FastAPI:
    for kind in (SemiseError, MONAILabelException, RequestException):
        application.add_exception_handler(kind, _refuse)
    # MONAI Label lets any page that the rater's browser shows read images; its setting of origins breaks its start
    application.user_middleware = [one for one in application.user_middleware if one.cls is not CORSMiddleware]
    application.add_middleware(GuardedRequests)
    # MONAI Label's own call names no algorithm, and PyJWT 2 then refuses every token
    auth.jwt = SimpleNamespace(decode=partial(jwt.decode, algorithms=ALGORITHMS))
    user = Depends(auth.RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
    application.include_router(
        comparison_router(
            lambda: app_instance().comparisons(),
            dependencies=[user],
            fetch=lambda image: app_instance().datastore().source(image),
        )
    )
    return application


app = _guarded(monailabel_app)
