"""Texts as they lie on the disk: deflated, with a dictionary of what nearly all of their kind say.

A page of 512 bytes holds four events instead of one, and a row that would spill over onto a page of its own lies beside
its neighbours; each page that a commit touches is written whole. Knows no meaning: a text of other words comes back
whole as well, only longer. A stored text that does not begin with the mark is the text itself. Pure.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Final

FULL_MAX: Final = 16 * 1024 * 1024
MEMORY_LEVEL: Final = 6
"""zlib's: as short as with the usual 8, whose 256 KiB of memory anew for each text take seven times as long."""


@dataclass(frozen=True, slots=True)
class Shorthand:
    """`mark`: how a text begins that was made short with `words`. Once released `words` never change: other words are
    another mark."""

    mark: str
    words: bytes

    def brief(self, text: str) -> str:
        """The text as it is stored, ASCII where it is short; as it is where that is no shorter."""
        deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, MEMORY_LEVEL, zdict=self.words)
        data = deflater.compress(text.encode("utf-8", "surrogatepass")) + deflater.flush()
        short = self.mark + base64.b85encode(data).decode("ascii")
        return short if len(short) < len(text) else text

    def full(self, stored: str) -> str:
        """What `brief` made short. What is spoilt comes back as it lies there, and then is no JSON."""
        if not stored.startswith(self.mark):
            return stored
        inflater = zlib.decompressobj(-zlib.MAX_WBITS, zdict=self.words)
        try:
            data = inflater.decompress(base64.b85decode(stored[len(self.mark) :]), FULL_MAX)
            return data.decode("utf-8", "surrogatepass") if inflater.eof and not inflater.unused_data else stored
        except (ValueError, zlib.error):
            return stored


EVENTS: Final = Shorthand(
    "1~",
    b'"gateway.started""gateway.stopping""version""boot_id":"unexpected":false"security.event""type":"info":'
    b'"config.key_changed""key":"value":"ocpp.boot_accepted""ocpp.connected""ocpp.disconnected""reason":'
    b'"command.executed""command.refused""actor":"command":"id":"outcome":"count":"error":"mqtt:"local""csms"'
    b'"connector.fault_cleared""connector.fault""error_code":"OtherError","vendor_error_code":null,"info":null,'
    b'"blocking":false"connector.link""online":true"reservation.made""reservation.used""reservation.expired"'
    b'"reservation_id":,"expires_at":""transaction.rejected""transaction.updated","Reserved""Faulted""Unavailable"'
    b'"SuspendedEVSE""SuspendedEV""Finishing""Preparing""Charging""Available","data":{"transaction_id":"",'
    b'"id_token":"****","meter_wh":,"reason":"EVDisconnected""Remote""Local"}}{"v":1,"id":"","boot":"","seq":,'
    b'"ts":"2026-01-01T00:00:00.000Z","clock":"synced","event_type":"transaction.ended""transaction.started'
    b'""connector.status","station":"","connector":1,"source":null,"data":{"status":"","previous":""}}',
)
"""Events for the broker."""
ROWS: Final = Shorthand(
    "2~",
    b'"type":"firmware""type":"log""type":"limit""type":"event""type":"security""type":"reservation","status":"Expired"'
    b'{"type":"meter","connector":0,"samples":[{"at":{"utc":"2026-01-01T00:00:00+00:00","synchronized":true,"boot":""},'
    b'"context":"Sample.Clock","context":"Trigger""Interruption.Begin""Interruption.End"'
    b'"Current.Import""Voltage","phase":"L1-N""L2-N""L3-N","phase":"L1""L2""L3""SoC""Power.Offered""Current.Offered"'
    b'"Power.Active.Import""Temperature""Frequency""Energy.Active.Import.Interval""Energy.Active.Export.Register"'
    b'"ended","trigger":"StopAuthorized""Deauthorized""EVDeparted""EVCommunicationLost""RemoteStop""ChargingStateChanged"'
    b'"CablePluggedIn""MeterValuePeriodic""MeterValueClock""EnergyLimitReached""ResetCommand""AbnormalCondition"'
    b'"phase":"Charging""Finishing""SuspendedEV""SuspendedEVSE","offline":true'
    b'"reason":"EVDisconnected""PowerLoss""Reboot""HardReset""SoftReset""DeAuthorized""Other","reservation_id":"remote_start_id":'
    b'"samples":[{"value":"","kind":"ISO14443""Central""KeyCode""eMAID"}'
    b'{"type":"transaction","kind":"updated","kind":"started","transaction_id":"","connector":1,"trigger":"RemoteStart",'
    b'"trigger":"Authorized","seq_no":0,"at":{"utc":"2026-01-01T00:00:00+00:00","synchronized":true,"boot":""},'
    b'"offline":false,"phase":"Preparing","id_token":{"value":""},"meter_wh":0.0,"plugged":true}'
    b'{"operative":true,"next_seq":1,"wall_kept":"2026-01-01T00:00:00+00:00","local_list_version":0,'
    b'"list_conflict":false,"ran_kept_s":'
    b'{"operative":true,"evse_operative":true,"spent":true,"spent":false,"held_for":{"value":""},"fault_kept":'
    b'"kept_locked":false,"energy_offset_wh":0.0,"energy_kept_wh":'
    b'{"id_token":{"value":""},"info":{"status":"Accepted""Invalid"},"updated_at":"'
    b'{"id":"","connector":1,"id_token":{"value":""},"group":null,"started":{"utc":"2026-01-01T00:00:00+00:00",'
    b'"synchronized":true,"boot":""},"meter_start_wh":0.0,"external_ref":1,"start_told":false,"start_told":true,"seq_no":0,'
    b'"ending":{"at":{"utc":"2026-01-01T00:00:00+00:00","synchronized":true,"boot":""},"meter_wh":0.0,"reason":"Remote"'
    b'"reason":"Local","id_token":{"value":""}},"deauthorized":false,"kept_meter_wh":0.0,"kept_at":{"utc":"2026-01-01'
    b'T00:00:00+00:00","synchronized":true,"boot":""},"connected":true,"energized":true,"energized":false,"told_at":{"utc"'
    b':"2026-01-01T00:00:00+00:00","synchronized":true,"boot":""},"unheard":false}'
    b'{"at":{"utc":"2026-01-01T00:00:00+00:00","synchronized":true,"boot":""},"context":"Transaction.End""Transaction.Begin'
    b'""Sample.Periodic","values":[{"measurand":"Energy.Active.Import.Register","value":',
)
"""What each transaction writes again: its own row, its connector's, the station's, its messages."""
