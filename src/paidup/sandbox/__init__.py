"""The other side: payment channels that speak their real wire format and misbehave on order.

Written from the channels' documents, apart from `paidup.channels`, so that each checks the other. It knows nothing of
Paidup but the words, and is useful to anybody who tests a payment integration: docs/how-to/use-the-sandbox.md.
"""
