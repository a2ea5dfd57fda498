"""What the configuration tells of itself: tags under `sys/config/` and the alarm on them."""

from __future__ import annotations

from runtime.config.models import AlarmConfig, Text
from runtime.config.plant import Declared
from runtime.contract import DataType, Tag

TAGS = (
    ("version", DataType.UDINT, "Version of the configuration that runs", "正在运行的配置版本"),
    ("returned", DataType.BOOL, "The last good configuration runs instead", "正以上一个可用配置运行"),
    ("settling", DataType.BOOL, "A configuration has not come up yet", "新配置正在投入，尚未确认可用"),
)  # fmt: skip


def declare() -> Declared:
    """Return the tags of the configuration and the alarm on them."""
    tags = [
        Tag(f"sys/config/{name}", kind, description=en, description_zh=zh, source="config", retention="short")
        for name, kind, en, zh in TAGS
    ]
    alarm = AlarmConfig(
        name="config.returned",
        tag="sys/config/returned",
        kind="discrete",
        priority="high",
        text=Text(en="The last good configuration runs", zh="正以上一个可用配置运行"),
        cause=Text(
            en="The plant folder's configuration did not come up", zh="工厂文件夹中的配置未能正常投入"
        ),
        consequence=Text(en="What was changed last is not in force", zh="最近的修改未生效"),
        action=Text(
            en="See `ironworks config status`; correct the folder and apply it, or roll it back",
            zh="运行 ironworks config status 查看；修正后应用，或执行回退",
        ),
    )
    return Declared(tags, [alarm])
