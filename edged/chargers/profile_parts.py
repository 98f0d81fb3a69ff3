"""The parts of a profile that ask or tell a register something: rules, toggles, faults, sequences. PURE.

Owns: how these parts are written. Refuses to know: whether the registers they name exist (`profile_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from edged.chargers.profile import (
    CommandSequence,
    FaultRule,
    InitWrite,
    Limit,
    StateMap,
    Toggle,
    TokenFormat,
    TokenReader,
)
from edged.chargers.profile_document import Fields, Findings, KeyPath, Node, shown
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import (
    CheckStep,
    Condition,
    Otherwise,
    PauseStep,
    Relation,
    RestartStep,
    Rule,
    Step,
    WaitStep,
    WriteStep,
)
from edged.chargers.registers import Value
from edged.domain.hardware import ChargerState, FaultCode

T = TypeVar("T")
MAX_STEPS = 20
MAX_WAIT_S = 60.0
MAX_DIGITS = 20
"""No raw value of 64 bits needs more."""
_STATES = {str(state): state for state in ChargerState}


def read_condition(fields: Fields) -> Condition:
    """`{register: R, is: V}`; the caller closes the fields, since it may have keys of its own."""
    relations = [relation for relation in Relation if str(relation) in fields]
    register = fields.text("register", required=True)
    if len(relations) != 1 and fields.is_mapping:
        sentence = f"exactly one of {', '.join(Relation)} is needed to ask the register something"
        fields.error("", sentence, ProfileRule.ONE_QUESTION)
    relation = relations[0] if relations else Relation.IS
    operands: tuple[Value, ...] = fields.scalars(str(relation))
    if not fields.is_mapping:
        return Condition(register="", relation=relation, operands=(0,))
    told = [node.value for _, node in fields.items(str(relation), or_single=True)]
    if relation in (Relation.BELOW, Relation.AT_LEAST):
        if len(told) != 1 or not isinstance(told[0], (int, float)) or isinstance(told[0], bool):
            fields.error(str(relation), "this must be one number", ProfileRule.WRONG_TYPE)
        operands = tuple(bound for bound in operands if isinstance(bound, (int, float)))[:1] or (0,)
    elif relation is Relation.ANY_BIT:
        if not told or not all(isinstance(bit, int) and not isinstance(bit, bool) and 0 <= bit < 64 for bit in told):
            fields.error(str(relation), "this must be bit numbers, counted from 0", ProfileRule.WRONG_TYPE)
            operands = (0,)
    elif not operands and relations:
        fields.error(str(relation), "at least one value is needed", ProfileRule.EMPTY_LIST)
    states = frozenset(
        state
        for path, node in fields.items("while", or_single=True)
        if (state := fields.as_choice(path, node, ChargerState)) is not None
    )
    return Condition(register=register, relation=relation, operands=operands, states=states or None)


def read_closed_condition(findings: Findings, path: KeyPath, node: Node) -> Condition:
    fields = Fields(findings, node, path)
    condition = read_condition(fields)
    fields.close()
    return condition


def read_rules(fields: Fields, key: str, words: Mapping[str, T]) -> tuple[Rule[T], ...]:
    """A list of `{<condition>, means: WORD}`."""
    rules: list[Rule[T]] = []
    for path, node in fields.items(key):
        entry = Fields(fields.findings, node, path)
        condition = read_condition(entry)
        means = entry.node("means", required=True)
        entry.close()
        word = str(means.value).lower() if means is not None else ""
        if word in words:
            rules.append(Rule(condition, words[word]))
        elif means is not None:
            entry.error("means", f"{shown(word)!r} is none of {', '.join(words)}", ProfileRule.UNKNOWN_ENUM)
    return tuple(rules)


def read_state(fields: Fields | None, findings: Findings) -> StateMap:
    if fields is None:
        return StateMap(register="", states={})
    states: dict[Value, ChargerState] = {}
    for raw, path, node in fields.entries("map", required=True):
        state = fields.as_choice(path, node, ChargerState)
        if state is not None:
            key = map_key(raw)
            if key in states:
                findings.add(path, f"{shown(raw)} stands in the map already", rule=ProfileRule.SAME_RAW_VALUE)
            states[key] = state
    result = StateMap(
        register=fields.text("register", required=True),
        states=states,
        overlays=read_rules(fields, "overlays", _STATES),
    )
    fields.close()
    return result


def map_key(raw: str) -> Value:
    """A key of the state map as the raw value that it means: a number where it can be read as one."""
    if len(raw) > MAX_DIGITS:
        return raw
    try:
        return int(raw, 0)
    except ValueError:
        return raw


def read_faults(fields: Fields) -> tuple[FaultRule, ...]:
    rules = []
    for path, node in fields.items("faults"):
        entry = Fields(fields.findings, node, path)
        condition = read_condition(entry)
        rules.append(
            FaultRule(
                condition=condition,
                code=entry.choice("code", FaultCode, FaultCode.OTHER, required=True),
                vendor_code=entry.text("vendor_code"),
                info=entry.text("info"),
                blocking=entry.flag("blocking", True),
                catch_all=entry.flag("otherwise"),
            )
        )
        entry.close()
    return tuple(rules)


def read_toggle(fields: Fields, *, on: str, off: str, may_be_emulated: bool = False) -> Toggle | None:
    """`{register, ON: value, OFF: value, sense: [...], settle_s}`; `on` and `off` name the sides' keys."""
    return Toggle(
        register=fields.text("register", required=True),
        on=_scalar(fields, on, required=True),
        off=_scalar(fields, off, required=True),
        sense=read_rules(fields, "sense", {on: True, off: False, "unknown": None}),
        settle_s=fields.number("settle_s", 2.0, low=0, high=120),
        emulated=may_be_emulated and fields.flag("emulated"),
    )


def read_limit(fields: Fields) -> Limit | None:
    has_withhold = "withhold_a" in fields
    low = fields.number("min_a", 6.0, low=0, high=1000)
    high = fields.number("max_a", 32.0, low=0, high=1000, required=True)
    step = fields.number("step_a", 1.0, low=0.0001, high=100)
    withhold = fields.number("withhold_a", 0.0, low=0, high=1000)
    if high < low:
        fields.error("max_a", f"{high:g} A is less than min_a, {low:g} A", ProfileRule.LIMIT_ORDER)
    if has_withhold and withhold >= low:
        sentence = f"{withhold:g} A would not withhold energy, since charging starts at {low:g} A"
        fields.error("withhold_a", sentence, ProfileRule.WITHHOLD_ABOVE_MIN)
    return Limit(
        register=fields.text("register", required=True),
        min_a=low,
        max_a=high,
        step_a=step,
        withhold_a=withhold if has_withhold else None,
        sense=fields.text("sense") or None,
        max_from=fields.text("max_from") or None,
        settle_s=fields.number("settle_s", 2.0, low=0, high=120),
    )


def read_token(fields: Fields) -> TokenReader | None:
    clear = fields.node("clear")
    return TokenReader(
        register=fields.text("register", required=True),
        format=fields.choice("format", TokenFormat, TokenFormat.TEXT),
        empty=frozenset(fields.scalars("empty")),
        clear=None if clear is None else read_write(fields.findings, (*fields.path, "clear"), clear),
    )


def read_write(findings: Findings, path: KeyPath, node: Node) -> WriteStep:
    """`{REGISTER: VALUE}`: one register, one value (a number, a text or one of the register's names)."""
    value = node.value
    if isinstance(value, dict) and len(value) == 1:
        register, entry = next(iter(value.items()))
        if isinstance(entry.value, bool):
            return WriteStep(register, int(entry.value))
        if isinstance(entry.value, (int, float, str)):
            return WriteStep(register, entry.value)
    sentence = "a write is one register and its value, for example {enable: 0}"
    findings.add(path, sentence, node.line, rule=ProfileRule.WRONG_TYPE)
    return WriteStep("", 0)


def read_init(fields: Fields) -> tuple[InitWrite, ...]:
    writes = []
    for path, node in fields.items("init"):
        entry = Fields(fields.findings, node, path)
        writes.append(
            InitWrite(
                register=entry.text("register", required=True),
                value=_scalar(entry, "value", required=True),
                sense=entry.text("sense") or None,
                required=entry.flag("required", True),
            )
        )
        entry.close()
    return tuple(writes)


def read_actions(fields: Fields, known: tuple[str, ...]) -> dict[str, CommandSequence]:
    actions: dict[str, CommandSequence] = {}
    for name, path, node in fields.entries("actions"):
        if name not in known:
            sentence = f"there is no action {shown(name)!r}; there are {', '.join(known)}"
            fields.findings.add(path, sentence, node.line, rule=ProfileRule.UNKNOWN_ACTION)
            continue
        entry = Fields(fields.findings, node, path)
        steps = [_read_step(fields.findings, at, step) for at, step in entry.items("steps")]
        affects_all = entry.flag("affects_all_points")
        entry.close()
        if not steps:
            entry.error("steps", "an action needs at least one step", ProfileRule.EMPTY_LIST)
        if len(steps) > MAX_STEPS:
            sentence = f"{len(steps)} steps are more than the {MAX_STEPS} that an action may have"
            entry.error("steps", sentence, ProfileRule.TOO_MANY)
        actions[name] = CommandSequence(
            steps=tuple(step for step in steps if step is not None),
            affects_all_points=affects_all,
        )
    return actions


def _read_step(findings: Findings, path: KeyPath, node: Node) -> Step | None:
    fields = Fields(findings, node, path)
    kinds = [kind for kind in ("write", "wait", "fails_if", "pause_s", "restart") if kind in fields]
    if len(kinds) != 1 and not fields.is_mapping:
        return None
    if len(kinds) != 1:
        fields.error("", "a step is exactly one of write, wait, fails_if, pause_s, restart", ProfileRule.ONE_STEP)
        fields.close()
        return None
    kind = kinds[0]
    inner = fields.node(kind)
    assert inner is not None  # `kind in fields` said so
    fields.close()
    at = (*path, kind)
    match kind:
        case "write":
            return read_write(findings, at, inner)
        case "pause_s":
            return PauseStep(fields.number("pause_s", low=0, high=MAX_WAIT_S))
        case "fails_if":
            return CheckStep(read_closed_condition(findings, at, inner))
        case "wait":
            return _read_wait(Fields(findings, inner, at))
        case _:
            return _read_restart(Fields(findings, inner, at))


def _read_wait(fields: Fields) -> WaitStep:
    step = WaitStep(
        condition=read_condition(fields),
        timeout_s=_deadline(fields),
        otherwise=fields.choice("otherwise", Otherwise, Otherwise.FAILED),
    )
    fields.close()
    return step


def _read_restart(fields: Fields) -> RestartStep:
    sign = fields.node("sign")
    step = RestartStep(
        timeout_s=_deadline(fields),
        sign=None if sign is None else read_closed_condition(fields.findings, (*fields.path, "sign"), sign),
    )
    fields.close()
    return step


def _deadline(fields: Fields) -> float:
    if "timeout_s" not in fields and not fields.is_mapping:
        return 1.0
    if "timeout_s" not in fields:
        sentence = "this could wait for ever: timeout_s is missing"
        fields.error("", sentence, ProfileRule.SEQUENCE_CANNOT_END)
        return 1.0
    return fields.number("timeout_s", 1.0, low=0.05, high=MAX_WAIT_S)


def _scalar(fields: Fields, key: str, *, required: bool = False) -> Value:
    node = fields.node(key, required=required)
    if node is not None and isinstance(node.value, list):
        fields.error(key, "this must be one value, not a list", ProfileRule.WRONG_TYPE)
        return 0
    scalars = fields.scalars(key)
    return scalars[0] if scalars else 0
