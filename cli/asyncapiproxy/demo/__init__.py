"""The demo's Customer API: an upstream that is slow, fails and drops connections as it is asked to.

It is a program of its own that knows nothing of AsyncApiProxy.
"""
