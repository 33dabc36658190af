"""Verifies deliveries with the library `svix` (PyPI)."""
import json
import sys

from svix.webhooks import Webhook, WebhookVerificationError

for delivery in json.load(sys.stdin):
    try:
        Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        print("genuine")
    except WebhookVerificationError:
        print("refused")
