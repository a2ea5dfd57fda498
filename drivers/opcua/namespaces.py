"""The namespaces of a plant's server, and the nodes in them that stand still."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from drivers.opcua.model import EXTRAS, MODEL, TAGS
from drivers.opcua.nodesets.records import Record
from drivers.opcua.nodesets.standard import MODELS, metadata, records_of

UA_URI = "http://opcfoundation.org/UA/"


def namespaces(plant: str, application_uri: str, more: Sequence[str] = ()) -> list[str]:
    """Return the URIs of all namespaces in order of their indexes."""
    own = [f"urn:ironworks:{plant}:{each}" for each in ("tags", "alarms")]
    known = [UA_URI, application_uri, *own, *(each.uri for each in MODELS), f"urn:ironworks:{plant}:model"]
    return [*known, *(each for each in dict.fromkeys(more) if each not in known)]


def still_nodes(
    uris: Sequence[str], records: Sequence[Record] = (), whole: Collection[str] = ()
) -> list[Record]:
    """Return the types that the model needs, and the nodes of files, which have some namespaces whole."""
    indexes = {uri: index for index, uri in enumerate(uris)}
    found = list(records)
    for model in MODELS:
        if model.uri not in whole:
            found += records_of(model, indexes)
            found += metadata(
                model.uri, indexes[model.uri], MODEL, model.version, model.published, whole=False
            )
    for index in (TAGS, EXTRAS, MODEL):
        found += metadata(uris[index], index, MODEL)
    return found
