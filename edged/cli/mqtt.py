"""`edged mqtt watch` and `edged mqtt purge`: what of a gateway is at the broker, and how it gets away from there."""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import sys
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from edged.cli import output
from edged.cli.options import add_config, add_json
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, TlsOptions
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.mqtt.visiting import Visit
    from edged.mqtt.watching import Scene

SUMMARY = "see what is at the MQTT broker, live (watch), or clear it away (purge)"
DETAILS = """\
The broker is that of the configuration, or the one that --url names."""
EXAMPLES = (
    ("edged mqtt watch", "all that the gateway tells, as it changes"),
    ("edged mqtt watch --url mqtt://broker.example.com:1883 --gateway depot-7", "the same without a configuration"),
    ("edged mqtt purge --yes", "once the gateway is taken away for good"),
)
DISCOVERY_PREFIX: Final = "homeassistant"
REDRAW_S: Final = 0.25
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.5, 30.0
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_HOME_AND_CLEAR: Final = "\x1b[H\x1b[2J"
_DEBRIS = re.compile(r"\[(Errno -?\d+|SSL[^\]]*)\] | \(_ssl\.c:\d+\)")


class UsageError(EdgedError):
    """The options do not say enough."""


class BrokerTrouble(EdgedError):
    """The broker, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A gateway at a broker. `discovery`: the prefix under which it announces itself to Home Assistant."""

    broker: BrokerOptions
    names: Names
    discovery: str

    @property
    def where(self) -> str:
        return f"{self.broker.host}:{self.broker.port}"


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    watching = actions.add_parser(
        "watch",
        help="every topic of the gateway, decoded, as it changes; Ctrl-C ends it",
        description="Every topic of the gateway, decoded: a screen on a terminal, otherwise a line for each message.",
    )
    _add_target(watching)
    add_json(watching, "each message, one a line,")
    watching.set_defaults(act=_watch)
    purging = actions.add_parser(
        "purge",
        help="delete every retained topic of the gateway, for good",
        description="Decommissioning: deletes all that is retained in the gateway's tree, and its discovery documents.",
    )
    _add_target(purging)
    purging.add_argument("--yes", action="store_true", help="do not ask")
    purging.add_argument(
        "--force", action="store_true", help="also while edged is online (it will say all of it again)"
    )
    purging.add_argument(
        "--discovery", metavar="PREFIX", help=f"Home Assistant's prefix (default as configured, or {DISCOVERY_PREFIX})"
    )
    add_json(purging, "what was deleted")
    purging.set_defaults(act=_purge)


def _add_target(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--url", metavar="URL", help="mqtt://HOST:PORT or mqtts://HOST:PORT, without a configuration (with --gateway)"
    )
    parser.add_argument("--gateway", metavar="ID", help="with --url: the gateway's id")
    parser.add_argument("--root", metavar="TOPIC", help="with --url: where the topics start (default edged)")
    parser.add_argument("--username", metavar="NAME", help="instead of the configured user")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="its password, alone in a file")
    parser.add_argument("--ca-file", metavar="FILE", type=Path, help="the authorities to trust, with mqtts://")
    parser.add_argument("--cert", metavar="FILE", type=Path, help="a client certificate, with mqtts://")
    parser.add_argument("--key", metavar="FILE", type=Path, help="and its key")


def run(args: argparse.Namespace) -> int:
    try:
        found = target(args)
        return int(args.act(args, found))
    except UsageError as error:
        output.complain(str(error))
        return output.USAGE


# --- where


def target(args: argparse.Namespace) -> Target:
    """Raises `UsageError`, `SettingsErrors`, OSError for a file that cannot be read."""
    found = _configured(args) if args.url is None else _named(args)
    broker = replace(found.broker, client_id=f"edged-{found.names.gateway}-{args.action}-{uuid.uuid4().hex[:6]}")
    if args.username is not None:
        broker = replace(broker, username=args.username, password=None)
    if args.password_file is not None:
        if broker.username is None:
            raise UsageError("--password-file needs --username")
        broker = replace(broker, password=args.password_file.read_text().rstrip("\r\n"))
    return replace(found, broker=_with_certificates(broker, args), discovery=_discovery(args, found))


def _discovery(args: argparse.Namespace, found: Target) -> str:
    prefix: str = getattr(args, "discovery", None) or found.discovery
    try:
        return Names(prefix, found.names.gateway).root  # it is bound by the same rule
    except ValueError:
        raise UsageError("--discovery is one to three topic levels without wildcards, like homeassistant") from None


def _with_certificates(broker: BrokerOptions, args: argparse.Namespace) -> BrokerOptions:
    if args.ca_file is None and args.cert is None and args.key is None:
        return broker
    if broker.tls is None:
        raise UsageError("certificates are for mqtts:// alone")
    if (args.cert is None) != (args.key is None):
        raise UsageError("--cert and --key belong together")
    tls = broker.tls
    if args.ca_file is not None:
        tls = replace(tls, ca_file=str(args.ca_file))
    if args.cert is not None:
        tls = replace(tls, certificate_file=str(args.cert), key_file=str(args.key))
    return replace(broker, tls=tls)


def _configured(args: argparse.Namespace) -> Target:
    from edged.mqtt.setup import options_from
    from edged.site import load_site

    if args.gateway is not None or args.root is not None:
        raise UsageError("--gateway and --root go with --url; otherwise the configuration says both")
    settings = load_site(args.config)
    if settings.mqtt is None:
        raise UsageError(f"{args.config} names no broker: write mqtt: url: into it, or use --url and --gateway")
    options = options_from(settings.mqtt, gateway_id=settings.gateway.id)
    return Target(
        broker=options.broker, names=options.names, discovery=settings.mqtt.home_assistant or DISCOVERY_PREFIX
    )


def _named(args: argparse.Namespace) -> Target:
    if args.gateway is None:
        raise UsageError("--url needs --gateway: whose topics?")
    try:
        parts = urlsplit(args.url)
        host, port = parts.hostname, parts.port
        names = Names(args.root or "edged", args.gateway)
    except ValueError as error:
        raise UsageError(f"{error}") from error
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in _PORTS or not host or port == 0 or rest:
        raise UsageError("--url must be mqtt://HOST:PORT or mqtts://HOST:PORT, without a user in it")
    tls = TlsOptions() if parts.scheme == "mqtts" else None
    broker = BrokerOptions(host=host, port=port or _PORTS[parts.scheme], client_id="", tls=tls)
    return Target(broker=broker, names=names, discovery=DISCOVERY_PREFIX)


def _sentence(error: EdgedError, at: Target) -> str:
    from edged.mqtt.dialling import BrokerUnreachable

    said = _DEBRIS.sub("", str(error))
    if not isinstance(error, BrokerUnreachable):
        return f"at {at.where}: {said}"
    tls = at.broker.tls
    hint = ""
    if tls is not None and tls.certificate_file is None and "before CONNACK" in said:
        hint = " (does it want a client certificate? --cert and --key name one)"
    elif tls is None and "before CONNACK" in said:
        hint = " (does it want TLS? write mqtts://)"
    return f"no connection to the broker at {at.where}: {said}{hint}"


def _do(work: Coroutine[Any, Any, Any], at: Target) -> Any:
    """Raises `BrokerTrouble` with the whole sentence."""
    from edged.mqtt.dialling import MqttError

    try:
        return asyncio.run(work)
    except MqttError as error:
        raise BrokerTrouble(_sentence(error, at)) from error


# --- watch


def _watch(args: argparse.Namespace, at: Target) -> int:
    from edged.mqtt.watching import Scene

    screen = sys.stdout.isatty() and not args.json
    watcher = _Watcher(at, Scene(at.names), as_json=args.json, screen=screen)
    try:
        _do(watcher.run(), at)
    except KeyboardInterrupt:
        if screen:
            output.say()
        raise
    return output.DONE


class _Watcher:
    def __init__(self, at: Target, scene: Scene, *, as_json: bool, screen: bool) -> None:
        self._at = at
        self._scene = scene
        self._as_json = as_json
        self._screen = screen
        self._broker = ""

    async def run(self) -> None:
        """For ever. Only the first connection may fail; later ones are tried again and again."""
        from edged.mqtt.backoff import Backoff
        from edged.mqtt.dialling import MqttError
        from edged.mqtt.visiting import Visit

        loop = asyncio.get_running_loop()
        backoff, was_there = Backoff(first_s=FIRST_BACKOFF_S, last_s=LAST_BACKOFF_S), False
        while True:
            began_s = loop.time()
            try:
                async with Visit(self._at.broker) as visit:
                    self._broker = f"MQTT {visit.version}"
                    if was_there:
                        self._note("the broker is there again")
                    await visit.listen((f"{self._at.names.prefix}/#",))
                    was_there = True
                    await self._look(visit)
            except MqttError as error:
                if not was_there:
                    raise
                backoff.ended(after_s=loop.time() - began_s)
                self._broker = "the broker is away"
                self._note(_sentence(error, self._at))
            await asyncio.sleep(backoff.delay_s(random.random()))

    async def _look(self, visit: Visit) -> None:
        anything, loop = False, asyncio.get_running_loop()
        quiet_until_s, drawn_s = loop.time() + 2.0, float("-inf")
        stale = True
        while True:
            message = await visit.next(REDRAW_S)
            if message is not None:
                anything = stale = True
                self._take(message.topic, message.payload, retained=message.retain)
            elif not anything and loop.time() >= quiet_until_s:
                anything = True
                if not self._screen:
                    self._note(f"nothing is known of {self._at.names.gateway} here, or this user may not see it")
            if self._screen and stale and loop.time() - drawn_s >= REDRAW_S:
                drawn_s, stale = loop.time(), False
                self._draw()

    def _take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        from edged.cli.mqtt_view import line

        before = self._scene.state_value(topic)
        sight = self._scene.take(topic, payload, retained=retained)
        if self._screen or (retained and before is not None and before == sight.value):
            return  # told again after a new connection
        at = datetime.now(UTC)
        if self._as_json:
            told = {"at": at.isoformat(), "topic": topic, "retained": retained, "payload": sight.value}
            output.say_json(told)
        else:
            output.say(line(sight, at))
        sys.stdout.flush()

    def _note(self, sentence: str) -> None:
        if self._screen:
            self._draw()
        else:
            output.complain(sentence)

    def _draw(self) -> None:
        from edged.cli.mqtt_view import screen

        size = shutil.get_terminal_size()
        lines = screen(
            self._scene, self._at.names, self._at.where, broker=self._broker, columns=size.columns, rows=size.lines
        )
        sys.stdout.write(_HOME_AND_CLEAR + "\n".join(lines))
        sys.stdout.flush()


# --- purge


def _purge(args: argparse.Namespace, at: Target) -> int:
    kept: dict[str, bytes] = _do(_find(at), at)
    if kept.get(at.names.status) == b"online" and not args.force:
        output.complain(
            f"edged is online as {at.names.prefix} and would say all of it again: stop it first (sudo "
            "systemctl stop edged), or use --force"
        )
        return output.FAILED
    discovery = sum(not topic.startswith(f"{at.names.prefix}/") for topic in kept)
    what = f"{len(kept)} retained topics of {at.names.prefix} at {at.where}, {discovery} of them for Home Assistant"
    if not kept:
        _tell_purged(args, 0, 0, f"nothing is retained of {at.names.prefix} at {at.where}")
        return output.DONE
    if not args.yes and not _agreed(what):
        return output.FAILED
    left: dict[str, str] = _do(_clear_away(at, kept), at)
    gone = len(kept) - len(kept.keys() & left.keys())
    _tell_purged(args, gone, len(left), f"{gone} of {what} are deleted" if left else f"deleted {what}")
    if left:
        topic, reason = next(iter(left.items()))
        output.complain(f"{len(left)} are still there, {topic} for one: {reason}")
    return output.FAILED if left else output.DONE


def _agreed(what: str) -> bool:
    """Raises `UsageError` where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: --yes deletes them without asking")
    try:
        answer = input(f"{output.clean(what)}. Delete them? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


async def _find(at: Target) -> dict[str, bytes]:
    from edged.mqtt.visiting import Visit, belongings

    async with Visit(at.broker) as visit:
        return await visit.kept(belongings(at.names, at.discovery))


async def _clear_away(at: Target, kept: dict[str, bytes]) -> dict[str, str]:
    """What is still there afterwards, and why."""
    from edged.mqtt.visiting import Visit, belongings, farewell_order

    async with Visit(at.broker) as visit:
        refused = await visit.delete(farewell_order(kept, at.names))
        left = await visit.kept(belongings(at.names, at.discovery))
        unsaid = "this user may not delete it, or edged has said it again"
        return {topic: refused.get(topic, unsaid) for topic in left}


def _tell_purged(args: argparse.Namespace, deleted: int, left: int, sentence: str) -> None:
    if args.json:
        output.say_json({"deleted": deleted, "left": left})
    else:
        output.say(sentence)
