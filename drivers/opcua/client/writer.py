"""Writes over one connection: typed as the server's variables, elements and fields put into the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from asyncua import ua

from drivers.opcua.client.address import Address, Point
from drivers.opcua.client.items import Said
from drivers.opcua.client.outputs import Output
from drivers.opcua.client.session import Session, read_id, status_name
from drivers.opcua.client.structures import Layouts, changed, leaf
from drivers.opcua.client.values import UnfitError, element, said, to_raw, to_variant
from drivers.opcua.client.wiretypes import WireTypes
from runtime.contract import Batch, DataType, Quality, Value

_UNFIT = int(ua.StatusCodes.BadTypeMismatch)


class Writer:
    """Writes over one connection; knows the types of the server's variables."""

    def __init__(self, session: Session, types: WireTypes) -> None:
        self._session = session
        self._types = types
        self._wires: dict[Any, Any] = {}
        self._whole: dict[Address, bool] = {}
        self._layouts = Layouts(session, types)

    async def write(self, outputs: Sequence[Output]) -> list[tuple[int, str]]:
        """Return status code and reason for each; nothing is sent of what does not fit.

        What does not fit is written once more where the server has given the variable another type meanwhile.
        """
        answers = await self._write(outputs)
        unfit = [at for at, (code, _) in enumerate(answers) if code == _UNFIT]
        known = {self._node(outputs[at].point): None for at in unfit}
        known = {node: self._wires.pop(node) for node in known if node in self._wires}
        if known:
            await self._learn([outputs[at].point for at in unfit])
            again = [at for at in unfit if self._is_other(self._node(outputs[at].point), known)]
            for at, answer in zip(again, await self._write([outputs[at] for at in again]), strict=True):
                answers[at] = answer
        return answers

    def _is_other(self, node: Any, known: Mapping[Any, Any]) -> bool:
        return node in known and self._wires.get(node) is not known[node]

    async def _write(self, outputs: Sequence[Output]) -> list[tuple[int, str]]:
        await self._learn([each.point for each in outputs])
        answers: list[tuple[int, str]] = []
        sent, wanted = [], []
        inside: dict[Any, list[int]] = {}
        for at, each in enumerate(outputs):
            if each.point.address.fields:
                inside.setdefault((self._node(each.point), each.point.address.index), []).append(at)
                answers.append((_UNFIT, ""))
                continue
            found = self._request(each.point, each.value)
            if isinstance(found, str):
                answers.append((_UNFIT, found))
            else:
                answers.append((0, ""))
                sent.append(at)
                wanted.append(found)
        for at, code in zip(sent, await self._session.write(wanted) if wanted else (), strict=True):
            answers[at] = code, status_name(code)
        for rows in inside.values():
            found = await self._write_fields([outputs[at] for at in rows])
            for at, answer in zip(rows, found, strict=True):
                answers[at] = answer
        return answers

    async def _write_fields(self, outputs: Sequence[Output]) -> list[tuple[int, str]]:
        """Read a structure, change fields of it, and write it back; return status code and reason for each.

        Between reading and writing, what others write to it is lost: OPC UA has no write of a field alone.
        """
        first = outputs[0].point
        node, address = self._node(first), first.address
        if node is None:
            return [(_UNFIT, f"the server has no namespace {address.node.namespace}")] * len(outputs)
        if self._whole.get(address):
            return [(_UNFIT, "the server would overwrite the whole array with one element")] * len(outputs)
        data, kind = await self._session.read(
            [read_id(node, index_range=address.index_range), read_id(node, ua.AttributeIds.DataType)]
        )
        if kind.Value is not None:
            await self._layouts.learn(kind.Value.Value)
        value = element(data.Value.Value if data.Value is not None else None, address.index)
        answers = []
        fit = 0
        for each in outputs:
            try:
                layout = self._layouts.of(value, kind.Value.Value if kind.Value is not None else None)
                field = leaf(layout, value, each.point.address.fields)
                plain = to_variant(each.point.tag.data_type, each.value, field.wire).Value
                value = changed(layout, value, each.point.address.fields, plain)
            except UnfitError as exc:
                answers.append((_UNFIT, str(exc)))
            else:
                answers.append((0, ""))
                fit += 1
        if not fit:
            return answers
        for _ in address.index:
            value = [value]
        variant = ua.Variant(value, ua.VariantType.ExtensionObject, is_array=bool(address.index))
        wanted = ua.WriteValue(node, ua.AttributeIds.Value, address.index_range, ua.DataValue(variant))
        (code,) = await self._session.write([wanted])
        return [(each[0], each[1]) if each[0] else (code, status_name(code)) for each in answers]

    async def write_one(self, point: Point, value: Value, now_ns: int) -> tuple[str, Batch | None]:
        """Write and read back; return why it did not do well, or nothing, and what the server keeps."""
        output = Output(point, value)
        ((code, why),) = await self.write([output])
        if code >> 31:
            return (f"the server refuses: {why}" if why.startswith("Bad") else why), None
        ((found, same),) = await self.read_back([output], now_ns)
        if found.raw is None or same is None:
            return f"written, but not read back: {status_name(found.quality)}", None
        tag = point.tag
        text = {} if found.text is None else {0: found.text}
        batch = Batch.of([tag.id], [found.raw], max(found.source_ns, 1), found.quality, text)
        return ("" if same else f"the server keeps {tag.data_type.decode(found.raw, found.text)}"), batch

    async def read_back(self, outputs: Sequence[Output], now_ns: int) -> list[tuple[Said, bool | None]]:
        """Return what the server has of each that was written, and if that is the value; None: not known.

        Raises:
            ConnectError: it does not answer, or refuses the whole request.
        """
        points = [each.point for each in outputs]
        wanted = [read_id(self._node(each), index_range=each.address.index_range) for each in points]
        found = await self._session.read(wanted)
        return [self._compare(each, data, now_ns) for each, data in zip(outputs, found, strict=True)]

    def _compare(self, output: Output, data: Any, now_ns: int) -> tuple[Said, bool | None]:
        tag, address = output.point.tag, output.point.address
        kept = element(data.Value.Value if data.Value is not None else None, address.index)
        wire = self._wires.get(self._node(output.point))
        try:
            if address.fields and kept is not None:
                layout = self._layouts.of(kept, None)
                wire = leaf(layout, kept, address.fields).wire
                kept = self._layouts.field(kept, address.fields, layout)
            found = said(0, tag.data_type, kept, data, now_ns)
            if found.raw is None or Quality.is_bad(found.quality):
                return found, None
            if tag.data_type is DataType.STRING:
                return found, found.text == output.value
            is_, meant = tag.data_type.decode(found.raw), _as_kept(output.point, output.value, wire)
        except UnfitError:  # the server has just given the variable another type
            return Said(0, None, Quality.BAD_CONFIGURATION_ERROR, now_ns), None
        return found, is_ == meant or (is_ != is_ and meant != meant)

    def _node(self, point: Point) -> Any:
        return self._session.node_id(point.address.node)

    def _request(self, point: Point, value: Value) -> Any:
        """Return a WriteValue, or why there is none."""
        node = self._node(point)
        if node is None:
            return f"the server has no namespace {point.address.node.namespace}"
        wire = self._wires[node]
        if wire is None:
            return "the server does not tell the variable's type"
        address = point.address
        if self._whole.get(address):
            return "the server would overwrite the whole array with one element"
        try:
            variant = to_variant(point.tag.data_type, value, wire, address.index)
        except UnfitError as exc:
            return str(exc)
        return ua.WriteValue(node, ua.AttributeIds.Value, address.index_range, ua.DataValue(variant))

    async def _learn(self, points: Sequence[Point]) -> None:
        """Ask for the types of variables written for the first time, and try the ranges of arrays."""
        ranged = [each for each in points if each.address.index and each.address not in self._whole]
        ranged = [each for each in ranged if self._node(each) is not None]
        wanted = [read_id(self._node(each), index_range=each.address.index_range) for each in ranged]
        for point, found in zip(ranged, await self._session.read(wanted) if wanted else (), strict=True):
            self._whole[point.address] = not _is_one(found, len(point.address.index))
        unknown = [node for node in {self._node(point) for point in points} if node is not None]
        unknown = [node for node in unknown if node not in self._wires]
        if not unknown:
            return
        wanted = [read_id(node, ua.AttributeIds.DataType) for node in unknown]
        for node, found in zip(unknown, await self._session.read(wanted), strict=True):
            data_type = found.Value.Value if found.Value is not None else None
            wire = None if data_type is None else await self._types.builtin(data_type)
            if wire is None and data_type is not None:  # each value may have another: as the present one is
                (data,) = await self._session.read([read_id(node)])
                wire = data.Value.VariantType if data.Value is not None else None
            self._wires[node] = wire


def _is_one(data: Any, depth: int) -> bool:
    """Tell whether a server sent one element where one was asked for, not the whole array."""
    value = data.Value.Value if data.Value is not None else None
    for _ in range(depth):
        if not isinstance(value, list) or len(value) != 1:
            return False
        value = value[0]
    return not isinstance(value, list)


def _as_kept(point: Point, value: Value, wire: Any) -> Value:
    """Return a value as it comes back from the server's type, which may round it."""
    variant = to_variant(point.tag.data_type, value, wire)
    if variant.VariantType is ua.VariantType.Float:
        raw, _, _ = to_raw(point.tag.data_type, float(np.float32(variant.Value)))
    else:
        raw, _, _ = to_raw(point.tag.data_type, variant.Value)
    return point.tag.data_type.decode(raw)
