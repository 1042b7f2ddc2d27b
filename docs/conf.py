"""The site: ``make docs`` builds it into build/docs.

The source folder is the root of the repository, so a link from docs/ to benchmarks/ or data/ is the
same here as in the repository. Only what ``include_patterns`` names is read. ``-t full`` also runs
the examples that take minutes.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # gallery_setup.py

project = "grokpredict"
author = "The grokpredict developers"
project_copyright = author
version = release = installed("grokpredict")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "benchmarks/*.md",
    "data/README.md",
    "grokpredict/model/pretrained/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
exclude_patterns = ["docs/gallery/*.ipynb", "docs/gallery/*.py"]
highlight_language = "none"  # of indented blocks: most are output

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Libraries that an adapter needs and the site does not.
autodoc_mock_imports = ["optuna", "ray", "transformers"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name the types
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/gallery",
    "filename_pattern": r"\.py$"
    if tags.has("full")  # noqa: F821 - Sphinx defines it: what -t sets
    else r"(score_csv|plain_loop|fabric_loop)\.py$",
    "ignore_pattern": "small_runs",
    "within_subsection_order": "gallery_setup.Order",
    "reset_argv": "gallery_setup.arguments",
    "image_scrapers": ("gallery_setup.figures",),
    "abort_on_example_error": True,
    "default_thumb_file": str(Path(__file__).parent / "figures" / "two-runs.png"),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "grokpredict"
html_show_sourcelink = False
html_copy_source = False
templates_path = ["_templates"]
html_additional_pages = {"index": "redirect.html"}
html_theme_options = {
    "header_links_before_dropdown": 8,
    "navbar_persistent": ["search-button"],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
