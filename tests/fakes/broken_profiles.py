"""Documents of profiles that break one rule each, at the line that ends with "#!" (the first where none does)."""

from __future__ import annotations

from edged.chargers.profile_rules import ProfileRule as Rule

BASE = """\
profile: test
vendor: V
model: M
certainty: B
sources: [a manual]
bus: {transports: [tcp]}
registers:
  state: {table: H, address: 1, type: u16}
  enable: {table: H, address: 2, type: u16, access: rw}
  limit: {table: H, address: 3, type: u16, unit: A, access: rw}
  name: {table: H, address: 10, type: str8}
state:
  register: state
  map: {1: available, 2: charging}
detachable: true
permit: {register: enable, allow: 1, withhold: 0}
"""
RELAY = """\
profile: test
kind: relay
vendor: V
model: M
certainty: C
sources: [a manual]
bus: {transports: [rtu]}
outputs:
  table: C
  first: 0
  count: 8
"""
DONE = "{wait: {register: state, is: 1, timeout_s: 5}}"


def more(text: str) -> str:
    """The right document with something behind it."""
    return BASE + text + "\n"


def instead(old: str, new: str, base: str = BASE) -> str:
    """The right document with something else in it."""
    assert base.count(old) == 1, old
    return base.replace(old, new)


def registers(*lines: str) -> str:
    """The right document with more registers."""
    return instead("  name:", "".join(f"  {line}\n" for line in lines) + "  name:")


def bus(words: str) -> str:
    return instead("bus: {transports: [tcp]}", f"bus: {{transports: [tcp], {words}}} #!")


def unlock(*steps: str) -> str:
    """The right document with an unlock; its steps a line each."""
    return more("actions:\n  unlock: #!\n    steps:\n" + "\n".join(f"      - {step}" for step in steps))


def limit(words: str) -> str:
    return more(f"limit: {{register: limit, {words}}} #!")


CASES: dict[Rule, list[str | bytes]] = {
    Rule.UNREADABLE_FILE: [b"profile: test\n# \xff #!\n"],
    Rule.FILE_TOO_LARGE: ["#" * 300_000],
    Rule.EMPTY_FILE: ["", "\n# nothing here\n", "\ufeff"],
    Rule.NO_YAML: [
        "a: [",
        "profile: test\nbus: rtu: x #!\n",
        "profile: test\n---\nprofile: test\n",
        "profile: test\nx: *y #!\n",
        "x: \x00\n",
        "%YAML 9.9\n---\na: b\n",
    ],
    Rule.TAB: ["profile: test\nbus:\n\ttransports: [tcp] #!\n"],
    Rule.TOO_COMPLEX: [
        "a: &a [*a]",
        "x: " + "[" * 40 + "]" * 40,
        "x: " + "[" * 60_000,
        "x: [" + "y, " * 30_000 + "y]",
        "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(9)),
    ],
    Rule.DUPLICATE_KEY: [
        more("phases: 1\nphases: 3 #!"),
        registers("state: {table: H, address: 9} #!"),
        instead("{1: available, 2: charging}", "{1: available, 2: charging, 1: charging} #!"),
    ],
    Rule.KEY_NO_TEXT: [more("? [x] #!\n: y"), more("? {a: b} #!\n: y")],
    Rule.UNREADABLE_VALUE: [
        more("phases: !!int x #!"),
        more("notes: !!timestamp x #!"),
        more("phases: !!bool x #!"),
        more("notes: !!python/object:os.system y #!"),
        more(f"phases: {10**400} #!"),
        more(f"phases: 0x{'F' * 20_000} #!"),
        more("notes: [2024-13-45] #!"),
        more(f"init: [{{register: enable, value: {1 << 65}}}] #!"),
    ],
    Rule.FILE_NAME: [instead("profile: test", "profile: other #!")],
    Rule.UNKNOWN_KEY: [
        more("colour: red #!"),
        more(f"{'x' * 1000}: red #!"),
        bus("speed: 9"),
        registers("extra: {table: H, address: 5, scal: 2} #!"),
        more("wake: []\nPhases: 3 #!"),
        instead("vendor: V", "vendor: V\nparts: #!\n  on: the next line"),
    ],
    Rule.MISSING_KEY: [
        registers("extra: {table: H} #!"),
        more("keep_alive: {by: write, timeout_s: 30} #!"),
        instead("bus: {transports: [tcp]}", "bus: {port: 502} #!"),
        more("points:\n  count: 2 #!\n  by: unit_id").replace("points:", "points: #!").replace("2 #!", "2"),
    ],
    Rule.UNUSED_KEY: [more("keep_alive: {by: any_read, timeout_s: 30, write: {enable: 1}} #!")],
    Rule.WRONG_TYPE: [
        registers("extra: 5 #!"),
        more("phases: three #!"),
        more("keep_alive: {by: any_read, timeout_s: soon} #!"),
        more("phases: true #!"),
        more("notes: [[x]] #!"),
        instead("detachable: true", "detachable: perhaps #!"),
        more("faults: 7 #!"),
        more("faults: [7] #!"),
        instead("vendor: V", "vendor: [V] #!"),
        bus("unit_ids: [1, 2, 3]"),
        bus("holes: 1"),
        registers("extra: {table: H, address: 5, invalid: x} #!"),
        more("wake: [{enable: 1, limit: 2}] #!"),
        registers("extra: {table: H, address: 5, names: {x: 1.5}} #!"),
        more("boot: [5] #!"),
        more("plugged: [{register: state, below: x, means: true}] #!"),
        registers("extra: #!"),
        more("plugged: [{register: state, any_bit: x, means: true}] #!"),
        bus("unit_ids: true"),
        more("init: [{register: enable, value: [1, 2]}] #!"),
        more("lock: #!"),
    ],
    Rule.UNKNOWN_ENUM: [
        instead("certainty: B", "certainty: D #!"),
        bus("parity: maybe"),
        bus("word_order: middle"),
        instead("[tcp]", "[fax]").replace("[fax]}", "[fax]} #!"),
        instead("2: charging}", "2: charging, 3: free} #!"),
        more("faults: [{register: state, is: 3, code: Broken}] #!"),
        more("plugged: [{register: state, is: 1, means: perhaps}] #!"),
        more("lock: [{register: state, is: 1, means: open}] #!"),
        more("keep_alive: {by: prayer, timeout_s: 30} #!"),
        registers("extra: {table: X, address: 5} #!"),
        registers("extra: {table: H, address: 5, access: x} #!"),
        more("plugged: [{register: state, is: 1, means: true, while: {a: b}}] #!"),
    ],
    Rule.OUT_OF_RANGE: [
        more("phases: 9 #!"),
        bus("port: 0"),
        bus("unit_id: 256"),
        bus("unit_ids: [1, 300]"),
        bus("max_block: 126"),
        bus("min_gap_ms: -1"),
        bus("min_gap_ms: 10001"),
        bus("baudrate: 1"),
        bus("response_timeout_ms: 5"),
        limit("max_a: 99999"),
        bus("forbidden: [{first: -1, last: 5}]"),
        registers("extra: {table: H, address: 5, scale: 1.0e-300} #!"),
        registers("extra: {table: H, address: 5, bits: 16} #!"),
        more("points: {count: 0, by: unit_id, stride: 1} #!"),
        more("points: {count: 2, by: unit_id, stride: 0} #!"),
        more("keep_alive: {by: any_read, timeout_s: 0} #!"),
        instead("  count: 8", "  count: 65 #!", RELAY),
    ],
    Rule.NOT_FINITE: [
        registers("extra: {table: H, address: 5, scale: .nan} #!"),
        limit("max_a: .inf"),
        registers("extra: {table: H, address: 5, scale: -.inf} #!"),
        registers("extra: {table: H, address: 5, offset: .inf} #!"),
        more("plugged: [{register: state, below: .nan, means: true}] #!"),
        more("init: [{register: enable, value: .inf}] #!"),
    ],
    Rule.BAD_NAME: [
        instead("profile: test", "profile: Test Box #!"),
        registers("Extra: {table: H, address: 5} #!"),
        registers('"a b": {table: H, address: 5} #!'),
    ],
    Rule.EMPTY_LIST: [
        instead("[a manual]", "[] #!"),
        instead("{transports: [tcp]}", "{transports: []} #!"),
        more("actions:\n  unlock: {steps: []} #!"),
        registers("extra: [] #!"),
        more("plugged: [{register: state, is: [], means: true}] #!"),
    ],
    Rule.TOO_MANY: [
        instead(
            "registers:\n", "registers: #!\n" + "".join(f"  r{i}: {{table: I, address: {i}}}\n" for i in range(500))
        ),
        registers("extra: #!\n" + "    - {table: H, address: 5}\n" * 9),
        more("meter: {current_a: [limit, limit, limit, limit]} #!"),
        bus("forbidden: [" + "{first: 900, last: 900}, " * 101 + "]"),
        more("actions:\n  reset_soft:\n    steps: #!\n      - write: {enable: 1}\n" + f"      - {DONE}\n" * 20),
    ],
    Rule.REVERSED_RANGE: [
        bus("unit_ids: [9, 3]"),
        bus("forbidden: [{first: 900, last: 800}]"),
        registers("extra: {table: H, address: 5, bits: [3, 1]} #!"),
    ],
    Rule.UNIT_ID_OUTSIDE: [bus("unit_id: 248"), bus("unit_id: 9, unit_ids: [1, 8]"), bus("unit_id: 0")],
    Rule.BROADCAST_UNIT_ID: [
        instead("[tcp]}", "[rtu], unit_id: 0, unit_ids: [0, 9]} #!"),
        instead("[tcp]}", "[tcp, rtu_over_tcp], unit_ids: [0, 9]} #!"),
    ],
    Rule.UNKNOWN_TYPE: [
        registers(f"extra: {{table: H, address: 20, type: {word}}} #!")
        for word in ("u17", "str0", "str999", "bytes", "x" * 9000, "utf16_0", "u64x")
    ],
    Rule.IMPOSSIBLE_REGISTER: [
        registers("extra: {table: H, address: 65536} #!"),
        registers("extra: {table: H, address: -1} #!"),
        registers("extra: {table: H, address: 65535, type: u32} #!"),
        registers("extra: {table: H, address: 65500, type: str80} #!"),
        instead("  count: 8", "  count: 8 #!", RELAY).replace("first: 0", "first: 65530"),
    ],
    Rule.TYPE_OF_TABLE: [
        registers("extra: {table: C, address: 5, type: u16} #!"),
        registers("extra: {table: H, address: 5, type: bit} #!"),
    ],
    Rule.READ_ONLY_TABLE: [
        registers("extra: {table: I, address: 5, access: rw} #!"),
        registers("extra: {table: D, address: 5, access: w} #!"),
        instead("  table: C", "  table: I #!", RELAY),
    ],
    Rule.SCALE_ZERO: [
        registers("extra: {table: H, address: 5, scale: 0} #!"),
        registers("extra: {table: H, address: 5, scale: -0.0} #!"),
    ],
    Rule.SCALED_TEXT: [
        registers("extra: {table: H, address: 30, type: str4, scale: 2} #!"),
        registers("extra: {table: H, address: 30, type: bytes4, invalid: 0} #!"),
    ],
    Rule.BITS_WITHOUT_NUMBER: [
        registers("extra: {table: H, address: 5, type: s16, bits: 3} #!"),
        registers("extra: {table: H, address: 30, type: f32, bits: 3} #!"),
    ],
    Rule.WRITABLE_BITS: [registers("extra: {table: H, address: 5, bits: 3, access: rw} #!")],
    Rule.IMPOSSIBLE_SENTINEL: [
        registers("extra: {table: H, address: 5, type: s16, invalid: 0xFFFF} #!"),
        registers("extra: {table: H, address: 5, invalid: [0, -1]} #!"),
        registers("extra: {table: H, address: 5, bits: [0, 3], invalid: 16} #!"),
    ],
    Rule.UNCLEAR_FIRMWARE: [
        registers("extra: {table: H, address: 5, when: firmware is new} #!"),
        registers('extra: {table: H, address: 5, when: "version > 3"} #!'),
    ],
    Rule.WHEN_WITHOUT_FIRMWARE: [registers('extra: {table: H, address: 5, when: "firmware >= 2"} #!')],
    Rule.UNREACHABLE_VARIANT: [
        registers("extra:", "  - {table: H, address: 5}", "  - {table: H, address: 6} #!"),
        registers(
            "extra:",
            '  - {table: H, address: 5, when: "firmware > 3"}',
            '  - {table: H, address: 6, when: "firmware > 3"} #!',
        )
        + "identity: {firmware: name}\n",
    ],
    Rule.OVERLAPPING_REGISTERS: [
        registers("extra: {table: H, address: 3} #!"),
        registers("extra: {table: H, address: 13} #!"),
        registers("low: {table: H, address: 20, bits: [0, 4]}", "high: {table: H, address: 20, bits: [4, 9]} #!"),
        registers("wide: {table: H, address: 20, type: u64}", "inner: {table: H, address: 22} #!"),
        registers('extra: {table: H, address: 3, when: "firmware > 3"} #!') + "identity: {firmware: name}\n",
    ],
    Rule.FORBIDDEN_REGISTER: [
        registers("extra: {table: H, address: 5} #!").replace("[tcp]}", "[tcp], forbidden: [{first: 5, last: 7}]}"),
        instead("address: 10, type: str8}", "address: 10, type: str8} #!").replace(
            "[tcp]}", "[tcp], forbidden: [{first: 113, last: 115}]}"
        )
        + "points: {count: 2, by: address, stride: 100}\n",
    ],
    Rule.LONGER_THAN_BLOCK: [instead("type: str8}", "type: str8} #!").replace("[tcp]}", "[tcp], max_block: 3}")],
    Rule.IMPOSSIBLE_POINT: [
        more("points: {count: 200, by: unit_id, stride: 2} #!"),
        more("points: {count: 255, by: port, stride: 300} #!"),
        registers("far: {table: H, address: 60000} #!") + "points: {count: 6, by: address, stride: 2000}\n",
    ],
    Rule.OVERLAPPING_POINTS: [
        registers("far: {table: H, address: 27}").replace(
            "address: 2, type: u16, access: rw}", "address: 2, type: u16, access: rw} #!"
        )
        + "points: {count: 4, by: address, stride: 25}\n",
        registers("all: {table: H, address: 101, shared: true}").replace(
            "address: 1, type: u16}", "address: 1, type: u16} #!"
        )
        + "points: {count: 3, by: address, stride: 50}\n",
    ],
    Rule.NO_SUCH_REGISTER: [
        more("meter: {energy_wh: nosuch} #!"),
        more("token: {register: nosuch} #!"),
        more("boot_falls: nosuch #!"),
        more("identity: {firmware: nosuch} #!"),
        instead("  register: state", "  register: nosuch #!"),
        more("wake: [{nosuch: 1}] #!"),
        instead("register: enable,", "register: nosuch,").replace("withhold: 0}", "withhold: 0} #!"),
        more("points: {count: 2, by: unit_id, stride: 1, present: nosuch} #!"),
        more("init: [{register: enable, value: 1, sense: nosuch}] #!"),
    ],
    Rule.WRITE_ONLY_REGISTER: [registers("extra: {table: H, address: 5, access: w}") + "boot_falls: extra #!\n"],
    Rule.READ_ONLY_REGISTER: [
        more("init: [{register: state, value: 1}] #!"),
        more("wake: [{state: 1}] #!"),
        instead("register: enable,", "register: state,").replace("withhold: 0}", "withhold: 0} #!"),
        more("limit: {register: state, max_a: 16} #!"),
        more("keep_alive: {by: write, timeout_s: 9, write: {state: 1}} #!"),
    ],
    Rule.NOT_POLLED: [
        registers("extra: {table: H, address: 5, poll: once}") + "boot_falls: extra #!\n",
        registers("extra: {table: H, address: 5, poll: never}") + "identity: {firmware: extra} #!\n",
    ],
    Rule.WRITE_FUNCTION: [
        registers("extra: {table: H, address: 20, type: u32, access: rw}").replace(
            "[tcp]}", "[tcp], write_function: single}"
        )
        + "wake: [{extra: 1}] #!\n"
    ],
    Rule.VALUE_DOES_NOT_FIT: [
        more("init: [{register: enable, value: 70000}] #!"),
        more("wake: [{enable: hello}] #!"),
        more("init: [{register: enable, value: -1}] #!"),
        more("wake: [{limit: 6.5}] #!"),
        registers("extra: {table: H, address: 5, names: {much: 70000}} #!"),
        registers("extra: {table: H, address: 30, type: f64, scale: 1.0e-9, access: rw}").replace(
            "type: f64", "type: u64"
        )
        + "wake: [{extra: 1.0e+300}] #!\n",
        instead("allow: 1,", "allow: 99999,").replace("withhold: 0}", "withhold: 0} #!"),
    ],
    Rule.IMPOSSIBLE_CONDITION: [
        more("plugged: [{register: state, is: A1, means: true}] #!"),
        more("lock: [{register: name, is: 3, means: locked}] #!"),
        more("plugged: [{register: state, is: 70000, means: true}] #!"),
        more("boot: [{register: state, is_not: -1}] #!"),
        more("faults: [{register: state, any_bit: 16, code: OtherError}] #!"),
        more("plugged: [{register: name, at_least: 5, means: true}] #!"),
        more("plugged: [{register: state, below: 0, means: true}] #!"),
        instead("{1: available, 2: charging}", f"{{1: available, 2: charging, {'1' * 40}: faulted}} #!"),
        more("plugged: [{register: state, at_least: 65536, means: true}] #!"),
        more("plugged: [{register: name, is: much too long, means: true}] #!"),
        more("plugged: [{register: name, is: 'x ', means: true}] #!"),
        instead("{1: available, 2: charging}", "{1: available, 2: charging, 70000: faulted} #!"),
        instead("{1: available, 2: charging}", "{1: available, 2: charging, A: faulted} #!"),
        instead("{1: available, 2: charging}", "{1: available, 2: charging, 0x1FFFF: faulted} #!"),
        more("plugged: [{register: state, is: 1, means: true, while: finishing}] #!"),
        more("detachable: x")
        .replace("detachable: x\n", "")
        .replace("detachable: true", "detachable: {register: state, is: 1, while: charging} #!"),
        registers("extra: {table: H, address: 5, scale: 0.1}")
        + "plugged: [{register: extra, is: 1.05, means: true}] #!\n",
        registers("extra: {table: H, address: 5, scale: 0.1}")
        + "plugged: [{register: extra, any_bit: 1, means: true}] #!\n",
        registers("extra: {table: H, address: 5, invalid: 7}")
        + "plugged: [{register: extra, is: 7, means: true}] #!\n",
        registers("extra: {table: H, address: 30, type: bytes4}")
        + "plugged: [{register: extra, is: ab, means: true}] #!\n",
        unlock("write: {enable: 0}", "wait: {register: state, is: 70000, timeout_s: 5} #!").replace(
            "unlock: #!", "unlock:"
        ),
    ],
    Rule.ONE_QUESTION: [
        more("plugged: [{register: state, means: true}] #!"),
        more("boot: [{register: state, is: 1, is_not: 2}] #!"),
    ],
    Rule.WRONG_UNIT: [
        more("meter: {power_w: limit} #!"),
        more("meter: {energy_wh: limit} #!"),
        registers("extra: {table: H, address: 5, unit: mA, access: rw}") + "limit: {register: extra, max_a: 16} #!\n",
        registers("extra: {table: H, address: 5, unit: mA}") + "limit: {register: limit, max_a: 16, sense: extra} #!\n",
    ],
    Rule.TEXT_AS_NUMBER: [more("meter: {power_w: name} #!"), more("meter: {current_a: [name]} #!")],
    Rule.ADDED_TO_ITSELF: [
        registers("extra: {table: H, address: 5, unit: Wh}") + "meter: {energy_wh: [extra, extra]} #!\n"
    ],
    Rule.STATE_NEVER_REACHED: [
        instead("{1: available, 2: charging}", "{1: available} #!"),
        instead("{1: available, 2: charging}", "{2: charging} #!"),
        instead("{1: available, 2: charging}", "{} #!"),
    ],
    Rule.SAME_RAW_VALUE: [instead("{1: available, 2: charging}", "{1: available, 2: charging, 0x2: available} #!")],
    Rule.SAME_ON_BOTH_SIDES: [
        instead("allow: 1, withhold: 0}", "allow: 1, withhold: 1} #!"),
        instead("allow: 1, withhold: 0}", "allow: go, withhold: 0} #!").replace(
            "address: 2, type: u16,", "address: 2, type: u16, names: {go: 0},"
        ),
        RELAY + "  on: 0 #!\n  reads_on: 1\n",
        RELAY + "  reads_on: 0 #!\n",
    ],
    Rule.LIMIT_ORDER: [limit("max_a: 4")],
    Rule.LIMIT_STEP: [
        limit("min_a: 6, max_a: 16, step_a: 4"),
        limit("min_a: 6, max_a: 15, step_a: 2"),
        limit("max_a: 16, step_a: 0.1"),
        limit("max_a: 18, step_a: 1.5, min_a: 6"),
    ],
    Rule.WITHHOLD_ABOVE_MIN: [limit("max_a: 16, withhold_a: 6"), limit("max_a: 16, withhold_a: 10")],
    Rule.INIT_WRITTEN_TWICE: [more("init:\n  - {register: limit, value: 1}\n  - {register: limit, value: 2} #!")],
    Rule.KEEP_ALIVE_TOO_LATE: [
        more("keep_alive: {by: any_read, timeout_s: 30, interval_s: 30} #!"),
        more("keep_alive: {by: any_read, timeout_s: 30, interval_s: 90} #!"),
    ],
    Rule.KEEP_ALIVE_WITHOUT_LIMIT: [more("keep_alive: {by: setpoint, timeout_s: 30} #!")],
    Rule.PULSE_OF_COIL: [RELAY + "  pulse: {value: 1, step_s: 1, most: 9} #!\n"],
    Rule.UNKNOWN_ACTION: [more("actions:\n  explode: {steps: []} #!")],
    Rule.ONE_STEP: [
        more("actions:\n  reset_soft:\n    steps:\n      - {write: {enable: 0}, pause_s: 1} #!\n      - " + DONE)
    ],
    Rule.SEQUENCE_CANNOT_END: [
        unlock("write: {enable: 0}", "wait: {register: state, is: 1} #!").replace("unlock: #!", "unlock:"),
        more("actions:\n  reset_hard:\n    steps:\n      - write: {enable: 0}\n      - restart: {} #!"),
    ],
    Rule.SEQUENCE_TOO_LONG: [
        unlock("write: {enable: 0}", "wait: {register: state, is: 1, timeout_s: 31}"),
        unlock("write: {enable: 0}", *[f"{DONE}"] * 7),
    ],
    Rule.SEQUENCE_WRITES_NOTHING: [unlock(DONE)],
    Rule.SEQUENCE_PROVES_NOTHING: [
        unlock("write: {enable: 0}", DONE, "write: {limit: 0}"),
        unlock("write: {enable: 0}", DONE, "pause_s: 1"),
        unlock("write: {enable: 0}", DONE, "wait: {register: state, is: 1, timeout_s: 5, otherwise: continue}"),
    ],
    Rule.UNLOCK_WITHOUT_SOCKET: [unlock("write: {enable: 0}", DONE).replace("detachable: true", "detachable: false")],
    Rule.UNLOCK_UNDER_LOAD: [
        unlock("write: {limit: 0}", DONE),
        unlock("write: {enable: 1}", DONE),
        unlock("write: {enable: 0}", "write: {limit: 0}", DONE),
        unlock("write: {enable: 0}", "wait: {register: state, is: 2, timeout_s: 5}", "write: {limit: 0}", DONE),
        unlock(
            "write: {enable: 0}",
            "wait: {register: state, is: 1, timeout_s: 5, otherwise: continue}",
            "write: {limit: 0}",
            DONE,
        ),
    ],
}
