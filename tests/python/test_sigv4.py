"""AWS signatures: the same as botocore's, computed and on the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

import millstream
from answers import MESSAGES
from conftest import Serve, timeout
from millstream import mock
from millstream._providers import _sigv4

auth = pytest.importorskip("botocore.auth", reason="skipped: botocore is not installed")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials = pytest.importorskip("botocore.credentials")

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2lu=="
NOW = 1_440_938_160.0
JSON_TYPE = (("Content-Type", "application/json"),)
AWS = "https://bedrock-runtime.us-east-1.amazonaws.com"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0"


def botocores(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    *,
    date: str,
    region: str = "us-east-1",
    token: str | None = None,
) -> str:
    """The Authorization header that botocore computes for this request at that date."""
    request = awsrequest.AWSRequest(method, url, headers={**headers, "X-Amz-Date": date}, data=body)
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.context["timestamp"] = date
    signer = auth.SigV4Auth(credentials.Credentials(ACCESS, SECRET, token), "bedrock", region)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    credential = signer.scope(request)
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"


# name: (method, URL, headers, body)
CASES: dict[str, tuple[str, str, tuple[tuple[str, str], ...], bytes]] = {
    "plain": ("POST", f"{AWS}/model/plain/converse-stream", JSON_TYPE, b"{}"),
    "a colon as it is": ("POST", f"{AWS}/model/a-v1:0/converse-stream", JSON_TYPE, b"{}"),
    "a colon, encoded": ("POST", f"{AWS}/model/a-v1%3A0/converse-stream", JSON_TYPE, b"{}"),
    "a slash, encoded": ("POST", f"{AWS}/model/a%2Fb/converse-stream", JSON_TYPE, b"{}"),
    "an ARN": ("POST", f"{AWS}/model/{quote(ARN, safe='')}/converse-stream", JSON_TYPE, b"{}"),
    "marks": ("POST", f"{AWS}/a~b-c_d.e/!$&'()*+,;=@", JSON_TYPE, b"{}"),
    "other scripts": ("POST", f"{AWS}/model/{quote('modèle-日本')}/x", JSON_TYPE, b"{}"),
    "empty and dot segments": ("POST", f"{AWS}/a//b/./c/../d/", JSON_TYPE, b"{}"),
    "no path": ("GET", AWS, (), b""),
    "the root": ("GET", f"{AWS}/", (), b""),
    "a query": ("GET", f"{AWS}/models?byProvider=a&b=2&a=%2F&empty=", (), b""),
    "a query out of order": ("GET", f"{AWS}/models?z=1&a=2&a=1&Z=0", (), b""),
    "a query with encoded marks": ("GET", f"{AWS}/models?a%3Ab=c%20d%2Be~", (), b""),
    "no body": ("POST", f"{AWS}/x", (), b""),
    "a body in other scripts": ("POST", f"{AWS}/x", JSON_TYPE, '{"a":"日本 🎈"}'.encode()),
    "a body of bytes": ("POST", f"{AWS}/x", JSON_TYPE, bytes(range(256))),
    "blanks in a header": ("POST", f"{AWS}/x", (("Content-Type", "  a/b;   c=d "),), b"{}"),
    "a port": ("POST", "http://127.0.0.1:8080/x", JSON_TYPE, b"{}"),
    "the usual port": ("POST", "https://host:443/x", JSON_TYPE, b"{}"),
    "the usual port of http": ("POST", "http://host:80/x", JSON_TYPE, b"{}"),
    "an IPv6 address": ("POST", "http://[::1]:8080/x", JSON_TYPE, b"{}"),
}


@pytest.mark.parametrize("token", [None, TOKEN], ids=["", "session token"])
@pytest.mark.parametrize("case", CASES)
def test_the_signature_is_botocores(case: str, token: str | None) -> None:
    method, url, headers, body = CASES[case]
    ours = dict(
        _sigv4.sign(
            method,
            url,
            headers,
            body,
            service="bedrock",
            region="us-east-1",
            access_key_id=ACCESS,
            secret_access_key=SECRET,
            session_token=token,
            now=NOW,
        )
    )
    assert ours["X-Amz-Date"] == "20150830T123600Z"
    assert ours.get("X-Amz-Security-Token") == token
    assert ours["Authorization"] == botocores(
        method, url, dict(headers), body, date=ours["X-Amz-Date"], token=token
    )


def test_other_headers_are_not_signed() -> None:
    signed = _sigv4.sign(
        "POST",
        f"{AWS}/x",
        (("X-Other", "a"), ("User-Agent", "b"), *JSON_TYPE),
        b"",
        service="bedrock",
        region="eu-west-1",
        access_key_id=ACCESS,
        secret_access_key=SECRET,
    )
    assert "SignedHeaders=content-type;host;x-amz-date," in dict(signed)["Authorization"]
    assert "/eu-west-1/bedrock/aws4_request" in dict(signed)["Authorization"]


# ---- on the wire ---------------------------------------------------------------------------------

MODELS = ["plain", "anthropic.claude-3-5-sonnet-20240620-v1:0", ARN, "a/b c~d", "modèle"]


def sent(request: mock.Request) -> str:
    """The URL as it stood on the wire."""
    target = request.head.split(b" ", 2)[1].decode("ascii")
    return f"http://{request.headers['host']}{target}"


@pytest.mark.parametrize("token", [None, TOKEN], ids=["", "session token"])
@pytest.mark.parametrize("model", MODELS)
def test_the_signature_on_the_wire_is_botocores(
    serve: Serve, model: str, token: str | None
) -> None:
    server = serve(mock.Error(403))
    keys: Any = {
        "aws_access_key_id": ACCESS,
        "aws_secret_access_key": SECRET,
        "region": "us-east-1",
    }
    if token:
        keys["aws_session_token"] = token
    client = millstream.Client(
        "bedrock", base_url=server.url, options=keys, max_retries=0, timeout=timeout()
    )
    with pytest.raises(millstream.PermissionDenied):
        client.stream(model=model, messages=MESSAGES, system="日本 🎈").result()
    (request,) = server.requests
    assert sent(request).endswith(f"/model/{quote(model, safe='')}/converse-stream")
    assert request.headers.get("x-amz-security-token") == token
    assert request.headers["authorization"] == botocores(
        "POST",
        sent(request),
        {"Content-Type": request.headers["content-type"]},
        request.body,
        date=request.headers["x-amz-date"],
        token=token,
    )


def test_a_request_of_the_callers_own_is_signed_too(serve: Serve) -> None:
    server = serve(mock.Error(403))
    keys: Any = {
        "aws_access_key_id": ACCESS,
        "aws_secret_access_key": SECRET,
        "region": "us-east-1",
    }
    client = millstream.Client("bedrock", base_url=server.url, options=keys, max_retries=0)
    path = "/model/a-v1%3A0/invoke-with-response-stream?b=2&a=1"
    with pytest.raises(millstream.PermissionDenied):
        client.request(path, json={"prompt": "Hi"}).result()
    (request,) = server.requests
    assert request.headers["authorization"] == botocores(
        "POST",
        sent(request),
        {"Content-Type": request.headers["content-type"]},
        request.body,
        date=request.headers["x-amz-date"],
    )
