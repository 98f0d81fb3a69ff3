"""Events as they lie on the disk: deflated, with a dictionary of what nearly all of them say.

A page holds four of them instead of one, and each page that a commit touches is written whole. Knows no meaning: a text
that is of other words comes back whole as well, only longer. A stored text that does not begin with the mark is the
text itself. Pure.
"""

from __future__ import annotations

import base64
import zlib
from typing import Final

MARK: Final = "1~"
"""Made with `WORDS`. Once released `WORDS` never change: other words are another mark."""
FULL_MAX: Final = 4 * 1024 * 1024
WORDS: Final = (
    b'"gateway.started""gateway.stopping""version""boot_id":"unexpected":false"security.event""type":"info":'
    b'"config.key_changed""key":"value":"ocpp.boot_accepted""ocpp.connected""ocpp.disconnected""reason":'
    b'"command.executed""command.refused""actor":"command":"id":"outcome":"count":"error":"mqtt:"local""csms"'
    b'"connector.fault_cleared""connector.fault""error_code":"OtherError","vendor_error_code":null,"info":null,'
    b'"blocking":false"connector.link""online":true"reservation.made""reservation.used""reservation.expired"'
    b'"reservation_id":,"expires_at":""transaction.rejected""transaction.updated","Reserved""Faulted""Unavailable"'
    b'"SuspendedEVSE""SuspendedEV""Finishing""Preparing""Charging""Available","data":{"transaction_id":"",'
    b'"id_token":"****","meter_wh":,"reason":"EVDisconnected""Remote""Local"}}{"v":1,"id":"","boot":"","seq":,'
    b'"ts":"2026-01-01T00:00:00.000Z","clock":"synced","event_type":"transaction.ended""transaction.started'
    b'""connector.status","station":"","connector":1,"source":null,"data":{"status":"","previous":""}}'
)


def brief(text: str) -> str:
    """The text as it is stored; as it is where that is no shorter."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=WORDS)
    data = deflater.compress(text.encode("utf-8", "surrogatepass")) + deflater.flush()
    short = MARK + base64.b85encode(data).decode("ascii")
    return short if len(short) < len(text) else text


def full(stored: str) -> str:
    """What `brief` made short; what is spoilt comes back as it lies there, and is no event then."""
    if not stored.startswith(MARK):
        return stored
    inflater = zlib.decompressobj(-zlib.MAX_WBITS, zdict=WORDS)
    try:
        data = inflater.decompress(base64.b85decode(stored[len(MARK) :]), FULL_MAX)
        return data.decode("utf-8", "surrogatepass") if inflater.eof and not inflater.unused_data else stored
    except (ValueError, zlib.error):
        return stored
