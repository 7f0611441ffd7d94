"""The `task` commands: submit, follow, list and end tasks of a running proxy, by HTTP.

What they know of a proxy is its HTTP API and its OpenAPI document, as any caller does.
"""
