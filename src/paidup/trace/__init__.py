"""Any id → the whole life of its order: what customer service reads while the customer is on the phone."""
