"""What every service shares: the task, its table, the operations, the messages, the broker.

Whatever two services must agree on belongs here. Nothing here knows HTTP routes, attempts or
Kubernetes, and nothing here imports a service.
"""
