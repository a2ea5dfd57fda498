"""What a client asks of events: which fields, and which events; checked whole before it is used."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncua import ua

from drivers.opcua.conditions.fields import NULL, Occurrence
from drivers.opcua.conditions.like import like
from drivers.opcua.conditions.schema import BASE, EventTypes

MAX_CLAUSES = 200
MAX_ELEMENTS = 100
MAX_OPERANDS = 200  # of one element
_CODES = ua.StatusCodes
_GOOD = int(_CODES.Good)
_OPERATOR = ua.FilterOperator
_CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)
_HEAD = struct.Struct("<Ii")
_ORDERED = (int | float, str, bytes, datetime)
Truth = bool | None
Operand = Callable[[Occurrence, Sequence[Any]], Any]
Element = Callable[[Occurrence, Sequence[Any]], Truth]


class FilterError(Exception):
    """A filter that is refused; `result` tells which parts of it, None where it is not even one."""

    def __init__(self, code: int, result: Any = None) -> None:
        super().__init__(ua.StatusCode(code).name)
        self.code = code
        self.result = result


@dataclass(frozen=True, slots=True)
class _Clause:
    """A field to send, of events of a type and those below it."""

    path: str
    type_: Any


class EventFilter:
    """A filter as it is used.

    Attributes:
        result: what is wrong with some of its clauses, whose fields are null; None where nothing is. One that
            is right is enough. Source: OPC 10000-4, 7.22.3 EventFilter.
    """

    def __init__(
        self,
        clauses: Sequence[_Clause | None],
        elements: Sequence[Element],
        types: EventTypes,
        result: Any = None,
    ) -> None:
        self.result = result
        self._clauses = clauses
        self._elements = elements
        self._types = types

    def passes(self, occurrence: Occurrence) -> bool:
        """Tell whether a client wants to know of an event."""
        if not self._elements:
            return True
        results: list[Any] = [None] * len(self._elements)
        for index in range(len(self._elements) - 1, -1, -1):  # an element refers to later ones only
            results[index] = self._elements[index](occurrence, results)
        return results[0] is True

    def encode(self, occurrence: Occurrence, handle: int, language: str) -> bytes:
        """Return an EventFieldList. Source: OPC 10000-4, 7.25.3 EventNotificationList."""
        above = self._types.above.get(ua.NodeId(occurrence.event_type), frozenset())
        fields = [
            _field(each, occurrence, language)
            if each is not None and (each.type_ == BASE or each.type_ in above)
            else NULL
            for each in self._clauses
        ]
        return _HEAD.pack(handle, len(fields)) + b"".join(fields)


def _field(clause: _Clause, occurrence: Occurrence, language: str) -> bytes:
    if not clause.path:
        return occurrence.encoded_condition()
    return occurrence.encoded(clause.path, language)


def check(wanted: Any, types: EventTypes) -> EventFilter:
    """Make a filter of what a client asks for.

    Raises:
        FilterError: it is not one, none of its fields is there, or an element is wrong; then all parts are
            judged.
    """
    if not isinstance(wanted, ua.EventFilter):
        another = isinstance(wanted, ua.MonitoringFilter)
        raise FilterError(_CODES.BadFilterNotAllowed if another else _CODES.BadEventFilterInvalid)
    selected = wanted.SelectClauses or []
    elements = (wanted.WhereClause.Elements if wanted.WhereClause else None) or []
    if not selected or len(selected) > MAX_CLAUSES or len(elements) > MAX_ELEMENTS:
        raise FilterError(_CODES.BadEventFilterInvalid)
    codes = [_clause_code(each, types) for each in selected]
    where = [_Where(each, index, len(elements), types) for index, each in enumerate(elements)]
    result = None
    if any(codes) or any(each.code for each in where):
        result = ua.EventFilterResult()
        result.SelectClauseResults = [ua.StatusCode(code) for code in codes]
        result.WhereClauseResult.ElementResults = [each.result() for each in where]
    if all(codes) or any(each.code for each in where):
        raise FilterError(_CODES.BadEventFilterInvalid, result)
    clauses = [
        None if code else _Clause(_path(each), _type(each))
        for each, code in zip(selected, codes, strict=True)
    ]
    return EventFilter(clauses, [each.compiled() for each in where], types, result)


def _path(clause: Any) -> str:
    return "/".join(each.Name or "" for each in clause.BrowsePath or [])


def _type(clause: Any) -> Any:
    """Return the type that a clause names; older clients leave it null and mean any event."""
    return BASE if clause.TypeDefinitionId.is_null() else clause.TypeDefinitionId


def _clause_code(clause: Any, types: EventTypes) -> int:
    """Source: OPC 10000-4, 7.22.3 EventFilter."""
    type_, path = _type(clause), clause.BrowsePath or []
    if type_ not in types.above:
        return int(_CODES.BadTypeDefinitionInvalid)
    if not path:
        of_condition = type_ == BASE or _CONDITION in types.above[type_]
        return (
            _GOOD
            if of_condition and clause.AttributeId == ua.AttributeIds.NodeId
            else int(_CODES.BadAttributeIdInvalid)
        )
    if any(each is None or not each.Name or each.NamespaceIndex for each in path):
        return int(_CODES.BadNodeIdUnknown)
    if not types.has(type_, tuple(each.Name for each in path)):
        return int(_CODES.BadNodeIdUnknown)
    if clause.AttributeId != ua.AttributeIds.Value:
        return int(_CODES.BadAttributeIdInvalid)
    return int(_CODES.BadIndexRangeInvalid) if clause.IndexRange else _GOOD


class _Where:
    """One element of a where clause.

    Attributes:
        code: what is wrong with it, 0 where nothing is.
    """

    def __init__(self, element: Any, index: int, count: int, types: EventTypes) -> None:
        self._operands = element.FilterOperands or []
        self._types = types
        self._operator = element.FilterOperator
        self._codes: list[int] = []
        self.code = self._judge(index, count)

    def _judge(self, index: int, count: int) -> int:
        if self._operator not in _ARITY:
            known = self._operator in list(_OPERATOR)
            return int(_CODES.BadFilterOperatorUnsupported if known else _CODES.BadFilterOperatorInvalid)
        least, most = _ARITY[self._operator]
        if not least <= len(self._operands) <= most:
            return int(_CODES.BadFilterOperandCountMismatch)
        self._codes = [self._operand_code(each, index, count) for each in self._operands]
        return int(_CODES.BadFilterElementInvalid) if any(self._codes) else _GOOD

    def _operand_code(self, operand: Any, index: int, count: int) -> int:
        if self._operator == _OPERATOR.OfType:
            if not isinstance(operand, ua.LiteralOperand) or not isinstance(operand.Value.Value, ua.NodeId):
                return int(_CODES.BadFilterOperandInvalid)
            return _GOOD if operand.Value.Value in self._types.above else int(_CODES.BadNodeIdUnknown)
        if isinstance(operand, ua.ElementOperand):
            return _GOOD if index < operand.Index < count else int(_CODES.BadFilterOperandInvalid)
        if isinstance(operand, ua.SimpleAttributeOperand):
            return _clause_code(operand, self._types)
        if isinstance(operand, ua.LiteralOperand):
            plain = operand.Value is not None and not operand.Value.is_array
            return _GOOD if plain else int(_CODES.BadFilterLiteralInvalid)
        return int(_CODES.BadFilterOperandInvalid)

    def result(self) -> Any:
        return ua.ContentFilterElementResult(
            StatusCode=ua.StatusCode(self.code),
            OperandStatusCodes=[ua.StatusCode(each) for each in self._codes],
        )

    def compiled(self) -> Element:
        if self._operator == _OPERATOR.OfType:
            wanted, above = self._operands[0].Value.Value, self._types.above
            return lambda occurrence, _: wanted in above.get(ua.NodeId(occurrence.event_type), ())
        operands = [self._compiled(each) for each in self._operands]
        judge = _JUDGES[self._operator]
        return lambda occurrence, results: judge([each(occurrence, results) for each in operands])

    def _compiled(self, operand: Any) -> Operand:
        if isinstance(operand, ua.ElementOperand):
            index = operand.Index
            return lambda _, results: results[index]
        if isinstance(operand, ua.LiteralOperand):
            literal = _plain(operand.Value.Value)
            return lambda *_: literal
        path, type_, above = _path(operand), _type(operand), self._types.above

        def read(occurrence: Occurrence, _: Sequence[Any]) -> Any:
            if type_ != BASE and type_ not in above.get(ua.NodeId(occurrence.event_type), ()):
                return None
            return _plain(occurrence.variant(path).Value if path else occurrence.condition)

        return read


def _plain(value: Any) -> Any:
    """Return a value as it is compared."""
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, ua.StatusCode):
        return value.value
    return value


def _order(left: Any, right: Any) -> float | None:
    """Return below, equal to or above 0 as left is less than right; None where they cannot be compared.

    Source: OPC 10000-4, 7.7.3; text that is a number is one beside a number.
    """
    if isinstance(left, int | float) != isinstance(right, int | float):
        try:
            left, right = (float(each) if isinstance(each, str) else each for each in (left, right))
        except ValueError:
            return None
    left, right = (
        each.replace(tzinfo=None) if isinstance(each, datetime) else each for each in (left, right)
    )
    alike = any(isinstance(left, type_) and isinstance(right, type_) for type_ in _ORDERED)
    if not alike or left != left or right != right:  # NaN is not even itself
        return None
    return int(left > right) - int(left < right)


def _equal(left: Any, right: Any) -> Truth:
    if left is None or right is None:
        return None
    order = _order(left, right)
    if order is not None:
        return order == 0
    return bool(left == right) if isinstance(left, ua.NodeId) and isinstance(right, ua.NodeId) else None


def _compare(holds: Callable[[float], bool]) -> Callable[[Sequence[Any]], Truth]:
    def judge(values: Sequence[Any]) -> Truth:
        order = _order(values[0], values[1])
        return None if order is None else holds(order)

    return judge


def _and(values: Sequence[Any]) -> Truth:
    truths = [_truth(each) for each in values]
    return False if False in truths else None if None in truths else True


def _or(values: Sequence[Any]) -> Truth:
    truths = [_truth(each) for each in values]
    return True if True in truths else None if None in truths else False


def _truth(value: Any) -> Truth:
    return value if isinstance(value, bool) else None


def _not(values: Sequence[Any]) -> Truth:
    truth = _truth(values[0])
    return None if truth is None else not truth


def _between(values: Sequence[Any]) -> Truth:
    return _and([_compare(lambda o: o >= 0)(values[:2]), _compare(lambda o: o <= 0)([values[0], values[2]])])


def _in_list(values: Sequence[Any]) -> Truth:
    return any(_equal(values[0], each) is True for each in values[1:])


def _like(values: Sequence[Any]) -> Truth:
    text, pattern = values
    return like(text, pattern) if isinstance(text, str) and isinstance(pattern, str) else None


_ARITY = {
    _OPERATOR.Equals: (2, 2),
    _OPERATOR.IsNull: (1, 1),
    _OPERATOR.GreaterThan: (2, 2),
    _OPERATOR.LessThan: (2, 2),
    _OPERATOR.GreaterThanOrEqual: (2, 2),
    _OPERATOR.LessThanOrEqual: (2, 2),
    _OPERATOR.Like: (2, 2),
    _OPERATOR.Not: (1, 1),
    _OPERATOR.Between: (3, 3),
    _OPERATOR.InList: (2, MAX_OPERANDS),
    _OPERATOR.And: (2, 2),
    _OPERATOR.Or: (2, 2),
    _OPERATOR.OfType: (1, 1),
}
_JUDGES: dict[Any, Callable[[Sequence[Any]], Truth]] = {
    _OPERATOR.Equals: lambda values: _equal(values[0], values[1]),
    _OPERATOR.IsNull: lambda values: values[0] is None,
    _OPERATOR.GreaterThan: _compare(lambda order: order > 0),
    _OPERATOR.LessThan: _compare(lambda order: order < 0),
    _OPERATOR.GreaterThanOrEqual: _compare(lambda order: order >= 0),
    _OPERATOR.LessThanOrEqual: _compare(lambda order: order <= 0),
    _OPERATOR.Like: _like,
    _OPERATOR.Not: _not,
    _OPERATOR.Between: _between,
    _OPERATOR.InList: _in_list,
    _OPERATOR.And: _and,
    _OPERATOR.Or: _or,
}
