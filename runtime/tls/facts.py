"""What the API tells of its reach beyond this machine: tags and alarms."""

from __future__ import annotations

from runtime.config.models import AlarmConfig, Text
from runtime.config.plant import Declared
from runtime.contract import DataType, Tag

TAGS = (
    ("outside", DataType.BOOL, "", "Other machines reach the API", "其他机器可访问 API"),
    ("certificate_days", DataType.REAL, "d", "Days until the certificate expires", "证书剩余有效天数"),
    (
        "certificate_trouble",
        DataType.BOOL,
        "",
        "The certificate cannot be renewed or read",
        "证书无法更新或读取",
    ),
    (
        "turned_away",
        DataType.UDINT,
        "1",
        "Connections refused or ended at the door",
        "在入口被拒绝或断开的连接数",
    ),
)


def declare() -> Declared:
    """Return the tags and alarms of a plant whose API shall be reached from outside."""
    tags = [
        Tag(
            f"sys/api/{name}",
            kind,
            unit,
            unit,
            description=en,
            description_zh=zh,
            source="api",
            retention="short",
        )
        for name, kind, unit, en, zh in TAGS
    ]
    alarms = [
        AlarmConfig(
            name="api.not_outside",
            tag="sys/api/outside",
            kind="discrete",
            state=False,
            on_delay="5s",
            priority="low",
            text=Text(en="Other machines do not reach the API", zh="其他机器无法访问 API"),
            cause=Text(
                en="No admin can log in yet, or the address cannot be listened on",
                zh="尚无可登录的管理员，或该地址无法监听",
            ),
            action=Text(
                en="`ironworks components list` tells why; add an admin with `ironworks user add`",
                zh="运行 ironworks components list 查看原因；用 ironworks user add 添加管理员",
            ),
        ),
        AlarmConfig(
            name="api.certificate_expires",
            tag="sys/api/certificate_days",
            kind="low",
            limit=14,
            priority="high",
            text=Text(en="The certificate of the API expires soon", zh="API 证书即将过期"),
            cause=Text(
                en="A certificate from elsewhere was not replaced, or the own one cannot be renewed",
                zh="外部证书未更换，或自有证书无法更新",
            ),
            consequence=Text(
                en="Consoles and clients on other machines are refused when it has expired",
                zh="过期后其他机器上的控制台和客户端将无法连接",
            ),
            action=Text(
                en="Replace the files that plant.yaml names; own ones: `ironworks tls renew`",
                zh="更换 plant.yaml 中指定的文件，或运行 ironworks tls renew；查看 ironworks tls show",
            ),
        ),
        AlarmConfig(
            name="api.certificate_trouble",
            tag="sys/api/certificate_trouble",
            kind="discrete",
            priority="medium",
            text=Text(en="The certificate of the API cannot be renewed or read", zh="API 证书无法更新或读取"),
            consequence=Text(en="The former one stays in use", zh="继续使用原证书"),
            action=Text(
                en="`ironworks components list` tells why", zh="运行 ironworks components list 查看原因"
            ),
        ),
    ]
    return Declared(tags, alarms)
