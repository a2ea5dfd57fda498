"""Methods of the address space: what they take, checked, and what they do, as the session's user.

Each ends in the port: the gate judges and audits as it does for people and API clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from drivers.opcua.model import MODEL
from drivers.opcua.nodesets.records import TYPE_OF, Record
from runtime.contract import Actor, Role
from runtime.errors import ConnectError, ForbiddenError, PlantError, UnknownVariableError

MAX_TEXT = 1_000
_CODES = ua.StatusCodes
_C = ua.NodeClass
_A = ua.AttributeIds
_T = ua.VariantType
_IDS = ua.ObjectIds


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input argument: a scalar."""

    name: str
    kind: Any
    description: str


COLD = Parameter("Cold", _T.Boolean, "Retained variables too have their initial values")
REASON = Parameter("Reason", _T.String, "Why; kept in the audit trail")


@dataclass(frozen=True, slots=True)
class Method:
    """What can be called: on which object, with which arguments, and what that does.

    Attributes:
        role: the least that may call it. The port judges and audits that; here it is told, and tried as
            every role by a test.
        work: takes who calls, and the values in order.
    """

    owner: Any
    parameters: tuple[Parameter, ...]
    role: Role
    work: Callable[..., Awaitable[None]]


def method_nodes(
    key: str, name: str, description: str, parameters: Sequence[Parameter]
) -> tuple[Record, Record]:
    """Return the nodes of a method: itself and its InputArguments."""
    method = Record(ua.NodeId(key, MODEL), _C.Method, ua.QualifiedName(name, MODEL))
    method.description = ua.LocalizedText(description)
    inputs = Record(
        ua.NodeId(f"{key}//InputArguments", MODEL), _C.Variable, ua.QualifiedName("InputArguments", 0)
    )
    arguments = [
        ua.Argument(each.name, ua.NodeId(each.kind.value), -1, [], ua.LocalizedText(each.description))
        for each in parameters
    ]
    inputs.attributes = {
        _A.Value: (arguments, _T.ExtensionObject),
        _A.DataType: (ua.NodeId(_IDS.Argument), _T.NodeId),
        _A.ValueRank: (1, _T.Int32),
        _A.ArrayDimensions: ([len(arguments)], _T.UInt32),
    }
    inputs.references.append((TYPE_OF, True, ua.NodeId(_IDS.PropertyType)))
    return method, inputs


async def call(method: Method, request: Any, actor: Actor) -> Any:
    """Return the CallMethodResult of a call. Source: OPC 10000-4, 5.12.2."""
    result = ua.CallMethodResult()
    arguments = request.InputArguments or []
    if request.ObjectId != method.owner:
        result.StatusCode = ua.StatusCode(_CODES.BadMethodInvalid)
    elif len(arguments) != len(method.parameters):
        short = len(arguments) < len(method.parameters)
        code = _CODES.BadArgumentsMissing if short else _CODES.BadTooManyArguments
        result.StatusCode = ua.StatusCode(code)
    else:
        checks = [
            _check(each, parameter) for each, parameter in zip(arguments, method.parameters, strict=True)
        ]
        if any(checks):
            result.StatusCode = ua.StatusCode(_CODES.BadInvalidArgument)
            result.InputArgumentResults = [ua.StatusCode(each) for each in checks]
        else:
            result.StatusCode = ua.StatusCode(await _done(method, actor, arguments))
            result.InputArgumentResults = [ua.StatusCode(0) for _ in checks]
    return result


def wrong_with(space: Any, request: Any) -> int:
    """Return why a method that none of ours is cannot be called, Good where asyncua can.

    Source: OPC 10000-4, 5.12.2.4 StatusCodes.
    """
    if request.MethodId not in space:
        return int(_CODES.BadMethodInvalid)
    class_, executable = (
        space.read_attribute_value(request.MethodId, each).Value for each in (_A.NodeClass, _A.Executable)
    )
    if class_ is None or class_.Value != _C.Method or not _has(space, request.ObjectId, request.MethodId):
        return int(_CODES.BadMethodInvalid)
    if space[request.MethodId].call is not None:
        return int(_CODES.Good)
    off = executable is not None and executable.Value is False
    return int(_CODES.BadNotExecutable if off else _CODES.BadNotImplemented)


def _has(space: Any, owner: Any, method: Any) -> bool:
    """Tell whether a method is an object's, or its type's."""
    forward = [each for each in space[owner].references if each.IsForward]
    types = [each.NodeId for each in forward if each.ReferenceTypeId == TYPE_OF]
    there = [*forward, *(ref for type_ in types if type_ in space for ref in space[type_].references)]
    return any(each.NodeId == method and each.IsForward for each in there)


def _check(argument: Any, parameter: Parameter) -> int:
    """Return what is wrong with an argument, Good where nothing is. A null text is an empty one."""
    text = parameter.kind is _T.String
    if argument.is_array:
        return int(_CODES.BadTypeMismatch)
    if argument.Value is None:
        return int(
            _CODES.Good if text and argument.VariantType in (_T.String, _T.Null) else _CODES.BadTypeMismatch
        )
    if argument.VariantType != parameter.kind:
        return int(_CODES.BadTypeMismatch)
    return int(_CODES.BadOutOfRange if text and len(argument.Value) > MAX_TEXT else _CODES.Good)


async def _done(method: Method, actor: Actor, arguments: list[Any]) -> int:
    values = [each.Value if each.Value is not None else "" for each in arguments]
    try:
        await method.work(actor, *values)
    except ForbiddenError:
        return int(_CODES.BadUserAccessDenied)
    except UnknownVariableError:
        return int(_CODES.BadNotFound)
    except ConnectError:
        return int(_CODES.BadNotConnected)
    except PlantError:
        return int(_CODES.BadInvalidState)
    return int(_CODES.Good)
