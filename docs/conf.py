"""Settings of the site: `./run docs` builds it into build/docs, without a network."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_extensions"), str(ROOT)]
warnings.filterwarnings("ignore", module="numba")

import inventories  # noqa: E402
import sgdlimits  # noqa: E402

project = "sgdlimits"
author = "the authors of sgdlimits"
version = release = sgdlimits.__version__
language = "en"
nitpicky = True
nitpick_ignore_regex = [("py:exc", r"\w+")]  # what is raised may be Python's own
smartquotes_action = "D"  # dashes only: "names" are to be copied

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "api_pages",
    "docstrings",
    "formulas",
    "mathml",
    "notebook_pages",
]
exclude_patterns = ["_extensions", "inventories"]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4

html_theme = "pydata_sphinx_theme"
html_title = f"sgdlimits {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "start": [], "what_can_fail": []}
html_theme_options = {
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "navigation_depth": 2,
    "collapse_navigation": True,
    "pygments_light_style": "tango",
}
copyright = "the authors of sgdlimits, MIT licence"  # the name is Sphinx's

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the parameters tell their types in words
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # a line may name several
napoleon_use_rtype = False
napoleon_use_param = False
strip_signature_backslash = True
add_module_names = False
toc_object_entries_show_parents = "hide"
viewcode_line_numbers = True

intersphinx_mapping = inventories.mapping(ROOT / "build" / "inventories")
intersphinx_timeout = 1
