"""Verifies `v1a` (Ed25519) by the endpoint's public key, with the library `cryptography` (PyPI)."""
import base64
import json
import sys
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify(public_key, headers, body, now=None):
    now = time.time() if now is None else now
    timestamp = headers["webhook-timestamp"]
    if abs(now - int(timestamp)) > 300:
        return False
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{timestamp}.".encode() + body
    for entry in headers["webhook-signature"].split(" "):
        version, _, signature = entry.partition(",")
        if version != "v1a":
            continue
        try:
            key.verify(base64.b64decode(signature), signed)
            return True
        except InvalidSignature:
            pass
    return False


for delivery in json.load(sys.stdin):
    genuine = verify(delivery["public_key"], delivery["headers"], delivery["body"].encode())
    print("genuine" if genuine else "refused")
