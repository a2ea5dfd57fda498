"""Addresses of tags on a server: what they mean, and what is said of wrong ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.frame.address import AddressError
from drivers.opcua.client.address import Address, NodeRef, parse


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("ns=2;s=Pump.Speed", Address(NodeRef(2, "s", "Pump.Speed"))),
        ("nsu=urn:a;b#c;s=Pump", Address(NodeRef("urn:a;b#c", "s", "Pump"))),
        ("i=2258", Address(NodeRef(0, "i", "2258"))),
        ("ns=3;i=007", Address(NodeRef(3, "i", "7"))),
        ('ns=3;s="DB1"."a"[3]', Address(NodeRef(3, "s", '"DB1"."a"[3]'))),
        ("ns=2;s=T#[3]", Address(NodeRef(2, "s", "T"), (3,))),
        ("ns=2;s=M#[2,0]", Address(NodeRef(2, "s", "M"), (2, 0))),
        ("ns=2;s=P#.status.code", Address(NodeRef(2, "s", "P"), (), ("status", "code"))),
        ("ns=2;s=P#[1].x[2]", Address(NodeRef(2, "s", "P"), (1,), ("x", 2))),
        ("ns=2;s=a#b", Address(NodeRef(2, "s", "a#b"))),
        ("ns=2;s=a#[1]#", Address(NodeRef(2, "s", "a#[1]"))),
        ("ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a",
         Address(NodeRef(2, "g", "09087e75-8e5e-499b-954f-f2a9603db28a"))),
        ("ns=2;b=TWFya2V0", Address(NodeRef(2, "b", "TWFya2V0"))),
        ("call:ns=2;s=P>q>ns=2;s=Reset", Address(NodeRef(2, "s", "P>q"), method=NodeRef(2, "s", "Reset"))),
    ],
)  # fmt: skip
def test_an_address_means_a_node_and_a_place_in_its_value(text, meaning):
    assert parse(text) == meaning


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Pump.Speed", "did you mean 'ns=2;s=Pump.Speed'?"),
        ("ns=2,s=Pump", "did you mean 'ns=2;s=Pump'?"),
        ("ns=2;Pump.Speed", "did you mean 'ns=2;s=Pump.Speed'?"),
        ("ns=70000;s=x", "up to 65535"),
        ("ns=x;s=x", "up to 65535"),
        ("ns=²;s=x", "up to 65535"),
        ("nsu=;s=x", "nsu=urn:vendor:plc"),
        ("ns=2;i=Pump", "behind s="),
        ("ns=2;i=4294967296", "behind s="),
        ("ns=2;g=12", "g=09087e75"),
        ("ns=2;b=%", "base64"),
        ("ns=2;s=", "behind s="),
        ("ns=2;s=T#[x]", "write #[3]"),
        ("ns=2;s=T#.", "write #[3]"),
        ("call:ns=2;s=P", "write call:"),
        ("", "write it like"),
    ],
)
def test_a_wrong_address_comes_with_a_remedy(text, remedy):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert remedy in caught.value.remedy


@given(
    st.one_of(st.integers(0, 65535), st.text("abc:;/#.", min_size=1).map(lambda each: f"urn:{each}")),
    st.one_of(st.text(min_size=1, max_size=20), st.text("a#.[0]", min_size=1)).filter(
        lambda each: ">" not in each
    ),
    st.lists(st.integers(0, 99), max_size=3),
)
def test_what_is_written_out_reads_back(namespace, name, index):
    if isinstance(namespace, str) and any(f";{kind}=" in namespace for kind in "isgb"):
        return
    address = Address(NodeRef(namespace, "s", name), tuple(index))
    assert parse(str(address)) == address


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text):
    remedy = "none is needed"
    try:
        parse(text)
    except AddressError as exc:
        remedy = exc.remedy
    assert remedy
