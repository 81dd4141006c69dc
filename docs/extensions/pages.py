"""What must hold beside what Sphinx checks: pages are listed, names explained, links have form."""

import importlib
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Of all their public names the reference must say something.
MODULES = [
    "millstream",
    "millstream.compat.openai",
    "millstream.compat.anthropic",  # what it shares with openai's stands there
    "millstream.hooks",
    "millstream.mock",
    "millstream.otel",
    "millstream.prometheus",
    "millstream.testing",
    "millstream.ui",
]


def check_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """External links are not fetched: they must be https, with a host, and no white space."""
    for node in doctree.findall(nodes.reference):
        url = node.get("refuri", "")
        if "://" not in url:
            continue
        parts = urlsplit(url)
        if parts.hostname not in ("localhost", "127.0.0.1") and not (
            parts.scheme == "https" and "." in (parts.hostname or "") and url.isprintable()
        ):
            logger.warning("not an https link: %s", url, location=node)


def check_listed(app: Sphinx, env: BuildEnvironment) -> None:
    """A page that no list of pages names says where to put it."""
    listed = {page for pages in env.toctree_includes.values() for page in pages}
    for page in sorted(env.found_docs - listed - {app.config.root_doc}):
        folder = page.rpartition("/")[0]
        index = f"{folder}/index" if f"{folder}/index" in env.found_docs else app.config.root_doc
        logger.warning("%s.md is in no list of pages: name it in the toctree of %s.md", page, index)


def check_names(env: BuildEnvironment) -> None:
    """The public names without a place in the reference."""
    known = env.domains.python_domain.objects
    for module in MODULES:
        places = [module, module.replace("anthropic", "openai")]
        for name in importlib.import_module(module).__all__:
            if not any(f"{place}.{name}" in known for place in places):
                logger.warning("%s.%s is not in docs/reference", module, name)


def check(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Once all pages are read."""
    check_listed(app, env)
    check_names(env)
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx wants it."""
    app.connect("doctree-resolved", check_links)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
