"""An OpenID Connect issuer of the tests' own: a process on loopback with real keys.

It prints its URL, then serves until its standard input ends. `POST /mint` makes any token, hostile ones too.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


def rsa_key(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


KEYS = {
    "rsa": (rsa_key(), "RS256"),
    "ec": (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "short": (rsa_key(1024), "RS256"),
    "later": (rsa_key(), "RS256"),
    "stranger": (rsa_key(), "RS256"),
    "other": (rsa_key(), "RS256"),
}
state = {"published": ["rsa", "ec", "short"], "asked": 0, "up": True, "devices": {}, "url": ""}


def jwk(name):
    key, alg = KEYS[name]
    maker = ECAlgorithm if name == "ec" else RSAAlgorithm
    return {**maker.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig", "alg": alg}


def extra_keys():
    """What is published beside signing keys: a key for encryption, a kind nobody knows, a secret."""
    return [
        {**jwk("other"), "kid": "encryption", "use": "enc"},
        {"kty": "XYZ", "kid": "unknown"},
        {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "alg": "HS256"},
    ]


def mint(wanted):
    """Make a token: `key` signs it, `kid` and `header` say what it says, `alg` picks a forgery."""
    claims, header = wanted["claims"], wanted.get("header", {})
    name = wanted.get("key", "rsa")
    key, alg = KEYS[name]
    header = {"kid": name, **header}
    header = {key_: value for key_, value in header.items() if value is not None}
    forged = wanted.get("alg")
    if forged is None:
        return jwt.encode(claims, key, algorithm=alg, headers=header)
    head = encoded({"typ": "JWT", **header, "alg": forged})
    signing = f"{head}.{encoded(claims)}"
    if forged.lower() == "none":
        return f"{signing}."
    if wanted.get("secret") == "public key":
        secret = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        secret = b"x" * 32
    mac = hmac.new(secret, signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = state["url"]
        if not state["up"]:
            self.answer({}, 503)
        elif self.path == "/.well-known/openid-configuration":
            self.answer(
                {
                    "issuer": url,
                    "jwks_uri": f"{url}/keys",
                    "token_endpoint": f"{url}/token",
                    "device_authorization_endpoint": f"{url}/device",
                }
            )
        elif self.path == "/keys":
            state["asked"] += 1
            self.answer({"keys": [*extra_keys(), *(jwk(each) for each in state["published"])]})
        elif self.path == "/asked":
            self.answer({"asked": state["asked"]})
        else:
            self.answer({}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/mint":
            self.answer({"token": mint(json.loads(body))})
        elif self.path == "/set":
            state.update(json.loads(body))
            self.answer({})
        else:
            form = {key: values[0] for key, values in parse_qs(body).items()}
            self.answer(*(self.device(form) if self.path == "/device" else self.token(form)))

    def device(self, form):
        code = f"device-{len(state['devices'])}"
        state["devices"][code] = {"client": form["client_id"], "polls": 0}
        link = f"{state['url']}/enter"
        return (
            {
                "device_code": code,
                "user_code": "WDJB-MJHT",
                "verification_uri": link,
                "verification_uri_complete": f"{link}?code=WDJB-MJHT",
                "expires_in": 60,
                "interval": 1,
            },
            200,
        )

    def token(self, form):
        """Answer as if somebody entered the code after the first question."""
        device = state["devices"].get(form.get("device_code"))
        if device is None or device["client"] != form.get("client_id"):
            return {"error": "invalid_grant"}, 400
        device["polls"] += 1
        if device["polls"] == 1:
            return {"error": "authorization_pending"}, 400
        if state.get("denied"):
            return {"error": "access_denied", "error_description": "the person said no"}, 400
        claims = {**state["claims"], "iss": state["url"], "aud": form["client_id"]}
        return {"id_token": mint({"claims": claims}), "access_token": "opaque", "token_type": "Bearer"}, 200


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
state["url"] = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(state["url"], flush=True)
sys.stdin.read()
