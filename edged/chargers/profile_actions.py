"""Whether a profile's actions end, prove what they did and never pull a plug under load. PURE.

Owns: the rules for sequences of steps. Refuses to know: how a step is written (`profile_parts`) or run.
"""

from __future__ import annotations

from edged.chargers.profile import CommandSequence
from edged.chargers.profile_document import KeyPath
from edged.chargers.profile_references import References
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import CheckStep, Otherwise, PauseStep, RestartStep, Step, WaitStep, WriteStep
from edged.domain.hardware import ChargerState

LONGEST_ACTION_S = 30.0
"""A command may take 30 s at most (contract/mqtt: unlock and reset)."""


def check_actions(references: References) -> None:
    """Adds an error for every action that does not do what its name says."""
    for name, sequence in references.profile.actions.items():
        path: KeyPath = ("actions", name)
        if not sequence.steps:
            continue
        _check_sequence(references, sequence, path)
        for i, step in enumerate(sequence.steps):
            _check_step(references, step, (*path, "steps", str(i)))
        if name == "unlock":
            _check_unlock(references, sequence, path)


def _check_sequence(references: References, sequence: CommandSequence, path: KeyPath) -> None:
    if sequence.longest_s > LONGEST_ACTION_S:
        sentence = f"its waits may take {sequence.longest_s:g} s, an action has {LONGEST_ACTION_S:g} s"
        references.report(path, sentence, ProfileRule.SEQUENCE_TOO_LONG)
    if not any(isinstance(step, WriteStep) for step in sequence.steps):
        references.report(path, "it writes nothing", ProfileRule.SEQUENCE_WRITES_NOTHING)
        return
    last = sequence.steps[-1]
    proves_nothing = isinstance(last, WaitStep) and last.otherwise is Otherwise.CONTINUE
    if proves_nothing or isinstance(last, (WriteStep, PauseStep)):
        sentence = "it ends without reading back; end it with wait, fails_if or restart"
        references.report(path, sentence, ProfileRule.SEQUENCE_PROVES_NOTHING)


def _check_step(references: References, step: Step, at: KeyPath) -> None:
    match step:
        case WriteStep():
            references.write(step, (*at, "write"))
        case WaitStep():
            references.condition(step.condition, (*at, "wait"), polled=False)
        case CheckStep():
            references.condition(step.fails_if, (*at, "fails_if"), polled=False)
        case RestartStep():
            if step.sign is not None:
                references.condition(step.sign, (*at, "restart", "sign"), polled=False)
        case PauseStep():
            pass


def _check_unlock(references: References, sequence: CommandSequence, path: KeyPath) -> None:
    """The contactor is open before the lock moves: withheld first, then seen not to charge any more."""
    if references.profile.detachable is False:
        references.report(path, "there is no socket to unlock: detachable is false", ProfileRule.UNLOCK_WITHOUT_SOCKET)
        return
    writes = [i for i, step in enumerate(sequence.steps) if isinstance(step, WriteStep)]
    if not writes:
        return
    first, between = sequence.steps[writes[0]], sequence.steps[writes[0] + 1 : writes[-1] or None]
    withholds = isinstance(first, WriteStep) and _withholds(references, first)
    if len(writes) == 1:
        between = sequence.steps[writes[0] + 1 :]
    if not withholds:
        sentence = "its first write must withhold energy: a lock that opens under load is dangerous"
        references.report(path, sentence, ProfileRule.UNLOCK_UNDER_LOAD)
    elif not any(_sees_no_charging(references, step) for step in between):
        sentence = "between withholding energy and moving the lock it must wait until the charger no longer charges"
        references.report(path, sentence, ProfileRule.UNLOCK_UNDER_LOAD)


def _withholds(references: References, write: WriteStep) -> bool:
    profile = references.profile
    if any(references.is_told((part,)) for part in ("permit", "limit")):
        return True
    permit, limit = profile.permit, profile.limit
    said = {register.value_of(write.value) for register in profile.registers.get(write.register, ())}
    if permit is not None and permit.register == write.register:
        return said <= {register.value_of(permit.off) for register in profile.registers.get(permit.register, ())}
    return limit is not None and limit.register == write.register and said <= {limit.withhold_a}


def _sees_no_charging(references: References, step: Step) -> bool:
    """Whether a step only passes when the state is not one of those that charge."""
    state = references.profile.state
    if isinstance(step, CheckStep):
        condition, passes = step.fails_if, False
    elif isinstance(step, WaitStep) and step.otherwise is not Otherwise.CONTINUE:
        condition, passes = step.condition, True
    else:
        return False
    if condition.register != state.register:
        return any(
            overlay.condition.register == condition.register and overlay.means is ChargerState.CHARGING
            for overlay in state.overlays
        )
    charging = [raw for raw, means in state.states.items() if means is ChargerState.CHARGING]
    return not any(condition.holds({state.register: raw}) is passes for raw in charging)
