"""docs/conformance.md says what the programs here show, and no more."""

from features import FOLDER, PAGE, claims, page, tables

ROWS = {row.key: row for features in tables().values() for row in features}


def test_the_page_is_of_today():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: make conformance"


def test_every_program_says_what_it_shows():
    assert [name for name, keys in claims().items() if not keys and not name.startswith("codesys/")] == []


def test_every_claim_is_about_a_row_that_occurs_in_the_program():
    wrong = []
    for name, keys in claims().items():
        source = (FOLDER / f"{name}.st").read_text(encoding="utf-8")
        for key in keys:
            if key not in ROWS:
                wrong.append(f"{name}: there is no row {key}")
            elif ROWS[key].refusal:
                wrong.append(f"{name} shows {key}, which is said not to be supported")
            elif not ROWS[key].occurs(source):
                wrong.append(f"{name} has nothing of {key}: {ROWS[key].text}")
    assert not wrong, "\n".join(wrong)


def test_what_other_tests_show_is_there():
    for row in ROWS.values():
        if row.elsewhere:
            file, text = row.elsewhere
            assert text in (FOLDER.parent.parent / file).read_text(encoding="utf-8"), row.key


def test_no_row_stands_twice():
    keys = [row.key for features in tables().values() for row in features]
    assert len(keys) == len(set(keys))
