"""The course as static pages: the README and the notebooks as committed. To be read they need no network."""

import re
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import NbElementRenderer
from sphinx import addnodes

PROJECT = Path(__file__).parents[1]
# The package holds all of MathJax; this one file, which draws formulas with letters of its own, is enough.
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg.js"

project = "Continual learning with hypernetworks"
language = "en"
highlight_language = "none"  # of the README's commands
extensions = ["myst_nb"]
exclude_patterns = ["README.md", "**/.ipynb_checkpoints"]  # docs/index.md shows it
html_theme = "furo"
html_title = project
html_static_path = [str(PROJECT / "docs" / "static"), str(MATHJAX)]
mathjax_path = MATHJAX.name
html_css_files = ["pages.css"]
html_show_copyright = False
html_copy_source = False
html_use_index = False

nb_execution_mode = "off"  # the notebooks are committed executed
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3


def render_image(renderer, data, plain=NbElementRenderer.render_image):
    """A figure with the alternative text that `show(figure, alt)` has stored in the output."""
    (image,) = plain(renderer, data)
    image["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", "")
    if not image["alt"]:
        renderer.logger.warning("a figure has no alternative text; show it with show(figure, alt)", line=data.line)
    return [image]


def as_github_names_places(app, docname, source):
    """Jupyter keeps a heading's capitals and signs in the name of its place, this book does as GitHub: neither."""
    source[0] = re.sub(r"]\(#(.+?)\)", lambda link: f"](#{re.sub('[^a-z0-9_-]', '', link[1].lower())})", source[0])


def both_pictures(app, document):
    """A <picture> for light and for dark pages, as GitHub shows it, becomes two figures; the theme shows one."""
    for raw in list(document.findall(nodes.raw)):
        found = re.search(r'<picture>.*srcset="(.+?)".* src="(.+?)" alt="(.+?)"', raw.astext(), flags=re.S)
        if found:
            when = {"only-dark": found[1], "only-light": found[2]}
            raw.replace_self([nodes.image(uri=uri, alt=found[3], classes=[page]) for page, uri in when.items()])


def unlink_files(app, document):
    """A link to a file of the project that is no page of the book becomes plain text."""
    folder = (PROJECT / app.env.docname).parent
    for kind in (addnodes.pending_xref, addnodes.download_reference):
        for link in list(document.findall(kind)):
            if link.get("refdomain") is None and (folder / link["reftarget"].split("#")[0]).exists():
                link.replace_self(link.children)


def setup(app):
    NbElementRenderer.render_image = render_image
    app.connect("source-read", as_github_names_places)
    app.connect("doctree-read", both_pictures, priority=100)  # before Sphinx collects the figures
    app.connect("doctree-read", unlink_files)
