"""The types of companion specifications that the server's own model needs, as tables.

Parts of the namespaces only, and their metadata says so (IsNamespaceSubset); a plant file that names the
whole NodeSet under `nodesets:` has that instead.

Source: node ids, names and types as in OPC 10000-100 (DI) 1.05, OPC 30000 (PLCopen) 1.00 and OPC 40001-1
(Machinery) 1.04.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from drivers.opcua.nodesets.records import TYPE_OF, Record

DI_URI = "http://opcfoundation.org/UA/DI/"
PLCOPEN_URI = "http://PLCopen.org/OpcUa/IEC61131-3/"
MACHINERY_URI = "http://opcfoundation.org/UA/Machinery/"
_C = ua.NodeClass
_A = ua.AttributeIds
_T = ua.VariantType
_IDS = ua.ObjectIds
_RULES = {"M": 78, "O": 80, "MP": 11510, "OP": 11508}  # ModellingRules. Source: OPC 10000-3, 6.4.4
_NEVER = datetime(1601, 1, 1, tzinfo=UTC)  # the null of DateTime. Source: OPC 10000-6, 5.2.2.5
_PREFIXES = {"0": "", "di": DI_URI, "plc": PLCOPEN_URI, "m": MACHINERY_URI}


@dataclass(frozen=True, slots=True)
class Model:
    """A namespace and what of it there is.

    Attributes:
        table: a line a node: kind (T object type, R reference type, O object, V variable, P property, M
            method), id, name, parent; then of T `abstract`, of R the inverse name, of others the type
            definition or data type, and the modelling rule (M, O, MP, OP). A parent `+` organizes, others
            have components. Names and ids of other namespaces have a prefix.
    """

    uri: str
    version: str
    published: datetime
    table: str


DI = Model(
    DI_URI,
    "1.05.0",
    datetime(2025, 11, 15, tzinfo=UTC),
    """
    T  1001 TopologyElementType     0:58   abstract
    O  5002 ParameterSet            1001   0:58    O
    V  6017 <ParameterIdentifier>   5002   0:24    MP
    O  5003 MethodSet               1001   0:58    O
    O  6567 <GroupIdentifier>       1001   1005    OP
    O  6014 Identification          1001   1005    O
    T 15063 ComponentType           1001   abstract
    P 15086 Manufacturer           15063   0:21    O
    P 15087 ManufacturerUri        15063   0:12    O
    P 15088 Model                  15063   0:21    O
    P 15089 HardwareRevision       15063   0:12    O
    P 15090 SoftwareRevision       15063   0:12    O
    P 15091 DeviceRevision         15063   0:12    O
    P 15092 ProductCode            15063   0:12    O
    P 15093 DeviceManual           15063   0:12    O
    P 15094 DeviceClass            15063   0:12    O
    P 15095 SerialNumber           15063   0:12    O
    P 15096 ProductInstanceUri     15063   0:12    O
    P 15097 RevisionCounter        15063   0:6     O
    P 15098 AssetId                15063   0:12    O
    P 15099 ComponentName          15063   0:21    O
    T  1002 DeviceType             15063   abstract
    P  6003 Manufacturer            1002   0:21    M
    P  6004 Model                   1002   0:21    M
    P  6008 HardwareRevision        1002   0:12    M
    P  6007 SoftwareRevision        1002   0:12    M
    P  6006 DeviceRevision          1002   0:12    M
    P  6005 DeviceManual            1002   0:12    M
    P  6470 DeviceClass             1002   0:12    O
    P  6001 SerialNumber            1002   0:12    M
    P  6002 RevisionCounter         1002   0:6     M
    T  1003 BlockType               1001   abstract
    P  6009 RevisionCounter         1003   0:6     O
    T  1004 ConfigurableObjectType  0:58   -
    O  5004 SupportedTypes          1004   0:61    M
    O  6026 <ObjectIdentifier>      1004   0:58    OP
    T  1005 FunctionalGroupType     0:61   -
    O  6027 <GroupIdentifier>       1005   1005    OP
    O  5001 DeviceSet              +0:85   0:58    -
    """,
)
PLCOPEN = Model(
    PLCOPEN_URI,
    "1.00",
    datetime(2010, 3, 24, tzinfo=UTC),
    """
    R  4001 HasInputVars            0:47   InputVarsOf
    R  4002 HasOutputVars           0:47   OutputVarsOf
    R  4003 HasInOutVars            0:47   InOutVarsOf
    R  4004 HasLocalVars            0:47   LocalVarsOf
    R  4005 HasExternalVars         0:35   ExternalVarsOf
    R  4006 With                    0:32   Executes
    T  1001 CtrlConfigurationType   di:1002 -
    O  5002 MethodSet               1001   0:58    O
    M  7001 Start                   5002   -       O
    M  7002 Stop                    5002   -       O
    O  5004 Resources               1001   di:1004 M
    O  5005 di:SupportedTypes       5004   0:61    M
    O  5006 GlobalVars              1001   di:1005 M
    O  5007 AccessVars              1001   di:1005 M
    O  5008 ConfigVars              1001   di:1005 M
    O  5009 Configuration           1001   di:1005 M
    O  5010 Diagnostic              1001   di:1005 M
    T  1002 CtrlResourceType        di:1002 -
    O  5012 MethodSet               1002   0:58    O
    M  7003 Start                   5012   -       O
    M  7004 Stop                    5012   -       O
    O  5014 Tasks                   1002   di:1004 M
    O  5015 di:SupportedTypes       5014   0:61    M
    O  5016 Programs                1002   di:1004 M
    O  5017 di:SupportedTypes       5016   0:61    M
    O  5018 GlobalVars              1002   di:1005 O
    O  5019 Configuration           1002   di:1005 O
    O  5020 Diagnostic              1002   di:1005 O
    T  1003 CtrlProgramOrganizationUnitType di:1003 abstract
    V  6001 Body                    1003   0:16    O
    T  1004 CtrlProgramType         1003   abstract
    V  6002 Program                 1004   0:22    O
    T  1005 CtrlFunctionBlockType   1003   abstract
    V  6003 FunctionBlock           1005   0:24    O
    T  1006 CtrlTaskType            0:58   -
    P  6004 Priority                1006   0:7     M
    P  6005 Interval                1006   0:12    O
    P  6006 Single                  1006   0:12    O
    T  1007 SFCType                 0:58   -
    """,
)
MACHINERY = Model(
    MACHINERY_URI,
    "1.04.1",
    datetime(2026, 1, 1, tzinfo=UTC),
    """
    T  1004 MachineryItemIdentificationType di:1005 abstract
    P  6013 di:AssetId              1004   0:12    O
    P  6014 di:ComponentName        1004   0:21    O
    P  6012 di:DeviceClass          1004   0:12    O
    P  6010 di:HardwareRevision     1004   0:12    O
    P  6006 InitialOperationDate    1004   0:13    O
    P  6002 di:Manufacturer         1004   0:21    M
    P  6007 di:ManufacturerUri      1004   0:12    O
    P  6008 di:Model                1004   0:21    O
    P  6005 MonthOfConstruction     1004   0:3     O
    P  6009 di:ProductCode          1004   0:12    O
    P  6001 di:ProductInstanceUri   1004   0:12    O
    P  6003 di:SerialNumber         1004   0:12    M
    P  6011 di:SoftwareRevision     1004   0:12    O
    P  6004 YearOfConstruction      1004   0:5     O
    T  1012 MachineIdentificationType 1004 -
    P  6029 Location                1012   0:12    O
    P  6015 di:ProductInstanceUri   1012   0:12    M
    O  1001 Machines               +0:85   0:61    -
    """,
)
MODELS = (DI, PLCOPEN, MACHINERY)


def records_of(model: Model, indexes: Mapping[str, int]) -> Iterator[Record]:
    """Yield the nodes of a model; `indexes` are those of the server's namespaces by URI."""
    for line in model.table.strip().splitlines():
        kind, number, name, parent, about, *rule = line.split()
        yield _Row(indexes, indexes[model.uri]).record(kind, number, name, parent, about, *rule)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a table, in the indexes of the server."""

    indexes: Mapping[str, int]
    own: int

    def record(self, kind: str, number: str, name: str, parent: str, about: str, rule: str = "-") -> Record:
        above = self._node(parent.lstrip("+"))
        record = Record(self._node(number), _CLASSES[kind], self._name(name))
        if kind in "TR":
            record.references.append((ua.NodeId(_IDS.HasSubtype), False, above))
            if kind == "R":
                record.attributes[_A.InverseName] = ua.LocalizedText(about), _T.LocalizedText
            record.attributes[_A.IsAbstract] = about == "abstract", _T.Boolean
            return record
        if kind in "VP":
            record.attributes[_A.DataType] = self._node(about), _T.NodeId
            about = "0:68" if kind == "P" else "0:63"
        if about != "-":
            record.references.append((TYPE_OF, True, self._node(about)))
        if rule in _RULES:
            record.references.append((ua.NodeId(_IDS.HasModellingRule), True, ua.NodeId(_RULES[rule])))
        via = _IDS.Organizes if parent[0] == "+" else _IDS.HasProperty if kind == "P" else _IDS.HasComponent
        record.references.append((ua.NodeId(via), False, above))
        return record

    def _node(self, text: str) -> Any:
        prefix, colon, number = text.rpartition(":")
        return ua.NodeId(int(number), self._index(prefix) if colon else self.own)

    def _name(self, text: str) -> Any:
        prefix, colon, name = text.rpartition(":")
        return ua.QualifiedName(name, self._index(prefix) if colon else self.own)

    def _index(self, prefix: str) -> int:
        return self.indexes[_PREFIXES[prefix]] if _PREFIXES[prefix] else 0


_CLASSES = {
    "T": _C.ObjectType,
    "R": _C.ReferenceType,
    "O": _C.Object,
    "V": _C.Variable,
    "P": _C.Variable,
    "M": _C.Method,
}


def metadata(
    uri: str, index: int, owner: int, version: str = "1.0", published: datetime = _NEVER, whole: bool = True
) -> Iterator[Record]:
    """Yield the NamespaceMetadata of a namespace, whose nodes are in the namespace `owner`.

    Source: OPC 10000-5, 6.3.13 NamespaceMetadataType.
    """
    head = Record(ua.NodeId(f"namespaces/{uri}", owner), _C.Object, ua.QualifiedName(uri, index))
    head.references += [
        (TYPE_OF, True, ua.NodeId(_IDS.NamespaceMetadataType)),
        (ua.NodeId(_IDS.HasComponent), False, ua.NodeId(_IDS.Server_Namespaces)),
    ]
    yield head
    values: dict[str, tuple[Any, Any, int, int]] = {
        "NamespaceUri": (uri, _T.String, _IDS.String, -1),
        "NamespaceVersion": (version, _T.String, _IDS.String, -1),
        "NamespacePublicationDate": (published, _T.DateTime, _IDS.DateTime, -1),
        "IsNamespaceSubset": (not whole, _T.Boolean, _IDS.Boolean, -1),
        "StaticNodeIdTypes": ([], _T.Int32, _IDS.IdType, 1),
        "StaticNumericNodeIdRange": ([], _T.String, _IDS.NumericRange, 1),
        "StaticStringNodeIdPattern": ("", _T.String, _IDS.String, -1),
    }
    for name, (value, kind, data_type, rank) in values.items():
        record = Record(ua.NodeId(f"namespaces/{uri}/{name}", owner), _C.Variable, ua.QualifiedName(name, 0))
        record.attributes = {
            _A.Value: (value, kind),
            _A.DataType: (ua.NodeId(data_type), _T.NodeId),
            _A.ValueRank: (rank, _T.Int32),
        }
        record.references += [
            (TYPE_OF, True, ua.NodeId(_IDS.PropertyType)),
            (ua.NodeId(_IDS.HasProperty), False, head.node_id),
        ]
        yield record
