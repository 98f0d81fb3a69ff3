PRAGMA application_id = 1701070660;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE facts (
            station TEXT NOT NULL,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, kind, key)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "facts" VALUES('CP1','cache','ann-1','{"id_token":{"value":"ANN-1","kind":"ISO14443"},"info":{"status":"Accepted","group":{"value":"ben-2"},"expires_at":"2026-03-01T12:00:00+00:00"},"updated_at":"2026-03-01T12:00:00+00:00"}');
INSERT INTO "facts" VALUES('CP1','configuration','HeartbeatInterval','{"value":"300"}');
INSERT INTO "facts" VALUES('CP1','connector','1','{"operative":true,"spent":false,"energy_offset_wh":3.5,"energy_kept_wh":11.25}');
INSERT INTO "facts" VALUES('CP1','connector','2','{"operative":false,"scheduled":true,"spent":true,"held_for":{"value":"ben-2"},"energy_offset_wh":0.0}');
INSERT INTO "facts" VALUES('CP1','correction','b1','{"value":12.5}');
INSERT INTO "facts" VALUES('CP1','reservation','4','{"id":4,"target":{"connector":2},"id_token":{"value":"ben-2"},"group":null,"expires_at":"2026-03-01T12:30:00+00:00","created":{"utc":"2026-03-01T11:59:00+00:00","synchronized":true,"boot":"b1"},"source":"csms"}');
INSERT INTO "facts" VALUES('CP1','sample','tx-run/00000','{"at":{"utc":"2026-03-01T12:00:00+00:00","synchronized":true,"boot":"b1"},"context":"Sample.Periodic","values":[{"measurand":"Energy.Active.Import.Register","value":1000.0}]}');
INSERT INTO "facts" VALUES('CP1','sample','tx-run/00001','{"at":{"utc":"2026-03-01T12:01:00+00:00","synchronized":true,"boot":"b1"},"context":"Sample.Periodic","values":[{"measurand":"Energy.Active.Import.Register","value":1001.0}]}');
INSERT INTO "facts" VALUES('CP1','sample','tx-run/00002','{"at":{"utc":"2026-03-01T12:02:00+00:00","synchronized":true,"boot":"b1"},"context":"Sample.Periodic","values":[{"measurand":"Energy.Active.Import.Register","value":1002.0}]}');
INSERT INTO "facts" VALUES('CP1','station','','{"operative":false,"next_seq":9,"next_boot_reason":"RemoteReset","wall_kept":"2026-03-01T12:03:00+00:00"}');
INSERT INTO "facts" VALUES('CP1','station.wall','','2026-03-01T12:00:00+00:00');
INSERT INTO "facts" VALUES('CP1','transaction','tx-over','{"id":"tx-over","connector":2,"id_token":{"value":"ben-2"},"group":{"value":"ANN-1","kind":"ISO14443"},"started":{"utc":"2026-03-01T11:00:00+00:00","synchronized":true,"boot":"b1"},"meter_start_wh":0.0,"external_ref":17,"seq_no":0,"ending":{"at":{"utc":"2026-03-01T11:55:00+00:00","synchronized":true,"boot":"b1"},"meter_wh":900.0,"reason":"Local","id_token":{"value":"ben-2"}},"deauthorized":false,"kept_meter_wh":0.0,"kept_at":{"utc":"2026-03-01T11:55:00+00:00","synchronized":true,"boot":"b1"}}');
INSERT INTO "facts" VALUES('CP1','transaction','tx-run','{"id":"tx-run","connector":1,"id_token":{"value":"ANN-1","kind":"ISO14443"},"group":null,"started":{"utc":"2026-03-01T12:00:00+00:00","synchronized":true,"boot":"b1"},"meter_start_wh":10.5,"seq_no":3,"deauthorized":false,"kept_meter_wh":11.25,"kept_at":{"utc":"2026-03-01T12:01:00+00:00","synchronized":true,"boot":"b1"}}');
CREATE TABLE gateway (
            name TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
INSERT INTO "gateway" VALUES('boots','3');
CREATE TABLE journal (
            station TEXT NOT NULL,
            kind TEXT NOT NULL,
            number INTEGER NOT NULL,
            at TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, kind, number)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "journal" VALUES('CP1','security',1,'2026-03-01T11:00:00.000000+00:00','{"at":{"utc":"2026-03-01T11:00:00+00:00","synchronized":true,"boot":"b1"},"event_type":"StartupOfTheDevice"}');
CREATE TABLE outbox (
            station TEXT NOT NULL,
            lane TEXT NOT NULL,
            seq INTEGER NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, lane, seq)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "outbox" VALUES('CP1','transaction',8,'{"type":"transaction","kind":"updated","transaction_id":"tx-over","connector":1,"trigger":"MeterValuePeriodic","seq_no":0,"at":{"utc":"2026-03-01T12:00:00+00:00","synchronized":true,"boot":"b1"},"offline":false,"phase":"Charging","samples":[{"at":{"utc":"2026-03-01T12:00:00+00:00","synchronized":true,"boot":"b1"},"context":"Sample.Periodic","values":[{"measurand":"Energy.Active.Import.Register","value":1000.0}]}]}');
CREATE TABLE parked (
            number INTEGER PRIMARY KEY,
            station TEXT NOT NULL,
            source TEXT NOT NULL,
            key TEXT NOT NULL,
            reason TEXT NOT NULL,
            at TEXT NOT NULL,
            value TEXT NOT NULL
        ) STRICT;
CREATE TABLE replies (
            number INTEGER PRIMARY KEY,
            actor TEXT NOT NULL,
            command TEXT NOT NULL,
            id TEXT NOT NULL,
            at TEXT NOT NULL,
            payload TEXT NOT NULL
        ) STRICT;
INSERT INTO "replies" VALUES(1,'"bms"','"reserve"','"1"','2026-03-01T12:00:00+00:00','{}');
COMMIT;
