"""Who may ask what: one rule a route. A route without a rule answers nobody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runtime.contract import Role


class Tokens(Enum):
    """What an API token may do with a route.

    Attributes:
        TAGS: ask for the tags in its scope; lists are cut to them.
        WHOLE: ask, if it may read every tag.
        NEVER: nothing: the route is for people.
    """

    TAGS = "tags"
    WHOLE = "whole"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Rule:
    """The least role that a route takes, and what tokens may do with it.

    Attributes:
        door: whether the door refuses. Otherwise the command itself judges and audits the attempt.
        greets: whether the body says who calls; other routes ask that of clients on other machines before.
        open: whether nobody is asked for a name: for supervisors of processes, which have none.
    """

    role: Role
    tokens: Tokens = Tokens.WHOLE
    door: bool = True
    greets: bool = False
    open: bool = False


_LOOK = Rule(Role.VIEWER)
_TAGS = Rule(Role.VIEWER, Tokens.TAGS)
_OPEN = Rule(Role.VIEWER, open=True)
_ADMIN = Rule(Role.ADMIN, Tokens.NEVER)


def _command(role: Role) -> Rule:
    return Rule(role, Tokens.NEVER, door=False)


RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/info"): _TAGS,
    ("GET", "/tags"): _TAGS,
    ("GET", "/tags/{path:path}"): _TAGS,
    ("PUT", "/tags/{path:path}"): Rule(Role.OPERATOR, Tokens.TAGS, door=False),  # the tag says which role
    ("GET", "/history"): _TAGS,
    ("GET", "/history/trend"): _TAGS,
    ("POST", "/history/sql"): Rule(Role.ENGINEER),
    ("GET", "/alarms"): _LOOK,
    ("GET", "/alarms/journal"): _LOOK,
    ("GET", "/alarms/figures"): _LOOK,
    ("GET", "/alarms/{name}/details"): _LOOK,
    ("POST", "/alarms/{name}/acknowledge"): _command(Role.OPERATOR),
    ("POST", "/alarms/{name}/confirm"): _command(Role.OPERATOR),
    ("POST", "/alarms/{name}/shelve"): _command(Role.OPERATOR),
    ("POST", "/alarms/{name}/unshelve"): _command(Role.OPERATOR),
    ("POST", "/alarms/{name}/reset"): _command(Role.OPERATOR),
    ("POST", "/alarms/{name}/out-of-service"): _command(Role.ENGINEER),
    ("POST", "/alarms/{name}/in-service"): _command(Role.ENGINEER),
    ("GET", "/audit"): _LOOK,
    ("GET", "/audit/verify"): Rule(Role.ENGINEER),
    ("GET", "/components"): _LOOK,
    ("POST", "/components/{name}/restart"): _command(Role.ENGINEER),
    ("POST", "/components/{name}/record"): _command(Role.ENGINEER),
    ("GET", "/config"): _LOOK,
    ("GET", "/config/versions"): _LOOK,
    ("GET", "/config/log"): _LOOK,
    ("GET", "/config/files"): Rule(Role.ENGINEER),
    ("GET", "/config/diff"): Rule(Role.ENGINEER),
    ("POST", "/config/apply"): _command(Role.ENGINEER),
    ("POST", "/config/rollback"): _command(Role.ENGINEER),
    ("GET", "/gate"): _LOOK,
    ("PUT", "/gate/mode"): _command(Role.ENGINEER),
    ("PUT", "/gate/read-only"): _command(Role.ENGINEER),
    ("POST", "/gate/requests"): _command(Role.OPERATOR),  # the tag says which role
    ("POST", "/gate/requests/{number}/approve"): _command(Role.OPERATOR),
    ("POST", "/gate/requests/{number}/reject"): _command(Role.OPERATOR),
    ("GET", "/plc"): _LOOK,
    ("GET", "/plc/worst"): _LOOK,
    ("POST", "/plc/read"): _LOOK,
    ("GET", "/plc/forces"): _LOOK,
    ("POST", "/plc/force"): _command(Role.ENGINEER),
    ("POST", "/plc/unforce"): _command(Role.ENGINEER),
    ("POST", "/plc/restart"): _command(Role.ENGINEER),
    ("GET", "/plc/record"): _LOOK,
    ("POST", "/plc/why"): Rule(Role.ENGINEER),  # it shows lines of the program, and who did what
    ("GET", "/users"): _ADMIN,
    ("GET", "/users/{name}"): _ADMIN,
    ("POST", "/users"): _command(Role.ADMIN),
    ("PUT", "/users/{name}/role"): _command(Role.ADMIN),
    ("DELETE", "/users/{name}"): _command(Role.ADMIN),
    ("PUT", "/users/{name}/secret"): _command(Role.ADMIN),
    ("GET", "/login"): Rule(Role.VIEWER, Tokens.NEVER, greets=True),  # how to say who
    ("GET", "/sessions"): Rule(Role.VIEWER, Tokens.NEVER),  # one's own; an admin sees all
    ("POST", "/sessions"): Rule(Role.VIEWER, Tokens.NEVER, greets=True),  # its body says who
    ("DELETE", "/sessions/{id}"): _command(Role.VIEWER),  # one's own; an admin ends any
    ("POST", "/password"): Rule(Role.VIEWER, Tokens.NEVER, greets=True),  # its body says who
    ("GET", "/tokens"): _ADMIN,
    ("POST", "/tokens"): _command(Role.ADMIN),
    ("DELETE", "/tokens/{id}"): _command(Role.ADMIN),
    ("GET", "/certificates"): _ADMIN,
    ("POST", "/certificates"): _command(Role.ADMIN),
    ("DELETE", "/certificates/{id}"): _command(Role.ADMIN),
    ("POST", "/backup"): _command(Role.ADMIN),
    ("GET", "/health"): _LOOK,
    ("GET", "/metrics"): _LOOK,
    ("GET", "/healthz"): _OPEN,
    ("GET", "/readyz"): _OPEN,
    ("GET", "/openapi.json"): _TAGS,
    ("WS", "/stream"): _TAGS,
}
