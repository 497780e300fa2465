# SPDX-License-Identifier: GPL-3.0-or-later
"""What Sphinx is told of the site; docs/site/build makes the pages, and calls it."""

from __future__ import annotations

import pathlib
import typing as t

import yaml
from docutils import nodes

if t.TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "linux.namespaces"
project_copyright = "linux.namespaces contributors"
release = yaml.safe_load((pathlib.Path(__file__).parents[2] / "galaxy.yml").read_text())["version"]
html_title = f"{project} {release}"
extensions = ["sphinx_antsibull_ext"]
highlight_language = "yaml+jinja"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

# Where Ansible's own documentation has what our pages name by a label of its.
_ANSIBLE = "https://docs.ansible.com/ansible/latest"
_PAGES = {
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
_COLLECTIONS = "ansible_collections."


def _page_of_ansible(
    _app: Sphinx, _env: object, node: nodes.Element, content: nodes.TextElement
) -> nodes.reference | None:
    """A link to what is of Ansible itself, or of another collection; None leaves it unresolved, which fails."""
    label = str(node.get("reftarget", ""))
    page = _PAGES.get(label)
    if label.startswith(_COLLECTIONS) and not label.startswith(f"{_COLLECTIONS}{project}."):
        page = f"collections/{label[len(_COLLECTIONS) :].replace('.', '/')}.html"
    if page is None:
        return None
    return nodes.reference("", "", content, refuri=f"{_ANSIBLE}/{page}", internal=False)


def _without_contents(_app: Sphinx, page: nodes.document) -> None:
    """Take the list of its sections from a page: the theme has one beside it."""
    for listed in [*page.findall(nodes.topic)]:
        if "contents" in listed["classes"]:
            listed.parent.remove(listed)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls: an inventory of Ansible's labels would have to be fetched."""
    app.connect("missing-reference", _page_of_ansible)
    app.connect("doctree-read", _without_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
