"""Taking secrets out of text that leaves the computer. Pure.

Owns the forms in which a secret may appear. Invariants: no given secret is left in any of them; time grows with the
length of the text, whatever is in it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_INNER_BYTES = 5
"""Shorter secrets leave too little of themselves inside somebody else's base64 to be told from chance."""

_NAME = (
    r"(?:[\w.-]{0,40}(?:password|passwd|passphrase|secret|token|credential|api[_-]?key|private[_-]?key|"
    r"authorization[_-]?key)[\w.-]{0,40}|key|pin|idTag|parentIdTag)"
)
_JSON_TEXT = r'"(?:[^"\\\n]|\\.)*"'
_JSON = re.compile(rf'((?<![\w.-])"{_NAME}"\s{{0,40}}:\s{{0,40}})(?:{_JSON_TEXT}|[-+.\w]+)', re.IGNORECASE)
_JSON_IN_JSON = re.compile(
    rf'(\\"{_NAME}\\"\s{{0,40}}:\s{{0,40}})(?:\\"(?:[^"\\\n]|\\\\.)*\\"|[-+.\w]+)', re.IGNORECASE
)
_NAMED_VALUE = re.compile(
    rf'("key"\s*:\s*"(?:[\w.-]{{0,40}})(?:Authorization|Password|Secret)(?:[\w.-]{{0,40}})"[^{{}}]{{0,200}}?'
    rf'"value"\s*:\s*){_JSON_TEXT}',
    re.IGNORECASE,
)
_YAML = re.compile(
    rf"^(?P<indent>[ \t]*(?:-[ \t]+)*)(?P<name>['\"]?{_NAME}['\"]?[ \t]*[:=])(?P<space>[ \t]*)(?P<value>.*)$",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    rf"((?<![\w.-]){_NAME}(?:=|['\"]?[ \t]{{0,4}}[:=][ \t]{{1,4}}|['\"]:))(?!['\"]?\*\*\*)"
    r"(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s&,;'\"{}\[\]]+)",
    re.IGNORECASE,
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL
)
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://)[^/?#\s\"]{1,512}@", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"(\b(?:Basic|Bearer)[ \t]+)[A-Za-z0-9+/_.=~-]{6,}", re.IGNORECASE)


def redact(text: str, secrets: Sequence[str]) -> str:
    """`text` without the secrets, as they are, URL-encoded, JSON-escaped, in hex and in base64 (also in the middle of
    more), without what is called password, key, token and the like in JSON and YAML, credentials of URLs and HTTP, and
    private keys."""
    forms = sorted({form for secret in secrets if secret for form in _forms(secret) if form}, key=len, reverse=True)
    text = _PEM.sub(f"{MASK} (a private key)", text)
    if forms:
        text = re.compile("|".join(map(re.escape, forms))).sub(MASK, text)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1{MASK}@", text))
    text = _NAMED_VALUE.sub(rf'\1"{MASK}"', text)
    text = _JSON_IN_JSON.sub(rf'\1\\"{MASK}\\"', _JSON.sub(rf'\1"{MASK}"', text))
    return _ASSIGNED.sub(rf"\1{MASK}", _without_yaml_values(text))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for safe in ("", "/", "!$&'()*+,;=:@"):
        encoded = quote(secret, safe=safe)
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield quote_plus(secret)
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield json.dumps(escaped)[1:-1]
    raw = secret.encode("utf-8", "surrogatepass")
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        if len(raw) < MIN_INNER_BYTES:
            continue
        for ahead, spoilt in ((0, 0), (1, 2), (2, 3)):
            # The characters that depend on the secret alone, wherever it stands in what was encoded.
            yield encode(b"\0" * ahead + raw).decode()[spoilt : (ahead + len(raw)) * 8 // 6]


def _without_yaml_values(text: str) -> str:
    """Line by line: a value, a block below `|` or `>`, and a list below the name."""
    lines: list[str] = []
    hidden: int | None = None
    listed = False
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(" \t"))
        if hidden is not None:
            item = line.lstrip().startswith("- ")
            if not line.strip() or (depth > hidden and (not listed or item)) or (listed and item and depth == hidden):
                continue
            hidden = None
        match = _YAML.match(line)
        if match is None:
            lines.append(line)
            continue
        value = match["value"].split(" #")[0].strip()
        listed = value == ""
        if listed or value[:1] in "|>":
            hidden = depth
        if value[:1] not in ("", "{") and not value.startswith((MASK, f'"{MASK}"')):
            line = f"{match['indent']}{match['name']} {MASK}"
        lines.append(line)
    return "\n".join(lines)
