"""Screens as SVG: Chinese takes two cells, nothing is loaded from elsewhere."""

import re

from tui.picture import mend

TEXT = '<text class="r1" x="24.4" y="20" textLength="36.6" clip-path="url(#a)">a总b</text>'


def test_double_width_characters_get_two_cells():
    found = re.findall(r'x="([\d.]+)" y="20" textLength="([\d.]+)"[^>]*>([^<]*)<', mend(TEXT))
    assert found == [("24.4", "12.2", "a"), ("36.6", "24.4", "总"), ("61", "12.2", "b")]


def test_plain_text_is_left_alone_and_fonts_are_taken_out():
    plain = TEXT.replace("总", "-")
    assert mend(f"<style>@font-face {{ src: url('x') }} .r1 {{}}</style>{plain}") == (
        f"<style>.r1 {{}}</style>{plain}"
    )
