"""What `make book` installs goes together with what is there already."""

from packaging.requirements import Requirement

from experiments.store import PROJECT


def locked(name):
    """The versions that a lock file names for this Python, by package."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines]
    assert all(r.url is None for r in requirements)
    return {r.name: str(r.specifier) for r in requirements if r.marker is None or r.marker.evaluate()}


def test_the_books_tools_change_no_version_that_the_project_is_locked_to():
    project, book = locked("requirements.lock"), locked("requirements-book.lock")
    changed = {name for name, version in project.items() if book[name] != version}
    assert changed <= {"markdown-it-py"}  # on Python 3.10 the book's tools need the version before
    assert {"sphinx", "myst-nb", "furo", "sphinx-mathjax-offline"} <= set(book)
