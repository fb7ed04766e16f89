"""Where a thing stands in a distributed trace (OpenTelemetry), from the callback over the decision to the delivery.

No table keeps a trace: ids follow from what is kept anyway. The trace of a callback is that of the ``traceparent``
header it came with, or follows from its id; the spans below it follow from what they are about. So every process, and
`paidup trace` years later, finds the same ids, and whoever does not trace pays nothing.
"""
