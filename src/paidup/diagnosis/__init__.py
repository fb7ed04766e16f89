"""Where an order stands, in words for the person on the phone: and when it is not paid, why, and what comes next."""
