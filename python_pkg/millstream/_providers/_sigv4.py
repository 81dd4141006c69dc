"""AWS Signature Version 4 of a request.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.

Why not libcurl's `CURLOPT_AWS_SIGV4`: model ids hold ":" ("…-v1:0") and, as ARNs, "/". For every
service but S3, AWS signs the path as it stands on the wire, percent-encoded once more. libcurl
7.88 signs it as it stands: for /model/plain/… its signature is the one that botocore computes, for
/model/a:0/… and for /model/a%3A0/… it is not, and AWS answers 403. So both the path on the wire and
the signature are made here, the same with every libcurl. tests/python/test_sigv4.py holds it to
botocore.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Pairs

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def sign(
    method: str,
    url: str,
    headers: Pairs,
    body: bytes,
    *,
    service: str,
    region: str,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None = None,
    now: float | None = None,
) -> Pairs:
    """The headers that sign a request: X-Amz-Date, X-Amz-Security-Token, Authorization.

    `now`: seconds since the epoch; default: the clock. Signed with them are Host and Content-Type.
    """
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    added = [("X-Amz-Date", date)]
    if session_token:
        added.append(("X-Amz-Security-Token", session_token))
    signed = _signed_headers(url, (*headers, *added))
    names = ";".join(signed)
    request = "\n".join(
        (
            method,
            _path(url),
            _query(url),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            names,
            sha256(body).hexdigest(),
        )
    )
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, date, scope, sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_access_key}".encode()
    for word in (date[:8], region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{access_key_id}/{scope}"
    value = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return (*added, ("Authorization", value))


def _signed_headers(url: str, headers: Pairs) -> dict[str, str]:
    """Names in lower case, in order; values with their blanks as one."""
    fields = {"host": _host(url)}
    for name, value in headers:
        if name.lower() in ("host", "content-type", "x-amz-date", "x-amz-security-token"):
            fields[name.lower()] = " ".join(value.split())
    return dict(sorted(fields.items()))


def _host(url: str) -> str:
    """What the Host header says: the port only where it is not the scheme's."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    default = parts.port == _DEFAULT_PORTS.get(parts.scheme.lower())
    return host.rpartition(":")[0] if default else host


def _path(url: str) -> str:
    """The path as on the wire, without empty and dot segments, encoded once more."""
    path = urlsplit(url).path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == ".." and kept:
            kept.pop()
        elif segment not in ("", ".", ".."):
            kept.append(segment)
    ends = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + ends, safe="/~")


def _query(url: str) -> str:
    pairs = parse_qsl(urlsplit(url).query.replace("+", "%2B"), keep_blank_values=True)
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
