"""The documentation site, of Markdown pages, docstrings and C headers: `./dev docs` builds it."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

import millstream  # noqa: E402

project = "millstream"
author = "the millstream authors"
copyright = "the millstream authors; MIT licence"
version = release = millstream.__version__

# The root of the repository, so that README and CHANGELOG are pages and links to them are checked.
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md"]
exclude_patterns = ["build*", ".*", "dist", "tests", "python_pkg", "src", "fuzz", "bench"]
source_suffix = {".md": "markdown"}

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "headers", "pages"]
myst_heading_anchors = 4
suppress_warnings = [
    "ref.python",  # two modules may each have a Stream
    "toc.not_included",  # pages.py says more
]
nitpicky = True
nitpick_ignore_regex = [
    ("py:(?!obj).*", ".*"),  # types of others; what is ours is linked where it is
    ("c:identifier", r"bool|size_t|u?int64_t"),
]
default_role = "literal"
smartquotes = False  # "openai" in a docstring is code
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
c_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"millstream {version}"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "to-index.html"}
templates_path = ["templates"]
pygments_style = "friendly"
