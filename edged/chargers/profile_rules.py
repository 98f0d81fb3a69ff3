"""What can be wrong with a profile, by name. PURE.

Owns: the names of the rules that profiles are judged by, and a sentence of explanation for each. They are stable: a
name is printed beside each mistake, told in JSON and looked up in docs/profiles.md, whose table is made from here.
Refuses to know: how a mistake is found.
"""

from __future__ import annotations

from enum import StrEnum


class ProfileRule(StrEnum):
    """A rule's name; `explanation` says what it asks for."""

    explanation: str

    def __new__(cls, name: str, explanation: str) -> ProfileRule:
        rule = str.__new__(cls, name)
        rule._value_ = name
        rule.explanation = explanation
        return rule

    # The file
    UNREADABLE_FILE = "unreadable-file", "the file can be opened and is UTF-8 text"
    FILE_TOO_LARGE = "file-too-large", "a profile has at most 256 KiB"
    EMPTY_FILE = "empty-file", "there is a document in the file"
    NO_YAML = "no-yaml", "the file is one plain YAML document"
    TAB = "tab", "lines are indented by spaces: YAML takes no tabs"
    TOO_COMPLEX = "too-complex", "at most 16 levels and 20,000 entries; an alias counts as often as it is used"
    DUPLICATE_KEY = "duplicate-key", "a key stands once in its mapping"
    KEY_NO_TEXT = "key-is-no-text", "a key is a word, no list and no mapping"
    UNREADABLE_VALUE = "unreadable-value", "a value is what its tag says, and a whole number has at most 64 bits"
    FILE_NAME = "file-name", "the file of the profile NAME is called NAME.yaml"
    NO_SUCH_PROFILE = "no-such-profile", "a profile that is named exists"
    WRONG_KIND = "wrong-kind", "a charger's profile is wanted where a charger is, a relay board's where a board is"
    TOO_MANY_MISTAKES = "too-many-mistakes", "after 500 mistakes the search ends"

    # Keys and values
    UNKNOWN_KEY = "unknown-key", "only the keys of the language are used"
    MISSING_KEY = "missing-key", "what must be said is said"
    UNUSED_KEY = "unused-key", "a key has an effect where it stands"
    WRONG_TYPE = "wrong-type", "numbers, texts, lists and mappings stand where they are asked for"
    WRONG_VALUE = "wrong-value", "a value makes sense where it stands"
    UNKNOWN_ENUM = "unknown-enum", "of several words one is chosen, as it is written"
    OUT_OF_RANGE = "out-of-range", "a number lies within its bounds"
    NOT_FINITE = "not-finite", "a number is neither infinite nor NaN"
    BAD_NAME = "bad-name", "names of profiles and registers have only lower-case letters, digits and - or _"
    EMPTY_LIST = "empty-list", "a list that is needed has an entry"
    TOO_MANY = "too-many", "no list is longer than it may be"
    REVERSED_RANGE = "reversed-range", "a range begins before it ends"

    # The line
    UNIT_ID_OUTSIDE = "unit-id-outside", "unit_id lies within unit_ids"
    BROADCAST_UNIT_ID = "broadcast-unit-id", "on a serial line nobody answers to unit 0"

    # Registers
    UNKNOWN_TYPE = "unknown-type", "a register's type exists and is no longer than one read"
    IMPOSSIBLE_REGISTER = "impossible-register", "a register lies within 0..65535, with all its words"
    TYPE_OF_TABLE = "type-of-table", "coils and discrete inputs are bits, registers are not"
    READ_ONLY_TABLE = "read-only-table", "inputs and discrete inputs are only read"
    SCALE_ZERO = "scale-zero", "a scale is not 0: every value would be"
    SCALED_TEXT = "scaled-text", "a text or bytes have no scale, offset or invalid"
    BITS_WITHOUT_NUMBER = "bits-without-number", "bits are taken of an unsigned number"
    WRITABLE_BITS = "writable-bits", "single bits of a word are not written: the others would be lost"
    IMPOSSIBLE_SENTINEL = "impossible-sentinel", "what stands for no value is a raw value that the type can have"
    UNCLEAR_FIRMWARE = "unclear-firmware", "when compares the firmware with a version"
    WHEN_WITHOUT_FIRMWARE = "when-without-firmware", "who asks for the firmware says which register tells it"
    UNREACHABLE_VARIANT = "unreachable-variant", "no definition stands behind one that always holds"
    OVERLAPPING_REGISTERS = "overlapping-registers", "words belong to one register, or to fields that share no bit"
    FORBIDDEN_REGISTER = "forbidden-register", "no register that is read lies in forbidden addresses"
    LONGER_THAN_BLOCK = "longer-than-block", "a register fits into one read"
    IMPOSSIBLE_POINT = "impossible-point", "the last point has an address, a unit id and a port"
    OVERLAPPING_POINTS = "overlapping-points", "no register of a point lies on one of another"

    # What the parts ask of registers
    NO_SUCH_REGISTER = "no-such-register", "a register that is named is defined"
    WRITE_ONLY_REGISTER = "write-only-register", "what is asked can be read"
    READ_ONLY_REGISTER = "read-only-register", "what is told can be written"
    NOT_POLLED = "not-polled", "what is asked in each poll is read in each poll"
    WRITE_FUNCTION = "write-function", "a value of several words is not written where only single writes work"
    VALUE_DOES_NOT_FIT = "value-does-not-fit", "a value that is written fits into its register"
    IMPOSSIBLE_CONDITION = "impossible-condition", "a condition can hold"
    ONE_QUESTION = "one-question", "a condition asks exactly one thing"
    WRONG_UNIT = "wrong-unit", "what is measured and limited is in Wh, W, A, V, Hz, degC or %"
    TEXT_AS_NUMBER = "text-as-number", "what is measured is a number"
    ADDED_TO_ITSELF = "added-to-itself", "a register is added up once"

    # What the parts mean
    STATE_NEVER_REACHED = "state-never-reached", "some raw value means available and some charging"
    SAME_RAW_VALUE = "same-raw-value", "a raw value stands once in the map, however it is written"
    SAME_ON_BOTH_SIDES = "same-on-both-sides", "the two sides of a switch are different"
    LIMIT_ORDER = "limit-min-above-max", "the least current of a limit is not above its greatest"
    LIMIT_STEP = "limit-step", "min_a and max_a are whole steps, and a step is whole steps of the register"
    WITHHOLD_ABOVE_MIN = "withhold-above-min", "what stops energy is less than what charging takes"
    INIT_WRITTEN_TWICE = "init-written-twice", "a setting is made once"
    KEEP_ALIVE_TOO_LATE = "keep-alive-too-late", "the interval is shorter than the charger waits"
    KEEP_ALIVE_WITHOUT_LIMIT = "keep-alive-without-limit", "a setpoint that is repeated exists"
    PULSE_OF_COIL = "pulse-of-coil", "only outputs in holding registers end by themselves"

    # Actions
    UNKNOWN_ACTION = "unknown-action", "an action is unlock, reset_soft or reset_hard"
    ONE_STEP = "one-step", "a step does exactly one thing"
    SEQUENCE_CANNOT_END = "sequence-cannot-end", "who waits says how long"
    SEQUENCE_TOO_LONG = "sequence-too-long", "an action ends within 30 s"
    SEQUENCE_WRITES_NOTHING = "sequence-writes-nothing", "an action writes something"
    SEQUENCE_PROVES_NOTHING = "sequence-proves-nothing", "the last step reads back, and can fail"
    UNLOCK_WITHOUT_SOCKET = "unlock-without-socket", "a fixed cable is not unlocked"
    UNLOCK_UNDER_LOAD = "unlock-under-load", "an unlock withholds energy and waits for it before it moves the lock"
