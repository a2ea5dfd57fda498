"""Bad input is the client's fault and is told so: never an internal error."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
_BODY = st.one_of(
    st.binary(max_size=40),
    _JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"value": _JSON}, optional={"reason": _JSON}).map(
        lambda value: json.dumps(value).encode()
    ),
    st.sampled_from(
        [b'{"value": 1' + b"0" * 5000 + b"}", b'{"value": "\\ud800"}', b'{"value": 1e999}', b"[" * 20_000]
    ),
)
_WORD = st.text(max_size=12) | st.sampled_from(
    ["-1", "9" * 30, "NaN", "tank/level", "**", "[", "\x00", "../.."]
)
_REQUEST = st.one_of(
    st.tuples(
        st.just("PUT"),
        st.sampled_from(["tank/setpoint", "tank/batch", "pump/count", "pump/run", "nothing"]).map(
            "/tags/{}".format
        ),
        _BODY,
    ),
    st.tuples(st.just("POST"), _WORD.map(lambda word: f"/alarms/{quote(word, safe='')}/acknowledge"), _BODY),
    st.tuples(st.just("POST"), _WORD.map(lambda word: f"/components/{quote(word, safe='')}/restart"), _BODY),
    st.tuples(st.just("GET"), _WORD.map(lambda word: f"/tags/{quote(word)}"), st.none()),
    st.tuples(
        st.just("GET"),
        st.builds(
            "{}?{}={}&{}={}".format,
            st.sampled_from(
                ["/tags", "/history", "/history/trend", "/alarms", "/alarms/journal", "/audit", "/info"]
            ),
            st.sampled_from(["match", "tag", "limit", "before", "all", "after"]),
            _WORD.map(quote),
            st.sampled_from(["start", "end", "buckets", "limit", "tag"]),
            _WORD.map(quote),
        ),
        st.none(),
    ),
)


def test_no_input_is_an_internal_error(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            transport = httpx.AsyncHTTPTransport(uds=endpoint.socket)
            async with httpx.AsyncClient(transport=transport, base_url="http://x/api/v1", timeout=60) as raw:

                @settings(max_examples=300, deadline=None, database=None)
                @given(st.data())
                def fuzz(data: st.DataObject) -> None:
                    method, path, body = data.draw(_REQUEST)
                    headers = {"Content-Type": data.draw(st.sampled_from(["application/json", "text/plain"]))}
                    request = raw.request(method, path, content=body, headers=headers)
                    answer = asyncio.run_coroutine_threadsafe(request, loop).result(60)
                    assert answer.status_code < 500, (answer.status_code, answer.text)
                    if answer.status_code >= 400:
                        problem = answer.json()
                        assert set(problem) == {"error", "remedy", "detail", "title", "status"}
                        assert problem["status"] == answer.status_code
                        assert answer.headers["content-type"] == "application/problem+json"

                loop = asyncio.get_running_loop()
                await asyncio.to_thread(fuzz)
                assert (await raw.get("/info")).status_code == 200

    asyncio.run(main())
