"""Sphinx configuration."""

import fastexplain._version

project = "fastexplain"
author = "fastexplain developers"
copyright = author
version = release = fastexplain._version.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
# no intersphinx: a build without network would warn, and warnings are errors here

exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = f"fastexplain {release}"
html_theme_options = {"show_prev_next": False, "navbar_end": ["theme-switcher"]}

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings name the types
numpydoc_show_class_members = False  # the class template lists them

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!(.*[\\/])?plot_)",  # scripts that are not pages
    "download_all_examples": False,
    "show_memory": False,
    "parallel": 2,
}


def skip_foreign_members(app, what, name, obj, skip, options):
    """Leave out what scikit-learn's base classes add: it is documented there."""
    if name.startswith("set_") and name.endswith("_request"):  # metadata routing
        return True
    if (getattr(obj, "__module__", None) or "").partition(".")[0] == "sklearn":
        return True
    return None


def setup(app):
    """Connect the hooks."""
    app.connect("autodoc-skip-member", skip_foreign_members)
