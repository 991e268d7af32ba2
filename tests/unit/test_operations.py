"""The table of operations, and the lines that carry them."""

from __future__ import annotations

import asyncio
import typing

import msgspec
import pytest

from runcept.api.codec import (
    decode_reply,
    decode_request,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
)
from runcept.api.messages import Change, Params, Start
from runcept.api.operations import OPERATIONS
from runcept.core.views import ProcessView
from runcept.daemon.engine import Engine
from runcept.daemon.handlers import Handlers
from runcept.daemon.performer import SystemPerformer
from runcept.database.queries import Database
from runcept.errors import BadRequest, PortTaken, RemoteError


def test_every_operation_of_the_table_has_a_handler_of_its_types() -> None:
    """And there is no handler that the table does not know."""
    loop = asyncio.new_event_loop()
    engine = Engine(loop, typing.cast("Database", None))
    handlers = Handlers("/nowhere", engine, typing.cast("SystemPerformer", None))
    loop.close()
    assert set(handlers.methods) == {name for name, operation in OPERATIONS.items() if not operation.is_local}
    for name, method in handlers.methods.items():
        hints = typing.get_type_hints(method)
        assert hints["params"] is OPERATIONS[name].params
        assert hints["return"] == OPERATIONS[name].result


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_described(name: str) -> None:
    """A sentence, and types from which a schema can be made."""
    operation = OPERATIONS[name]
    assert operation.doc.endswith(".")
    assert issubclass(operation.params, Params)
    schema = msgspec.json.schema(operation.params)
    assert schema
    assert not (operation.read_only and operation.destructive)


def test_a_request_comes_out_as_it_went_in() -> None:
    """On one line, whatever its strings hold."""
    line = encode_request(3, "start", Start(environment="/a\nb", names=["wéb"]))
    assert line.count(b"\n") == 1
    request = decode_request(line)
    assert (request.id, request.method) == (3, "start")
    assert msgspec.json.decode(request.params, type=Start) == Start(environment="/a\nb", names=["wéb"])


def test_an_error_arrives_as_the_one_that_was_raised() -> None:
    """Code, sentence, hint, exit status and facts."""
    reply = decode_reply(encode_error("x", PortTaken(80, 7, "nginx")))
    with pytest.raises(RemoteError) as caught:
        reply.unwrap()
    sent = PortTaken(80, 7, "nginx")
    assert caught.value.as_dict() == sent.as_dict()
    assert caught.value.exit_status == sent.exit_status


def test_results_and_notifications_are_told_apart() -> None:
    """A notification has a method and no id."""
    result = decode_reply(encode_result(1, {"ok": True}))
    assert (result.id, result.method, result.unwrap()) == (1, None, b'{"ok":true}')
    told = decode_reply(
        encode_notification("change", Change(request=1, environment="/p", processes=[ProcessView("/p", "web")]))
    )
    assert (told.id, told.method) == (None, "change")


def test_what_is_no_message_is_refused() -> None:
    """In either direction."""
    for line in (b"", b"{", b"[]", b'{"id": [], "method": 3}', b"\xff"):
        with pytest.raises(BadRequest):
            decode_request(line)
        with pytest.raises(BadRequest):
            decode_reply(line + b"[")
