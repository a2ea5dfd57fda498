"""Logins by an OpenID Connect issuer: a process of the test's own with real keys, and its hostile tokens."""

import asyncio
import base64
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from runtime.api.app import create_app
from runtime.assembly import assemble
from runtime.cli import build
from runtime.clock import SECOND_NS, ManualClock, WallClock
from runtime.config import PlantFile
from runtime.config.models import OidcConfig
from runtime.contract import Role
from runtime.endpoint import running
from runtime.errors import ConnectError, ForbiddenError, PlantError
from runtime.gate import oidc
from runtime.gate.oidc import LEEWAY_S, Oidc, TokenError
from runtime.kernel import Kernel
from runtime.wire import PREFIX

NOW_S = 1_800_000_000
CLIENT = "ironworks"
LOGIN = """\
login:
  oidc:
    issuer: {issuer}
    client_id: ironworks
    roles_claim: realm.groups
    roles:
      - {{value: everyone, role: viewer, areas: {{line1/**: operator}}}}
      - {{value: engineers, role: engineer}}
"""


@pytest.fixture(scope="module")
def issuer():
    script = Path(__file__).with_name("issuer_process.py")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().strip()
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        yield http
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


@pytest.fixture(autouse=True)
def as_it_begins(issuer, monkeypatch):
    issuer.post("/set", json={"published": ["rsa", "ec", "short"], "up": True, "denied": False})
    monkeypatch.setattr(oidc, "_AGAIN_NS", 0)
    monkeypatch.setattr(oidc, "_TIMEOUT_S", 60)


def url_of(issuer):
    return str(issuer.base_url).rstrip("/")


def config_of(issuer, **more):
    roles = [
        {"value": "everyone", "role": "viewer", "areas": {"line1/**": "operator"}},
        {"value": "engineers", "role": "engineer"},
    ]
    base = {"issuer": url_of(issuer), "client_id": CLIENT, "roles_claim": "realm.groups", "roles": roles}
    return OidcConfig.model_validate({**base, **more})


def claims_of(issuer, now_s=NOW_S, **more):
    claims = {
        "iss": url_of(issuer),
        "aud": CLIENT,
        "sub": "7",
        "preferred_username": "wang@plant.example",
        "realm": {"groups": ["everyone", "others"]},
        "iat": now_s,
        "exp": now_s + 300,
        **more,
    }
    return {key: value for key, value in claims.items() if value is not None}


def minted(issuer, claims=None, **more):
    wanted = {"claims": claims_of(issuer) if claims is None else claims, **more}
    return issuer.post("/mint", content=json.dumps(wanted)).json()["token"]


def asked(issuer, token, *, at_s=NOW_S, **more):
    """Return who the token is for."""
    return asyncio.run(Oidc(config_of(issuer, **more), ManualClock(at_s * SECOND_NS), "s/a").actor(token))


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_a_token_of_the_issuer_is_its_person_with_the_roles_of_the_plant_file(issuer, key):
    actor = asked(issuer, minted(issuer, key=key))
    assert (actor.name, actor.role, actor.via) == ("oidc:wang@plant.example", Role.VIEWER, "oidc")
    assert actor.at("s/a/line1/sp").role is Role.OPERATOR
    claims = claims_of(issuer, realm={"groups": ["everyone", "engineers"]})
    assert asked(issuer, minted(issuer, claims)).role is Role.ENGINEER
    claims = claims_of(issuer, realm={"groups": "engineers"})
    assert asked(issuer, minted(issuer, claims)).role is Role.ENGINEER


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        ({"alg": "none"}, "not accepted"),
        ({"alg": "None"}, "not accepted"),
        ({"alg": "HS256", "secret": "public key"}, "not accepted"),
        ({"alg": "HS256", "header": {"kid": "secret"}}, "not accepted"),
        ({"alg": "RS256", "secret": "public key"}, "Signature verification failed"),
        ({"alg": "RS512", "secret": "public key"}, "does not match|not allowed"),
        ({"alg": "ES256", "secret": "public key"}, "does not match|not allowed"),
        ({"key": "stranger"}, "a key that the issuer does not have"),
        ({"key": "stranger", "header": {"kid": "rsa"}}, "Signature verification failed"),
        ({"key": "rsa", "header": {"kid": "ec"}}, "does not match|not allowed"),
        ({"key": "rsa", "header": {"kid": None}}, "a key that the issuer does not have"),
        ({"key": "other", "header": {"kid": "encryption"}}, "a key that the issuer does not have"),
        ({"key": "short"}, "bits"),
        ({"header": {"typ": "logout+jwt"}}, "is no login"),
        ({"header": {"crit": ["exp"]}}, "not accepted"),
        (
            {"header": {"jku": "http://127.0.0.1:9/keys", "kid": "evil"}},
            "a key that the issuer does not have",
        ),
    ],
)
def test_a_forged_token_lets_nobody_in(issuer, forged, why):
    with pytest.raises(TokenError, match=why):
        asked(issuer, minted(issuer, **forged))


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"iss": None}, "iss"),
        ({"aud": "another"}, "[Aa]udience"),
        ({"aud": None}, "aud"),
        ({"aud": [CLIENT, "another"]}, "another client"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "another client"),
        ({"sub": None}, "sub"),
        ({"exp": None}, "exp"),
        ({"iat": None}, "iat"),
        ({"exp": NOW_S - LEEWAY_S}, "is over"),
        ({"exp": True}, "not a time"),
        ({"exp": float("inf")}, "not a time"),
        ({"exp": float("nan")}, "not a time"),
        ({"iat": 10**400}, "of the future"),
        ({"exp": "soon"}, "not a time"),
        ({"iat": NOW_S + LEEWAY_S + 1}, "of the future"),
        ({"nbf": NOW_S + LEEWAY_S + 1}, "of the future"),
        ({"preferred_username": None}, "has no preferred_username"),
        ({"preferred_username": "a b"}, "is not a name"),
        ({"preferred_username": "x" * 200}, "is not a name"),
        ({"preferred_username": ["boss"]}, "is not a name"),
    ],
)
def test_a_token_with_wrong_claims_lets_nobody_in(issuer, claims, why):
    with pytest.raises(TokenError, match=why):
        asked(issuer, minted(issuer, claims_of(issuer, **claims)))


NO_TOKENS = ["", ".", "..", "a.b.c", "é.é.é", "x" * 20_000, "e30.e30.e30", "iws", "W10.W10."]
NO_TOKENS.append(base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.e30")


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token_lets_nobody_in(issuer, token):
    with pytest.raises(TokenError):
        asked(issuer, token)


def test_skew_of_the_clocks_is_bounded(issuer):
    token = minted(issuer)
    assert asked(issuer, token, at_s=NOW_S - LEEWAY_S)
    assert asked(issuer, token, at_s=NOW_S + 299 + LEEWAY_S)
    for at_s in (NOW_S - LEEWAY_S - 1, NOW_S + 300 + LEEWAY_S):
        with pytest.raises(TokenError):
            asked(issuer, token, at_s=at_s)


@pytest.mark.parametrize("groups", [None, [], ["others"], {"everyone": 1}, [["everyone"]], 7])
def test_who_has_no_role_is_told_so(issuer, groups):
    with pytest.raises(ForbiddenError, match="has none that"):
        asked(issuer, minted(issuer, claims_of(issuer, realm={"groups": groups})))


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt"])
def test_an_access_token_for_an_audience_of_its_own(issuer, typ):
    token = minted(issuer, claims_of(issuer, aud="plant-api"), header={"typ": typ})
    assert asked(issuer, token, audience="plant-api")
    with pytest.raises(TokenError):
        asked(issuer, token)


def test_keys_are_kept_rotate_and_serve_while_the_issuer_is_away(issuer, monkeypatch):
    async def main():
        known = Oidc(config_of(issuer), ManualClock(NOW_S * SECOND_NS), "s/a")
        before = issuer.get("/asked").json()["asked"]
        await asyncio.gather(*(known.actor(minted(issuer)) for _ in range(5)))
        assert issuer.get("/asked").json()["asked"] == before + 1
        issuer.post("/set", json={"published": ["later"]})
        assert await known.actor(minted(issuer, key="later"))
        with pytest.raises(TokenError, match="does not have"):
            await known.actor(minted(issuer))
        monkeypatch.setattr(oidc, "_AGAIN_NS", 3600 * SECOND_NS)
        before = issuer.get("/asked").json()["asked"]
        for _ in range(5):
            with pytest.raises(TokenError, match="does not have"):
                await known.actor(minted(issuer, header={"kid": "guess"}))
        assert issuer.get("/asked").json()["asked"] == before
        issuer.post("/set", json={"up": False})
        monkeypatch.setattr(oidc, "_AGAIN_NS", 0)
        monkeypatch.setattr(oidc, "_FRESH_NS", 0)
        assert await known.actor(minted(issuer, key="later"))
        monkeypatch.setattr(oidc, "_USABLE_NS", 0)
        with pytest.raises(ConnectError, match="does not answer"):
            await known.actor(minted(issuer, key="later"))
        with pytest.raises(ConnectError, match="does not answer"):
            await Oidc(config_of(issuer), known._clock, "s/a").actor(minted(issuer))

    asyncio.run(main())


@pytest.mark.parametrize("url", ["http://elsewhere.example", "https://", "ftp://x", "issuer"])
def test_an_issuer_that_others_can_read_is_refused(url):
    head = {"plant": "p", "root": "s/a", "login": {"oidc": {"issuer": url, "client_id": "x", "roles": []}}}
    with pytest.raises(ValueError, match="must begin with https://"):
        PlantFile.model_validate(head)


@pytest.fixture
def plant(tmp_path, issuer):
    login = LOGIN.format(issuer=url_of(issuer))
    (tmp_path / "plant.yaml").write_text(f"plant: m\nroot: s/l\nhistory: null\napi: {{port: 0}}\n{login}")
    (tmp_path / "tags.csv").write_text("path,type,access,initial\nline1/sp,REAL,rw,5\nline2/sp,REAL,rw,5\n")
    return tmp_path


def test_a_token_serves_as_bearer_and_opens_a_session(plant, issuer):
    kernel = Kernel(assemble(plant), WallClock())
    now_s = kernel.clock.now_ns() // SECOND_NS

    async def main():
        await kernel.journal.open()
        await kernel._restore()
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:

            def bearer(text):
                return {"headers": {"Authorization": f"Bearer {text}"}}

            token = bearer(minted(issuer, claims_of(issuer, now_s)))
            me = (await http.get("/info", **token)).json()["user"]
            assert (me["name"], me["role"], me["via"]) == ("oidc:wang@plant.example", "viewer", "oidc")
            assert (await http.put("/tags/line1/sp", json={"value": 6}, **token)).status_code == 200
            assert (await http.put("/tags/line2/sp", json={"value": 6}, **token)).status_code == 403
            assert (await http.get("/users", **token)).status_code == 403
            made = await http.post("/sessions", **token)
            assert made.status_code == 200, made.text
            session = bearer(made.json()["session"])
            assert (await http.get("/info", **session)).json()["user"]["via"] == "session"
            assert (await http.put("/tags/line1/sp", json={"value": 7}, **session)).status_code == 200
            assert (await http.post("/sessions")).status_code == 422
            assert (await http.post("/sessions", **session)).status_code == 422
            for claims, status in (({"exp": now_s - 99}, 401), ({"realm": {}}, 403)):
                wrong = bearer(minted(issuer, claims_of(issuer, now_s, **claims)))
                assert (await http.get("/info", **wrong)).status_code == status
            strange = bearer(minted(issuer, claims_of(issuer, now_s, aud="another")))
            remedy = (await http.get("/info", **strange)).json()["remedy"]
            assert "login --oidc" in remedy
            assert "unix socket" not in remedy
            issuer.post("/set", json={"up": False})
            assert (await http.get("/info", **session)).status_code == 200
            way = (await http.get("/login")).json()["oidc"]
            assert (way["issuer"], way["access_token"]) == (url_of(issuer), False)
            kernel.identity._oidc = config_of(issuer, scope="openid")  # another plant file
            assert (await http.get("/info", **session)).status_code == 401
        await kernel.journal.close()

    asyncio.run(main())


def test_a_device_logs_in_by_a_code_that_is_entered_elsewhere(issuer, capsys):
    from runtime.cli.device import device_login
    from runtime.logins import OidcWay

    way = OidcWay(url_of(issuer), CLIENT, "openid profile", False)
    clock = WallClock()
    claims = claims_of(issuer, clock.now_ns() // SECOND_NS)
    issuer.post("/set", json={"claims": claims})
    token = asyncio.run(device_login(way, clock))
    told = capsys.readouterr().err
    assert "WDJB-MJHT" in told
    assert f"{url_of(issuer)}/enter?code=" in told
    actor = asyncio.run(Oidc(config_of(issuer), clock, "s/a").actor(token))
    assert actor.name == "oidc:wang@plant.example"
    issuer.post("/set", json={"denied": True})
    with pytest.raises(PlantError, match="the person said no"):
        asyncio.run(device_login(way, clock))
    issuer.post("/set", json={"up": False})
    with pytest.raises(ConnectError, match="does not answer"):
        asyncio.run(device_login(way, clock))
    nobody = OidcWay("http://127.0.0.1:9", CLIENT, "openid", False)
    with pytest.raises(ConnectError, match="does not answer: ") as told:
        asyncio.run(device_login(nobody, clock))
    assert "8628" not in told.value.remedy  # what it offers is not known


def test_a_code_is_waited_for_over_a_line_that_breaks():
    from runtime.cli.device import device_login
    from runtime.logins import OidcWay

    url, waits, tries = "https://issuer.example", [], []

    def answer(request):
        if request.url.path == "/token":
            tries.append(request)
            if len(tries) < 3:
                raise httpx.ReadTimeout("")
        ends = {f"{name}_endpoint": f"{url}/{name}" for name in ("token", "device_authorization")}
        code = {"device_code": "x", "user_code": "X", "verification_uri": url, "expires_in": 600}
        return httpx.Response(200, json={"issuer": url, **ends, **code, "interval": 2, "id_token": "made"})

    class Quick(ManualClock):
        async def sleep(self, seconds):
            waits.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oidc, "http_client", lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        assert asyncio.run(device_login(OidcWay(url, CLIENT, "openid", False), Quick(0))) == "made"
    assert waits == [2, 4, 8]


def test_log_in_by_the_issuer_from_a_shell(plant, issuer, monkeypatch):
    home = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)
    monkeypatch.setenv("XDG_STATE_HOME", home)

    def run(*arguments):
        return CliRunner().invoke(build(arguments[0]), [*arguments, "--plant", str(plant)])

    async def main():
        kernel = Kernel(assemble(plant), WallClock())
        issuer.post("/set", json={"claims": claims_of(issuer, kernel.clock.now_ns() // SECOND_NS)})
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(kernel.run(stop))
            try:
                while not running():
                    await kernel.clock.sleep(0.05)
                told = await asyncio.to_thread(run, "login", "--oidc")
                assert told.stdout.startswith("oidc:wang@plant.example is logged in as viewer"), told.output
                assert "WDJB-MJHT" in told.stderr
                assert (await asyncio.to_thread(run, "write", "line1/sp", "8")).exit_code == 0
                refused = await asyncio.to_thread(run, "write", "line2/sp", "8")
                assert "oidc:wang@plant.example is viewer" in refused.exception.text
            finally:
                stop.set()

    asyncio.run(main())
    shutil.rmtree(home)
