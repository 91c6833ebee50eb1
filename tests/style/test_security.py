"""docs/security.md names tests that exist."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "security.md").read_text()


def rows():
    """(id, class, tests) of the page's tables of attacks."""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] not in ("id", "---"):
            yield cells[0], cells[1], re.findall(r"`([^`]+)`", cells[3])


def existing():
    names = set()
    for path in (REPOSITORY / "tests").rglob("*.py"):
        names.update(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    for path in (REPOSITORY / "tests").rglob("*.c"):
        names.update(re.findall(r'"(/[^"]+)"', path.read_text()))
    return names


def test_every_row_has_tests_that_exist():
    found = existing()
    table = list(rows())
    assert len(table) > 90
    assert not [row for row in table if not row[2]]
    assert not {name for _, _, tests in table for name in tests} - found


def test_every_row_has_a_test_with_its_name():
    """The row's id, or its class, is in the name of at least one of its tests."""
    def plain(text):
        return text.lower().replace("-", "_")

    nameless = [(number, kind) for number, kind, tests in rows()
                if not any(plain(kind) in plain(test) or number != "class" and plain(number)[:9] in plain(test) for test in tests)]
    assert not nameless
