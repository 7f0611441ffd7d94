"""Traces: where a task stands in its caller's, and spans of ours, where those are asked for.

Nothing outside knows OpenTelemetry, and nothing of that is imported where no spans are asked for.
"""
