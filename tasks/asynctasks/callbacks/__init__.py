"""Callbacks: the signed HTTP calls that tell a caller's URL of a task's end.

What a call says, how it is signed, and which URLs and addresses may be called belongs here. It only
decides: who makes the calls, and which task stands for each, is elsewhere.
"""
