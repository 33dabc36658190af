"""An identity provider for tests: pysaml2, which signs and encrypts with xmlsec1. Its options come as
JSON; it prints one line of JSON when it is ready."""

import http.server
import json
import sys
import urllib.parse

from saml2 import BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server

OPTIONS = json.loads(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a request for authentication with a form."""

    def do_GET(self):  # noqa: N802 (the name is the framework's)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        request = IDP.parse_authn_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT).message
        name = NameID(format=NAMEID_FORMAT_PERSISTENT, text=OPTIONS["name_id"])
        response = IDP.create_authn_response(
            OPTIONS["identity"],
            in_response_to=request.id,
            destination=request.assertion_consumer_service_url,
            sp_entity_id=request.issuer.text,
            name_id=name,
            authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"},
            sign_assertion=True,
            sign_response=OPTIONS["sign_response"],
            encrypt_assertion=OPTIONS["encrypt"],
            encrypted_advice_attributes=False,
            sign_alg="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            digest_alg="http://www.w3.org/2001/04/xmlenc#sha256",
        )
        import base64

        message = base64.b64encode(str(response).encode()).decode()
        page = (
            f'<form action="{request.assertion_consumer_service_url}">'
            f'<input name="SAMLResponse" value="{message}">'
            f'<input name="RelayState" value="{query.get("RelayState", "")}"></form>'
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
BASE = f"http://127.0.0.1:{SERVER.server_port}"
IDP = Server(
    config=IdPConfig().load(
        {
            "entityid": OPTIONS["issuer"],
            "key_file": OPTIONS["key"],
            "cert_file": OPTIONS["cert"],
            "xmlsec_binary": OPTIONS["xmlsec"],
            "metadata": {"local": [OPTIONS["metadata"]]},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(BASE + "/sso", BINDING_HTTP_REDIRECT)]
                    },
                    "policy": {"default": {"lifetime": {"minutes": 5}}},
                }
            },
        }
    )
)
print(json.dumps({"port": SERVER.server_port}), flush=True)
SERVER.serve_forever()
