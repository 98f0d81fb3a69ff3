"""`edged ctl`: any command of the MQTT contract, sent through the control socket."""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from edged.cli import output
from edged.cli.options import add_control, add_json, control_path
from edged.local.client import ControlClient

SUMMARY = "send a command to the running daemon"
DETAILS = """\
The commands are those of MQTT (docs/mqtt/commands.md in /usr/share/doc/edged), with the same arguments and replies;
who may write to the control socket (root, and the group edged) may send each of them. The exit status is 1 where the
answer says that what was asked for did not happen."""
EXAMPLES = (
    ("edged ctl ping", "whether it answers"),
    ("edged ctl present_token connector=1 id_token=04A2E5", "as if that card were held to connector 1"),
    ("edged ctl unlock_connector connector=2", "release the plug"),
)
DEFAULT_TIMEOUT_S = 35.0
TEXT_ARGUMENTS = frozenset(
    {"data", "id_token", "info", "key", "message_id", "station", "transaction_id", "type", "value", "vendor_id"}
)
"""Arguments that are text even where they look like a number: a token 00123456 is not 123456."""
LIST_ARGUMENTS = frozenset({"keys"})
"""Arguments that are lists of texts; written as JSON, or with commas."""
REFUSALS = frozenset(
    {
        "Blocked",
        "Failed",
        "Faulted",
        "Invalid",
        "NotImplemented",
        "NotSupported",
        "Occupied",
        "OngoingAuthorizedTransaction",
        "Rejected",
        "Unavailable",
        "UnknownConnector",
        "UnknownMessageId",
        "UnknownVendorId",
        "UnlockFailed",
        "VersionMismatch",
    }
)
"""Answers that mean that what was asked for did not happen."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("command", metavar="COMMAND", help="as in docs/mqtt: reserve_now, unlock_connector, ping, ...")
    parser.add_argument(
        "arguments",
        metavar="ARGS",
        nargs="*",
        help="name=value, or one JSON object: connector=1 | '{\"connector\": 1}'",
    )
    add_control(parser)
    parser.add_argument("--id", help="the request's id; the same id again repeats nothing (default: a new one)")
    parser.add_argument(
        "--timeout", metavar="S", type=float, default=DEFAULT_TIMEOUT_S, help="seconds to wait for the answer"
    )
    add_json(parser, "the whole reply")


def run(args: argparse.Namespace) -> int:
    try:
        arguments = parse_arguments(args.arguments)
    except ValueError as error:
        output.complain(str(error))
        return output.USAGE
    if not 0 < args.timeout <= 86_400:
        output.complain("--timeout must be a number of seconds above 0")
        return output.USAGE
    with ControlClient(control_path(args.control), timeout_s=args.timeout) as client:
        reply = client.request(args.command, arguments, id=args.id or f"cli-{uuid.uuid4().hex[:12]}")
    if args.json:
        output.say_json(reply)
    else:
        _show(args.command, reply)
    return output.DONE if did_work(reply) else output.FAILED


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """`name=value` words, or one JSON object. Raises ValueError with what to write."""
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            value = json.loads(words[0])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the arguments are no JSON object: {error}") from error
        return dict(value)
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ValueError(f"write arguments as name=value, not {word!r}")
        if name in arguments:
            raise ValueError(f"{name} is given twice")
        arguments[name] = text if name in TEXT_ARGUMENTS else _value(text)
        if name in LIST_ARGUMENTS and isinstance(arguments[name], str):
            arguments[name] = [part.strip() for part in text.split(",") if part.strip()]
    return arguments


def _value(text: str) -> Any:
    """A number, true, false, null, list or object where the text is one in JSON; otherwise the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def did_work(reply: Mapping[str, Any]) -> bool:
    """Whether what was asked for happened: carried out, and not answered with a refusal."""
    result = reply.get("result")
    status = result.get("status") if isinstance(result, dict) else result
    return reply.get("ok") is True and status is not False and status not in REFUSALS


def _show(command: str, reply: Mapping[str, Any]) -> None:
    if reply.get("ok") is True:
        for line in output.lines_of(reply.get("result")):
            output.say(line)
        return
    error = reply.get("error")
    details = error if isinstance(error, dict) else {}
    output.complain(f"{command} was not carried out ({details.get('code', 'internal')}): {details.get('message', '')}")
