"""The queues between the services: messages, and how they are published, delivered and acked.

`protocol` says what a broker promises; RabbitMQ and the in-memory broker each keep it. Nothing
outside this package knows RabbitMQ.
"""
