"""The way to a server, from arguments and environment: proxy and trusted certificates.

Read in the caller's thread: libcurl's own look at the environment would race with os.environ.
"""

from __future__ import annotations

import os

# Where distributions keep the bundle of certificates that the system trusts.
_SYSTEM_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


_PROXY_VARIABLES = (
    "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip
_AS_KEPT = frozenset(map(os.fsencode, _PROXY_VARIABLES))


def origin(url: str) -> tuple[str, str, str]:
    """Scheme, host and port of an http or https URL."""
    scheme, _, rest = url.lower().partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    host, colon, port = rest.rpartition("@")[2].rpartition(":")
    if not colon or (port and not port.isdigit()):  # no port, or a piece of an IPv6 address
        host, port = host + colon + port, ""
    return scheme, host, port.lstrip("0") or {"https": "443", "http": "80"}.get(scheme, "")


def proxy_for(url: str, proxy: str | None) -> tuple[str, str]:
    """The proxy for a URL ("" for none) and the hosts that go without: argument, then environment.

    The variables are those that curl reads: https_proxy and HTTPS_PROXY, http_proxy (lower case
    only: a CGI server's client sets the other), all_proxy, no_proxy.
    """
    if proxy is not None:
        return proxy, ""
    if _no_proxy_is_named():
        return "", ""
    env = os.environ.get
    if url[:8].lower() == "https://":
        found = env("https_proxy") or env("HTTPS_PROXY")
    else:
        found = env("http_proxy")
    found = found or env("all_proxy") or env("ALL_PROXY") or ""
    return found, (env("no_proxy") or env("NO_PROXY") or "") if found else ""


def _no_proxy_is_named() -> bool:
    """Known at one look below os.environ, which takes long to say that it has no such variable."""
    try:
        return os.environ._data.keys().isdisjoint(_AS_KEPT)  # type: ignore[attr-defined, no-any-return]
    except AttributeError:  # somebody put another mapping in its place
        return False


def trust_for(verify: bool | str) -> tuple[str | None, str | None]:
    """(CA file, CA folder): argument, SSL_CERT_FILE and SSL_CERT_DIR, the system's, certifi."""
    if isinstance(verify, str):
        return (None, verify) if os.path.isdir(verify) else (verify, None)
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folder:
        return file or None, folder or None
    for path in _SYSTEM_STORES:
        if os.path.exists(path):
            return path, None
    try:
        import certifi  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None, None  # libcurl's built-in place
    return certifi.where(), None
