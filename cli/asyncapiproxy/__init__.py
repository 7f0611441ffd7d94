"""The `asyncapiproxy` command: starts each service, shows tasks, and brings a demo upstream.

What a person types belongs here; what it starts is the services' own.
"""
