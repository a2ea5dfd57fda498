"""What the API says: its wire format as structs, shared by server and client."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from runtime.contract import Quality, Value, glob

PREFIX = "/api/v1"
_QUALITY = {int(each): "".join(word.capitalize() for word in each.name.split("_")) for each in Quality}
_QUALITY |= {0x809B_0000: "BadNoData", 0x40A4_0000: "UncertainDataSubNormal"}  # what figures of history have


class Text(Struct, frozen=True):
    """A text for people, in English and Chinese."""

    en: str
    zh: str = ""

    def in_language(self, language: str) -> str:
        return self.zh if language == "zh" and self.zh else self.en


class User(Struct, frozen=True):
    """Who the kernel takes the client for, and the way it came; `areas` are globs with the role there."""

    name: str
    role: str
    via: str
    areas: tuple[tuple[str, str], ...] = ()

    @property
    def signer(self) -> str:
        """Return the name to sign with: that of a user of the plant; empty for accounts and strangers."""
        known = self.via in ("session", "http", "certificate") and self.name != "anonymous"
        return self.name if known and ":" not in self.name else ""

    def role_at(self, path: str) -> str:
        """Return the role for a tag, by its whole path."""
        return next(
            (role for pattern, role in reversed(self.areas) if glob(pattern).fullmatch(path)), self.role
        )


class Info(Struct, frozen=True):
    """The plant and the client's place in it."""

    plant: str
    title: Text
    root: str
    version: str
    now_ns: int
    started_ns: int
    user: User


class TagView(Struct, frozen=True):
    """A tag and its present value; `value` is null while the quality is bad, or it is NaN or infinite.

    Attributes:
        signature: what the signature of a write may mean; none is taken where it is empty.
    """

    id: int
    path: str
    type: str
    unit: str
    unit_text: str
    low: float | None
    high: float | None
    description: str
    description_zh: str
    access: str
    source: str
    device: str
    address: str
    variable: str
    role: str
    interlock: str | None
    value: Value | None
    quality: int
    quality_text: str
    source_ns: int
    two_person: bool = False
    signature: tuple[str, ...] = ()


class TagPage(Struct, frozen=True):
    """Some tags in order of id; `next` is the id to ask for the rest `after`."""

    tags: tuple[TagView, ...]
    next: int | None


class Written(Struct, frozen=True):
    """A write that the owner has taken, or that it would be allowed (`dry_run`).

    Attributes:
        previous: null where it was not good, or the token may not read the tag.
    """

    value: Value
    previous: Value | None
    dry_run: bool = False


class RequestView(Struct, frozen=True):
    """A write that waits for a second person; `for_ns` is 0 unless it is for a time only.

    Attributes:
        signature: what the signature of the approval may mean; none is taken where it is empty.
        type, unit_text: IEC type and unit of the tag.
    """

    id: int
    path: str
    value: Value
    actor: str
    role: str
    reason: str
    for_ns: int
    at_ns: int
    until_ns: int
    signature: tuple[str, ...] = ()
    type: str = ""
    unit_text: str = ""


class HoldView(Struct, frozen=True):
    """A tag that goes back to `previous` at `until_ns`; `late` while it could not yet.

    Attributes:
        type, unit_text: IEC type and unit of the values; no unit once the plant has no such tag.
    """

    path: str
    value: Value
    previous: Value
    until_ns: int
    actor: str
    reason: str
    late: bool
    type: str = ""
    unit_text: str = ""


class GateView(Struct, frozen=True):
    """Who may write now: `auto`, `maintenance` (engineers) or `read_only` (nobody); and what waits."""

    mode: str
    actor: str
    reason: str
    since_ns: int
    requests: tuple[RequestView, ...]
    holds: tuple[HoldView, ...]


class Series(Struct, frozen=True):
    """Stored samples of one tag: (source time ns, value, quality)."""

    path: str
    type: str
    unit_text: str
    points: tuple[tuple[int, Value | None, int], ...]


class SeriesList(Struct, frozen=True):
    series: tuple[Series, ...]


class SqlAnswer(Struct, frozen=True):
    """Rows of a query; `truncated` tells that there were more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


class TrendSeries(Struct, frozen=True):
    """Buckets of one tag: (start ns, least, mean, greatest); null where there is a gap."""

    path: str
    unit_text: str
    points: tuple[tuple[int, float | None, float | None, float | None], ...]


class TrendList(Struct, frozen=True):
    series: tuple[TrendSeries, ...]


class AlarmNote(Struct, frozen=True):
    """Who hid an alarm, when, why, and until when (null: until told otherwise).

    Attributes:
        once: it ends with the alarm's episode, and at `until_ns` at the latest.
    """

    at_ns: int
    by: str
    reason: str
    until_ns: int | None = None
    once: bool = False


class AlarmView(Struct, frozen=True):
    """An alarm and its state in the terms of ISA-18.2.

    Attributes:
        state: `normal`, `unacknowledged`, `acknowledged` or `returned`.
        active: whether the condition holds; a latched alarm stays in its state without it.
        acknowledged_by, comment: empty while it is not acknowledged.
        confirm: whether it needs confirming once it is acknowledged.
        confirmed: whether it waits for no confirmation; it can wait for one in any state with `acknowledged`.
        count: how often it was raised.
        first_out: whether it was the first of its group in the group's latest episode.
        hidden: shelved, suppressed by design or out of service: the operator is not asked for anything.
        setpoint: tag that a `deviation` is measured from, as the definition has it.
        trigger: value of a `discrete` alarm that is the alarm.
        over_ns: time over which a `rate_of_change` is measured.
        expression, suppressed_when: as the definition has them.
        latching: whether it stays until it is reset.
        re_alarm_ns: how long after its acknowledgement it is announced again while it stands; 0 for never.
    """

    name: str
    tag: str
    kind: str
    limit: float | None
    priority: str
    state: str
    active: bool
    acknowledged: bool
    text: Text
    cause: Text | None
    consequence: Text | None
    action: Text | None
    raised_ns: int | None
    cleared_ns: int | None
    acknowledged_ns: int | None
    acknowledged_by: str
    comment: str
    value: Value | None
    count: int
    area: str = ""
    class_: str = msgspec.field(default="", name="class")
    group: str = ""
    first_out: bool = False
    hidden: bool = False
    latched: bool = False
    suppressed: bool = False
    shelved: AlarmNote | None = None
    out_of_service: AlarmNote | None = None
    confirm: bool = False
    confirmed: bool = True
    confirmed_ns: int | None = None
    confirmed_by: str = ""
    setpoint: str | None = None
    trigger: Value | None = None
    over_ns: int | None = None
    expression: str | None = None
    deadband: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    suppressed_when: str | None = None
    latching: bool = False
    re_alarm_ns: int = 0

    @property
    def rests(self) -> bool:
        """Tell whether nothing holds and nobody is asked for anything."""
        return self.state == "normal" and self.confirmed


class AlarmList(Struct, frozen=True):
    """Alarms in the order of their definitions; `next` is the name to ask for the rest `after`."""

    alarms: tuple[AlarmView, ...]
    next: str | None = None


class JournalEntry(Struct, frozen=True):
    """One transition of an alarm; `actor` is empty for the plant itself.

    Attributes:
        announced: whether it asked the operator for attention.
        type, unit_text: IEC type and unit of the tag, as they were.
    """

    seq: int
    at_ns: int
    alarm: str
    transition: str
    state: str
    actor: str
    comment: str
    value: Value | None
    announced: bool = False
    type: str = ""
    unit_text: str = ""


class JournalPage(Struct, frozen=True):
    """Transitions, newest first; `next` is the seq to ask for those `before`."""

    entries: tuple[JournalEntry, ...]
    next: int | None = None


class OperatorLoad(Struct, frozen=True):
    """What the alarms of one area asked of its operator; the area is empty where none is given."""

    area: str
    announced: int
    last_10min: int
    average_10min: float
    peak_10min: int
    flood_percent: float


class AlarmFlood(Struct, frozen=True):
    """More than 10 alarms within 10 minutes, until fewer than 5 are; `ended_ns` is null while it lasts."""

    area: str
    first: str
    began_ns: int
    count: int
    ended_ns: int | None


class AlarmShare(Struct, frozen=True):
    alarm: str
    count: int
    percent: float


class AlarmCount(Struct, frozen=True):
    alarm: str
    count: int


class StaleAlarm(Struct, frozen=True):
    alarm: str
    since_ns: int


class PriorityShare(Struct, frozen=True):
    """How many announced alarms were of a priority, beside what ISA-18.2 aims at; critical counts as high."""

    priority: str
    count: int
    percent: float
    target_percent: float


class AlarmFigures(Struct, frozen=True):
    """How the alarm system does over a span of time, after ISA-18.2.

    Attributes:
        standing: alarms that the operator sees in alarm now.
        chattering: most announcements within a minute, of those with three or more.
        fleeting: how often an alarm was gone within 10 s.
        stale: alarms that have stood for more than 24 h.
    """

    start_ns: int
    end_ns: int
    announced: int
    standing: int
    operators: tuple[OperatorLoad, ...]
    floods: tuple[AlarmFlood, ...]
    top: tuple[AlarmShare, ...]
    chattering: tuple[AlarmCount, ...]
    fleeting: tuple[AlarmCount, ...]
    stale: tuple[StaleAlarm, ...]
    priorities: tuple[PriorityShare, ...]


class SignatureView(Struct, frozen=True):
    """An electronic signature: who signed, what it means, and when."""

    name: str
    meaning: str
    at_ns: int


class AuditEntry(Struct, frozen=True):
    """One attempt to do something, and what came of it.

    Attributes:
        type, unit_text: IEC type and unit of `old` and `new`; empty where they are no values of a tag.
    """

    seq: int
    at_ns: int
    actor: str
    role: str
    via: str
    action: str
    target: str
    old: Value | None
    new: Value | None
    reason: str
    outcome: str
    detail: str
    signatures: tuple[SignatureView, ...] = ()
    type: str = ""
    unit_text: str = ""


class AuditPage(Struct, frozen=True):
    """Attempts, newest first; `next` is the seq to ask for those `before`."""

    entries: tuple[AuditEntry, ...]
    next: int | None = None


class Tampering(Struct, frozen=True):
    """A place where the audit's chain does not hold: `touched`, `removed`, `inserted` or `head`."""

    seq: int
    kind: str
    text: str


class AuditCheck(Struct, frozen=True):
    """What a check of the audit's hash chain found; `findings` are the first of `found`."""

    ok: bool
    rows: int
    head_seq: int
    head: str
    findings: tuple[Tampering, ...]
    found: int


class Area(NamedTuple):
    """A glob of tags or alarm areas, and the role there."""

    glob: str
    role: str


class UserView(Struct, frozen=True):
    """A user; `kept` in `plant.yaml` or the `journal`.

    Attributes:
        locked_until_ns: when the lock after wrong secrets ends, 0 where there is none.
        areas: of several that match, the last holds.
        version: another one after each change of role, areas or secret; empty while there is no secret.
    """

    name: str
    role: str
    kept: str
    locked_until_ns: int
    areas: tuple[Area, ...] = ()
    version: str = ""


class UserList(Struct, frozen=True):
    """Users by name; `next` is the name to ask for the rest `after`."""

    users: tuple[UserView, ...]
    next: str | None = None


class TokenView(Struct, frozen=True):
    """An API token: globs of the tags that it reads and writes in its user's name."""

    id: str
    user: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    created_ns: int
    created_by: str
    expires_ns: int | None
    revoked_ns: int | None


class TokenList(Struct, frozen=True):
    """Tokens, oldest first; `next` is the id to ask for the rest `after`."""

    tokens: tuple[TokenView, ...]
    next: str | None = None


class TokenMade(Struct, frozen=True):
    """A new token; `token` is its text, shown this once."""

    token: str
    view: TokenView


class CertificateView(Struct, frozen=True):
    """A client certificate and the user whom it logs in; `id` is the beginning of its fingerprint."""

    id: str
    user: str
    fingerprint: str
    until_ns: int
    added_ns: int
    added_by: str


class CertificateList(Struct, frozen=True):
    """Certificates by age; `next` is the id to ask for the rest `after`."""

    certificates: tuple[CertificateView, ...]
    next: str | None = None


class ComponentView(Struct, frozen=True):
    """A component; state is `starting`, `running`, `degraded`, `faulted` or `stopped`."""

    name: str
    kind: str
    state: str
    since_ns: int
    restarts: int
    text: str


class ComponentList(Struct, frozen=True):
    components: tuple[ComponentView, ...]


class HistoryHealth(Struct, frozen=True):
    samples: int
    committed: int
    dropped: int
    lag_ms: float


class BusHealth(Struct, frozen=True):
    updates: int
    overflow: int


class Health(Struct, frozen=True):
    """How the plant's kernel is; `components` counts them by state, `history` is null where none is kept."""

    ok: bool
    components: dict[str, int]
    history: HistoryHealth | None
    bus: BusHealth


class Probe(Struct, frozen=True):
    """Whether the kernel is alive or ready; `waits` names what is not up yet."""

    ok: bool
    waits: tuple[str, ...] = ()


class Values(Struct, frozen=True, tag="values", tag_field="type"):
    """Rows (tag id, value, quality, source time ns) that changed: newest per tag, or each (`every`)."""

    rows: tuple[tuple[int, Value | None, int, int], ...]


class Gap(Struct, frozen=True, tag="gap", tag_field="type"):
    """Values that an `every` stream does not carry: sources' times that they lie between.

    Attributes:
        lost: how many; null where nobody knows.
        text: why, and where they may be found.
    """

    since_ns: int
    until_ns: int
    lost: int | None
    text: str


class AlarmChange(Struct, frozen=True, tag="alarm", tag_field="type"):
    """An alarm as it stands now; `resume` is empty while its transition is not on disk."""

    alarm: AlarmView
    resume: str = ""


class Missed(Struct, frozen=True, tag="missed", tag_field="type"):
    """Begins a stream of alarms: what happened since `Subscription.resume`, oldest first.

    Attributes:
        complete: whether that is all; if not, `/alarms/journal` has the rest, or the journal was begun anew.
        resume: where to go on after the next loss of the connection.
    """

    entries: tuple[JournalEntry, ...]
    complete: bool
    resume: str


class ConfigChange(Struct, frozen=True, tag="config", tag_field="type"):
    """Another configuration runs: tags and alarms may be others, so load them anew.

    What is subscribed to is sent as it is now, and goes on; globs select among the tags that there are now.
    """

    version: int


class ComponentChange(Struct, frozen=True, tag="component", tag_field="type"):
    component: ComponentView


Message = Values | AlarmChange | ComponentChange | ConfigChange | Missed | Gap


class Subscription(Struct, frozen=True, forbid_unknown_fields=True):
    """What a stream should carry; a client may send another at any time.

    Attributes:
        every: each value of the tags instead of the newest; what does not fit is told as a `Gap`.
        resume: the last that a `Missed` or `AlarmChange` said: what happened since then comes first.
        since_ns: for `every`: the newest source time that the client has; the history fills in from there.
    """

    tags: tuple[str, ...] = ()
    alarms: bool = False
    components: bool = False
    interval_ms: int = 200
    every: bool = False
    resume: str = ""
    since_ns: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class Place(Struct):
    """How far a client has followed a stream: hand it to the next one to go on there."""

    resume: str = ""
    since_ns: int | None = None

    def take(self, message: Message) -> None:
        """Note what came."""
        match message:
            case AlarmChange(_, resume) | Missed(_, _, resume):
                self.resume = resume or self.resume
            case Values(rows) if rows:
                newest_ns = max(row[3] for row in rows)
                self.since_ns = max(newest_ns, self.since_ns or 0)


class Refusal(Struct, frozen=True):
    """The body of every answer that is not 2xx: problem details, with what to do about it.

    Attributes:
        error: the same text as `detail`.

    Source: RFC 9457.
    """

    error: str
    remedy: str = ""
    detail: str = ""
    title: str = ""
    status: int = 0


def quality_text(code: int) -> str:
    """Return the symbolic name of an OPC UA status code."""
    known = _QUALITY.get(code & 0xFFFF_0000)
    return known or f"{('Good', 'Uncertain', 'Bad', 'Bad')[code >> 30]} (0x{code:08X})"
