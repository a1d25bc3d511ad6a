# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

pytest.importorskip("monailabel")

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.apps.label.served import server, studies

KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def token(*roles, ends_in=600, key=KEY, algorithm="RS256"):
    claims = {"preferred_username": "x", "realm_access": {"roles": roles}, "exp": int(time.time()) + ends_in}
    return jwt.encode(claims, key, algorithm=algorithm)


class Realm(BaseHTTPRequestHandler):
    """What MONAI Label asks of Keycloak: its public key, where tokens are, and tokens."""

    def do_GET(self):
        address = f"http://127.0.0.1:{self.server.server_port}/realm/token"
        openid = self.path.endswith("/.well-known/openid-configuration")
        self.reply({"token_endpoint": address} if openid else {"public_key": base64.b64encode(PUBLIC).decode()})

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("password") == ["right"]:
            self.reply({"access_token": token("monailabel-user"), "token_type": "bearer"})
        else:
            self.send_error(401)

    def reply(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Tests say what they need themselves."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Address of a server with accounts."""
    folder = tmp_path_factory.mktemp("accounts")
    realm = ThreadingHTTPServer(("127.0.0.1", 0), Realm)
    threading.Thread(target=realm.serve_forever, daemon=True).start()
    env = {
        "MONAI_LABEL_AUTH_ENABLE": "true",
        "MONAI_LABEL_AUTH_REALM_URI": f"http://127.0.0.1:{realm.server_port}/realm",
    }
    with server(folder, str(studies(folder / "studies")), env) as address:
        yield address
    realm.shutdown()


GUARDED = [
    ("GET", "/info/"),
    ("GET", "/datastore/"),
    ("POST", "/infer/severity?image=a"),
    ("GET", "/compare/api/next?rater=x"),
    ("GET", "/compare/api/image?id=a"),
    ("GET", "/compare/api/pixels?id=a"),
    ("GET", "/compare/pairs.csv"),
    ("GET", "/compare/api/agreement"),
]


def status(url, method, path, bearer=None):
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    return requests.request(method, url + path, headers=headers, timeout=60).status_code


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_user_comes_in_and_others_do_not(url, method, path):
    assert status(url, method, path) == 401
    assert status(url, method, path, "nonsense") == 401
    assert status(url, method, path, token("monailabel-user", ends_in=-60)) == 401
    assert status(url, method, path, token("monailabel-user", key=rsa.generate_private_key(65537, 2048))) == 401
    assert status(url, method, path, token("someone-else")) == 403
    assert status(url, method, path, token("monailabel-user")) == 200


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_tokens_that_anyone_could_make(url, algorithm):
    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    head, claims = part({"alg": algorithm, "typ": "JWT"}), token("monailabel-user").split(".")[1]
    signed = "" if algorithm == "none" else jwt.encode({}, PUBLIC.hex(), algorithm="HS256").split(".")[2]
    assert status(url, "GET", "/info/", f"{head}.{claims}.{signed}") == 401


def test_a_user_may_not_change_images(url):
    answer = requests.delete(
        f"{url}/datastore/image?id=a", headers={"Authorization": f"Bearer {token('monailabel-user')}"}, timeout=60
    )
    assert answer.status_code == 403


def test_monai_label_still_names_no_algorithm():
    with pytest.raises(jwt.DecodeError, match="algorithms"):  # else our way round can go
        jwt.decode(token("monailabel-user"), KEY.public_key(), options={"verify_signature": True})


def test_the_page_signs_in(url, browser):
    page = browser.new_page()
    page.goto(f"{url}/compare/")
    page.fill("#rater", "dr x")
    page.keyboard.press("Enter")
    page.fill("#user", "x")
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#trouble:has-text('wrong')")
    page.fill("#password", "right")
    page.keyboard.press("Enter")
    page.wait_for_selector("#work[data-ready=yes]")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#status:has-text('Stored')")
    with page.expect_download() as download:
        page.click("#export")
    assert len(download.value.path().read_text().splitlines()) == 2
    page.close()
