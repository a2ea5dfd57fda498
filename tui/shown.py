"""How values, qualities and times are written: text, mark (shape) and style for each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from runtime.contract import Quality, Value
from runtime.wire import AlarmView, JournalEntry, TagView
from tui.locale import Words
from tui.model import SECOND_NS, Point, View

MS_NS = SECOND_NS // 1000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

PRIORITY_SHAPE = {"critical": "◆", "high": "▲", "medium": "■", "low": "●"}
REQUEST_SHAPE = "✎"
EQUIPMENT_SHAPE = {0: "■", 1: "○", 2: "▶", 3: "◁", 4: "▷", 5: "✖"}
EQUIPMENT_STYLE = {0: "dim", 1: "dim", 2: "text", 3: "warning", 4: "warning", 5: "fault"}
COMPONENT_SHAPE = {"starting": "◌", "running": "▶", "degraded": "!", "faulted": "✖", "stopped": "■"}
COMPONENT_STYLE = {
    "starting": "dim",
    "running": "text",
    "degraded": "warning",
    "faulted": "fault",
    "stopped": "dim",
}

_QUALITY_WORD = {
    Quality.GOOD: "good",
    Quality.GOOD_LOCAL_OVERRIDE: "override",
    Quality.UNCERTAIN_LAST_USABLE_VALUE: "last_usable",
    Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: "out_of_range",
    Quality.BAD_NO_COMMUNICATION: "no_communication",
    Quality.BAD_WAITING_FOR_INITIAL_DATA: "waiting",
    Quality.BAD_CONFIGURATION_ERROR: "configuration",
    Quality.BAD_NOT_CONNECTED: "not_connected",
    Quality.BAD_DEVICE_FAILURE: "device",
    Quality.BAD_SENSOR_FAILURE: "sensor",
    Quality.BAD_OUT_OF_SERVICE: "out_of_service",
}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n"}
_TURNS = (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # ends of lines, directions
_CONTROLS |= {code: f"\\u{code:04x}" for code in _TURNS}
_SUBCODE = 0xFFFF_0000  # the lower half holds flags, not the kind of quality (OPC 10000-4, 7.39)


class Shown(NamedTuple):
    """A value as people see it: `mark` is one cell wide, a space where the value is good."""

    text: str
    mark: str
    word: str
    style: str

    @property
    def marked(self) -> str:
        return f"{self.text}{self.mark}"


def show(view: View, tag: TagView) -> Shown:
    """Return how a tag looks now: never as good when it is stale, bad or not known."""
    return show_point(view, tag, view.values.get(tag.id))


def show_point(view: View, tag: TagView, point: Point | None) -> Shown:
    words = view.words
    if point is None:
        if view.stale:
            return Shown(words("value.none"), "?", words("quality.stale"), "stale")
        return Shown(words("value.none"), "…", words("quality.loading"), "stale")
    text = format_value(point.value, tag, words)
    if view.stale:
        return Shown(text, "?", words("quality.stale"), "stale")
    if point.value is None and not Quality.is_bad(point.quality):  # NaN or infinite: JSON has none
        return Shown(text, "×", words("quality.no_number"), "bad")
    word = quality_word(point.quality, words)
    if point.quality & _SUBCODE == Quality.GOOD_LOCAL_OVERRIDE:
        return Shown(text, "=", word, "override")
    if Quality.is_good(point.quality):
        return Shown(text, " ", word, "value")
    if Quality.is_bad(point.quality):
        return Shown(text, "×", word, "bad")
    return Shown(text, "~", word, "uncertain")


def quality_word(code: int, words: Words) -> str:
    known = _QUALITY_WORD.get(code & _SUBCODE)  # type: ignore[call-overload]
    if known is None:
        known = "good" if Quality.is_good(code) else "bad" if Quality.is_bad(code) else "uncertain"
    return words(f"quality.{known}")


def format_value(value: Value | None, tag: TagView, words: Words) -> str:
    """Write a value with as many decimals as its range deserves, always the same for one tag."""
    return _format(value, tag.type, span_of(tag), words)


def format_kept(entry: JournalEntry, words: Words) -> str:
    """Write the value of an entry, its unit behind it; the tag may be gone since."""
    text = _format(entry.value, entry.type, None, words)
    return text if entry.value is None else f"{text} {unit_of(entry)}".rstrip()


def _format(value: Value | None, type_: str, span: float | None, words: Words) -> str:
    if value is None:
        return words("value.none")
    if isinstance(value, bool):
        return words("value.on" if value else "value.off")
    if isinstance(value, float):
        return format_number(value, span)
    if type_ == "TIME" and isinstance(value, int):
        whole = abs(value) >= SECOND_NS or value % MS_NS == 0
        return f"{value / SECOND_NS:{'.3f' if whole else 'g'}} s"
    if type_ == "DT" and isinstance(value, int) and abs(value) < 1 << 63:
        return format_clock(value, date=True)
    return plain(str(value))


def plain(text: str) -> str:
    """Write control characters as escapes: what others sent moves no cursor and turns no line."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def format_range(tag: TagView, words: Words) -> str:
    """Write within which bounds values are taken; either may be open."""
    low, high = (None if bound is None else _bound(bound, tag) for bound in (tag.low, tag.high))
    if low is None or high is None:
        text = f"≥ {low}" if low else f"≤ {high}" if high else ""
    else:
        text = f"{low} … {high}"
    return f"{text} {unit_of(tag)}".rstrip() if text else words("value.none")


def format_limit(alarm: AlarmView, tag: TagView | None) -> str:
    """Write the limit of an alarm on the scale of its tag; how far two instants are apart is a duration."""
    limit = alarm.limit or 0.0
    if tag and tag.type == "DT" and alarm.kind not in ("high", "low"):
        text = f"{limit / SECOND_NS:g} s"
    elif tag and tag.type in ("TIME", "DT"):
        text = _bound(limit, tag)
    else:
        text = f"{format_number(limit, None)} {unit_of(tag) if tag else ''}".rstrip()
    return f"{text}/s" if alarm.kind == "rate_of_change" else text


def _bound(bound: float, tag: TagView) -> str:
    if tag.type == "TIME":
        return f"{bound / SECOND_NS:g} s"
    return format_clock(int(bound), date=True) if tag.type == "DT" else f"{bound:g}"


def span_of(tag: TagView) -> float | None:
    """Return the width of the engineering range."""
    return tag.high - tag.low if tag.low is not None and tag.high is not None else None


def format_number(value: float, span: float | None) -> str:
    """Write a number with about four digits of its range; of itself where there is none, or it is far off."""
    size = span if span and abs(value) < 1e9 else abs(value)
    if size and not 1e-3 <= size < 1e9:
        return f"{value:.4g}"
    decimals = 1 if not size else 3 if size < 2 else 2 if size < 20 else 1 if size <= 1000 else 0
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def format_count(value: float) -> str:
    """Write a large whole number with thin groups."""
    return f"{value:,.0f}".replace(",", " ")


def format_age(age_ns: int) -> str:
    """Write how long ago: one number and a unit, at most four cells."""
    age_ns = max(0, age_ns)
    if age_ns < MINUTE_NS:
        return f"{age_ns // SECOND_NS}s"
    if age_ns < HOUR_NS:
        return f"{age_ns // MINUTE_NS}m"
    if age_ns < 2 * DAY_NS:
        return f"{age_ns // HOUR_NS}h"
    return f"{min(age_ns // DAY_NS, 999)}d"


def format_clock(at_ns: int, date: bool = False) -> str:
    """Write an instant in this machine's time zone."""
    when = datetime.fromtimestamp(at_ns / SECOND_NS).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def format_since(at_ns: int, now_ns: int) -> str:
    """Write an instant: the clock today, with the date before."""
    return format_clock(at_ns, date=now_ns - at_ns > 20 * HOUR_NS)


def fit(text: str, width: int, align: str = "left") -> str:
    """Return text of exactly `width` terminal cells, cut with an ellipsis where it must be."""
    text = plain(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    space = " " * (width - length)
    if align == "right":
        return space + text
    if align == "center":
        half = (width - length) // 2
        return " " * half + text + " " * (width - length - half)
    return text + space


def unit_of(scale: TagView | JournalEntry) -> str:
    """Return the unit as people read it; UCUM's `1` for a plain number is none."""
    return "" if scale.unit_text == "1" else scale.unit_text


def show_state(view: View, tag: TagView) -> Shown:
    """Return how an equipment's state looks: its word and shape, in colour only when it is not normal."""
    shown = show(view, tag)
    point = view.values.get(tag.id)
    if point is not None and isinstance(point.value, str):
        return shown
    if point is None or not isinstance(point.value, int | float):
        return Shown(shown.word, shown.mark, shown.word, shown.style)
    code = int(point.value)
    key = f"equipment.{code}"
    word = view.words(key) if view.words.has(key) else view.words("equipment.unknown", code=code)
    if shown.style != "value":
        return Shown(word, shown.mark, shown.word, shown.style)
    return Shown(word, EQUIPMENT_SHAPE.get(code, "·"), shown.word, EQUIPMENT_STYLE.get(code, "warning"))


def role_word(role: str, words: Words) -> str:
    """Return a role in the console's language; as the plant says it where it is another."""
    return words(f"role.{role}") if words.has(f"role.{role}") else role


def signer_of(view: View) -> str:
    """Return the name that the console's user signs with; empty where that must be asked."""
    return view.info.user.signer if view.info else ""


def described(tag: TagView, words: Words) -> str:
    """Return the tag's description in the console's language; English where it has no other."""
    return (tag.description_zh if words.language == "zh" else "") or tag.description


def _parts(tag: TagView, words: Words) -> tuple[str, str]:
    """Split a description such as `Capper: motor current` into equipment and signal."""
    text = described(tag, words)
    for colon in ("：", ": "):
        equipment, found, signal = text.partition(colon)
        if found:
            return equipment.strip(), signal.strip()
    return "", text


def equipment_name(tags: Sequence[TagView], level: str, words: Words) -> str:
    """Return what the descriptions call the equipment, if they agree; else its path level."""
    names = {_parts(tag, words)[0] for tag in tags}
    name = names.pop() if len(names) == 1 else ""
    return name or plain_name(level)


def label_of(tag: TagView, words: Words, width: int) -> str:
    """Return a name of at most about `width` cells: the description if it fits, else the signal.

    A Chinese description is cut rather than replaced by the signal's English name.
    """
    description = _parts(tag, words)[1]
    if description and (cell_len(description) <= width or (words.language == "zh" and tag.description_zh)):
        return description[:1].upper() + description[1:]
    signal = tag.path.rsplit("/", 1)[-1]
    return plain_name(signal, tag.unit_text)


def plain_name(signal: str, unit_text: str = "") -> str:
    """Make a path level readable: `torque_nm` of unit `N·m` is `Torque`."""
    parts = signal.split("_")
    compact = "".join(each for each in unit_text.casefold() if each.isalnum())
    suffixes = {compact, compact.replace("°", ""), *_UNIT_SUFFIXES} - {""}
    for cut in (2, 1):
        if unit_text and len(parts) > cut and "".join(parts[-cut:]).casefold() in suffixes:
            parts = parts[:-cut]
            break
    text = " ".join(part.upper() if part in _ABBREVIATIONS else part for part in parts)
    return text[:1].upper() + text[1:]


_ABBREVIATIONS = frozenset(("oee", "sp", "pv", "io", "plc", "id"))
_UNIT_SUFFIXES = frozenset(
    ("pct", "c", "lpm", "bpm", "nm", "a", "s", "mms", "kw", "kwh", "mm", "bar", "count")
)
