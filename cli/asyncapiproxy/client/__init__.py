"""The client library: calls a proxy's HTTP API for Python programs, synchronous or not.

What is asked and how often is decided in `calls`, `submission`, `results` and `following`, which do
no I/O; `client` and `async_client` send it. Nothing of the services is imported here.
"""
