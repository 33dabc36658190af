"""Verifies `v1` with nothing but what comes with Python."""
import base64
import hashlib
import hmac
import json
import sys
import time


def verify(secret, headers, body, now=None):
    now = time.time() if now is None else now
    timestamp = headers["webhook-timestamp"]
    if abs(now - int(timestamp)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{timestamp}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    entries = (entry.partition(",") for entry in headers["webhook-signature"].split(" "))
    return any(version == "v1" and hmac.compare_digest(given.encode(), wanted) for version, _, given in entries)


for delivery in json.load(sys.stdin):
    genuine = verify(delivery["secret"], delivery["headers"], delivery["body"].encode())
    print("genuine" if genuine else "refused")
