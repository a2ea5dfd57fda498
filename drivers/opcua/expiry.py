"""When certificates end: days left as tags, and an alarm well before the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from runtime.config import AlarmConfig, Declared, Text
from runtime.contract import Batch, DataType, Port, Tag

WARN_DAYS = 30
_DAY_S = 86_400
_WORDS = {
    "certificate": ("its own certificate", "自身证书"),
    "peer_certificate": ("the other side's certificate", "对方证书"),
    "client_certificate": ("a client's certificate", "客户端证书"),
    "user_certificate": ("the certificate that it logs in with", "登录证书"),
}


def declare_expiry(name: str, kinds: Sequence[str], remedies: Mapping[str, str]) -> Declared:
    """Return a tag and an alarm for each kind of certificate (a key of `_WORDS`) of a component.

    The tag `sys/drivers/NAME/KIND_days` has the days left, less than 0 afterwards. `remedies` says for a kind
    what is to be done.
    """
    tags, alarms = [], []
    for kind in kinds:
        text, text_zh = _WORDS[kind]
        tag = Tag(
            path=_path(name, kind),
            data_type=DataType.DINT,
            unit="d",
            unit_text="d",
            description=f"{name}: days until {text} ends",
            description_zh=f"{name}：{text_zh}剩余天数",
            source=name,
            retention="short",
        )
        tags.append(tag)
        alarms.append(
            AlarmConfig(
                name=f"{name}.{kind}",
                tag=tag.path,
                kind="low",
                limit=WARN_DAYS,
                priority="medium",
                text=Text(en=f"{name}: {text} ends soon", zh=f"{name}：{text_zh}即将到期"),
                consequence=Text(en="Connections are refused after that", zh="到期后连接将被拒绝"),
                action=Text(en=remedies[kind], zh=f"更换{text_zh}"),
            )
        )
    return Declared(tuple(tags), tuple(alarms))


class Expiry:
    """The certificates of a component, and how long they last."""

    def __init__(self, name: str, kinds: Sequence[str], port: Port) -> None:
        self._port = port
        self._tags = {kind: port.tags[_path(name, kind)] for kind in kinds}
        self._ends: dict[str, datetime] = {}
        self._told: dict[str, int] = {}

    def take(self, ends: Mapping[str, datetime]) -> None:
        """Note when certificates end, by kind."""
        self._ends.update({kind: until for kind, until in ends.items() if kind in self._tags})
        self.tell()

    def tell(self) -> None:
        """Submit the days left where they changed: call it now and then."""
        now_ns = self._port.clock.now_ns()
        for kind, until in self._ends.items():
            days = int((until.timestamp() - now_ns / 1e9) // _DAY_S)
            if self._told.get(kind) != days:
                self._told[kind] = days
                tag = self._tags[kind]
                self._port.submit(Batch.of([tag.id], [tag.data_type.encode(days)], now_ns))


def _path(name: str, kind: str) -> str:
    return f"sys/drivers/{name}/{kind}_days"
