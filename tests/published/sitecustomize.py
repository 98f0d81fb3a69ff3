"""For daemons that tests start as processes of their own: notes down every message before it goes to the broker.

Python imports a module of this name at its start; the root `conftest.py` puts this folder on the path of its children
and judges the notes by the contract. A line a message, written at once: a killed daemon has noted what it has sent.
"""

import importlib.abc
import importlib.util
import json
import os
import sys


class _Looker(importlib.abc.MetaPathFinder):
    """Patches the one module that hands messages over, when somebody imports it."""

    def find_spec(self, name, path=None, target=None):
        if name != "edged.mqtt.connection":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def and_look(module):
            execute(module)
            _look(module.Connection)

        spec.loader.exec_module = and_look
        return spec


def _look(connection):
    publish, make_client = connection.publish, connection._make_client
    where = os.path.join(os.environ["EDGED_TEST_PUBLISHED"], f"{os.getpid()}.jsonl")

    def note(topic, payload, qos, retain, will=False):
        told = {"topic": topic, "payload": payload.hex(), "qos": qos, "retain": retain, "will": will}
        line = json.dumps(told) + "\n"
        file = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def noted(self, topic, payload, *, qos, retain, **more):
        note(topic, payload, qos, retain)
        return publish(self, topic, payload, qos=qos, retain=retain, **more)

    def with_will(self, will):
        if will is not None:
            note(will.topic, will.payload, will.qos, will.retain, will=True)
        return make_client(self, will)

    connection.publish, connection._make_client = noted, with_will


if "EDGED_TEST_PUBLISHED" in os.environ:
    sys.meta_path.insert(0, _Looker())
