"""`python -m tests.conformance` writes docs/conformance.md."""

from tests.conformance.features import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
print(f"{PAGE} written")
