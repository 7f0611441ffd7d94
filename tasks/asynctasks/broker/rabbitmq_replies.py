"""Replies as they come from a RabbitMQ queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asynctasks.broker.messages import Reply, unpacked
from asynctasks.errors import MalformedMessageError

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, DeliveredMessage

    from asynctasks.broker.protocol import OnReply

log = structlog.get_logger(__name__)


async def receive_replies(channel: AbstractChannel, name: str, on_reply: OnReply) -> str:
    """Consume the reply queue without acks, and return the consumer's tag."""

    async def on_message(message: DeliveredMessage) -> None:
        try:
            for encoded in unpacked(message.body):
                _receive(encoded, on_reply)
        except MalformedMessageError as error:
            log.warning("reply dropped", reason=str(error))

    consuming = await channel.basic_consume(name, on_message, no_ack=True)
    return str(consuming.consumer_tag)


def _receive(encoded: bytes, on_reply: OnReply) -> None:
    try:
        reply = Reply.decode(encoded)
    except MalformedMessageError as error:
        log.warning("reply dropped", reason=str(error))
    else:
        on_reply(reply)
