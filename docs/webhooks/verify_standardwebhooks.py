"""Verifies deliveries with the library `standardwebhooks` (PyPI). Reads a JSON list from standard input:
[{secret, headers, body}], and says of each whether it is genuine."""
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for delivery in json.load(sys.stdin):
    try:
        Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        print("genuine")
    except WebhookVerificationError:
        print("refused")
