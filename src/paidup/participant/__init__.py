"""The participant's side of a transaction across services, for any service with a database of its own.

::

    from paidup.participant import SQLITE, Barrier, Operation, Refused, read_call

    barrier = Barrier(SQLITE)  # or POSTGRESQL, ASYNCPG, MYSQL

    def take_coupon(cursor, call):
        code = call.told()["code"]
        cursor.execute("UPDATE coupons SET used_by = ? WHERE code = ? AND used_by IS NULL", (call.order_id, code))
        if cursor.rowcount == 0:
            raise Refused("the coupon has been used")

    def handle(headers, body):
        call = read_call(headers, body, SECRETS, datetime.now(UTC))
        with transaction() as cursor:  # the barrier and the business are committed as one
            reply = barrier.run(cursor, call, {Operation.ACTION: take_coupon, Operation.COMPENSATE: give_it_back})
        return reply.status, reply.body

It needs nothing of the rest of Paidup, and no driver of its own: it speaks through the cursor that it is given.
"""

from paidup.participant.barrier import Barrier, Business, Entry, Refused, Reply
from paidup.participant.call import Call, Operation, Untrusted, read_call
from paidup.participant.dialect import ASYNCPG, MYSQL, POSTGRESQL, SQLITE, Dialect
from paidup.participant.effects import Effect, Effects
from paidup.participant.messages import Message, Messages

__all__ = [
    "ASYNCPG", "MYSQL", "POSTGRESQL", "SQLITE", "Barrier", "Business", "Call", "Dialect", "Effect", "Effects", "Entry",
    "Message", "Messages", "Operation", "Refused", "Reply", "Untrusted", "read_call",
]  # fmt: skip
