"""What short keys are called in English; everything else is its own English."""

KINDS = {
    "contradiction": "Contradiction with the channel",
    "mismatch": "Money came, but not as agreed",
    "dispute": "Disputed by the customer's bank",
    "refund_failed": "A refund failed",
    "unanswered": "The channel gives no final answer",
    "cannot_ask": "The channel cannot be asked",
    "poisoned_answer": "An answer could not be applied",
    "poisoned_callback": "A callback could not be applied",
    "silent_channel": "A channel is silent",
    "transaction_stuck": "A transaction across services is stuck",
    "transaction_differs": "Services do not agree about an order",
}
"""Kinds of cases; one that is not named here shows as it is."""

STATES = frozenset(
    "unpaid paid closing closed refunded created open held disputed charged_back requested pending succeeded "
    "failed".split()
)

STEPS = (
    *"found changed cleared reopened overdue agreed asked linked waiting open approved healed resolved".split(),
    "approval wanted",
)
"""What may happen to a break, as reconciliation writes it down."""

TRANSACTION_STATES = (
    "RUNNING", "COMPENSATING", "DONE", "COMPENSATED", "MANUAL", "INIT", "TRYING", "CONFIRMING", "CONFIRMED",
    "CANCELLING", "CANCELLED",
)  # fmt: skip

WORDS = {
    **{f"order {state}": state.capitalize() for state in ("unpaid", "paid", "closing", "closed", "refunded")},
    **{f"payment {state}": state.capitalize() for state in ("open", "paid", "closing", "closed", "held", "disputed")},
    "payment created": "Not at the channel yet",
    "payment charged_back": "Charged back",
    **{f"refund {state}": state.capitalize() for state in ("requested", "pending", "succeeded", "failed")},
    "cause requested": "asked for",
    "cause second_payment": "second payment of a paid order",
    "cause late_payment": "paid after the order was closed",
    "cause held": "not paid as agreed",
    "cause at_channel": "made in the channel's console",
    **{f"approval {state}": state.capitalize() for state in ("waiting", "approved", "refused")},
    "action confirm": "Confirm a payment of",
    "action refund": "Refund",
    "callback settled": "Applied",
    "callback waiting": "Waiting",
    "callback parked": "Set aside",
    "callback poisoned": "Could not be applied",
    "delivery dead": "Given up",
    "delivery skipped": "Skipped",
    "check ok": "Ready",
    "check warn": "Look",
    "check refuse": "Not ready",
    **{f"origin {origin}": origin for origin in ("default", "environment", "file", "command line")},
    "field txn": "Channel's number",
    "field amount": "Amount",
    "field why": "Why",
    **{f"break {state}": state.capitalize() for state in ("waiting", "open", "approved", "healed", "resolved")},
    **{f"step {step}": f"{step.capitalize()}:" for step in STEPS},
    **{f"transaction {state}": state.capitalize() for state in TRANSACTION_STATES},
    "transaction MANUAL": "Needs a person",
    "kind long": "Money that our books do not have (long)",
    "kind short": "Money that the bill does not have (short)",
    "kind amount": "The amounts differ",
    "kind currency": "The currencies differ",
    "kind status": "The two sides tell different things",
    "kind fee": "Another fee than agreed",
    "kind duplicate": "More than once in the bill",
    "kind wrong_day": "Booked near midnight",
    "kind refund_unknown": "A refund that our books do not have",
    "kind refund_without_payment": "A refund without a payment",
    "kind unknown_line": "A line of an unknown type",
    "kind balance": "The balance does not add up",
    "bill trades": "Trades",
    "bill funds": "Fund flow",
    "bill is kept": "Not read yet",
    "bill is sound": "Sound",
    "bill is refused": "Refused",
    "bill is none": "None that day",
    "fault empty": "It has no content.",
    "fault too_large": "It is too large.",
    "fault broken_file": "It is cut off or damaged.",
    "fault wrong_hash": "It is not the file that the channel described.",
    "fault wrong_total": "Its lines do not add up to its totals.",
    "fault other_day": "It is of another day.",
    "fault other_merchant": "It is another merchant's.",
    "fault unknown_format": "It is not of this bill's format.",
    "auto": "As the system",
    "light": "Light",
    "dark": "Dark",
    **{role: role.capitalize() for role in ("viewer", "operator", "finance", "approver", "admin")},
    **{f"case {kind}": name for kind, name in KINDS.items()},
}
