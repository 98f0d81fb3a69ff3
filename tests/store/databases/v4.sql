PRAGMA application_id = 1701070660;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE events (
            seq INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            rank INTEGER NOT NULL,
            value TEXT NOT NULL
        ) STRICT;
INSERT INTO "events" VALUES(41,'2026-03-01T11:59:00+00:00',1,'{"seq":41}');
CREATE TABLE facts (
            station TEXT NOT NULL,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, kind, key)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "facts" VALUES('CP1','cache','ann-1','2~!=57@{rq$dvD6uOGb%iXA<Rii&C@jk=}HAR?1~{77ZO;;pujRTLJ2JNERIJd00');
INSERT INTO "facts" VALUES('CP1','configuration','HeartbeatInterval','{"value":"300"}');
INSERT INTO "facts" VALUES('CP1','connector','1','2~!%}LX773U++gQ&OGiMtb>KU2V0ss');
INSERT INTO "facts" VALUES('CP1','connector','2','2~Ln$?2$r4momgXQ_i&A1>D<hIp^K^|sp21oU)B*q');
INSERT INTO "facts" VALUES('CP1','correction','b1','{"value":12.5}');
INSERT INTO "facts" VALUES('CP1','reservation','4','{"id":4,"target":{"connector":2},"id_token":{"value":"ben-2"},"group":null,"expires_at":"2026-03-01T12:30:00+00:00","created":{"utc":"2026-03-01T11:59:00+00:00","synchronized":true,"boot":"b1"},"source":"csms"}');
INSERT INTO "facts" VALUES('CP1','sample','tx-run/00000','2~!{!ZRkT(pCi1$X4A=V}o)f{PPU;s=`wXwAT');
INSERT INTO "facts" VALUES('CP1','sample','tx-run/00001','2~!{!ZRkT(pCtPBi^^hS~))+Q9y9BF7^V5nzM8(Rwi');
INSERT INTO "facts" VALUES('CP1','sample','tx-run/00002','2~!{!ZRkT(pCtPG5Z^hS~))+Q9y9BF7^V5DbI8(Rwi');
INSERT INTO "facts" VALUES('CP1','station','','2~Ln$?&p@t~8ETJ5bbK}tx45XUER<Id^g2B+p%D@;A47C6');
INSERT INTO "facts" VALUES('CP1','station.wall','','2026-03-01T12:00:00+00:00');
INSERT INTO "facts" VALUES('CP1','transaction','tx-over','2~gJz<V3f=rN^p=(p_9T#$nx|`ol%WtZj(&c+hFGeaTAcaK7!+cLhQx<hk|D7<&YbAn1apL`DH)CcS#N28nxpV#AZX}OAs3P5>{<W');
INSERT INTO "facts" VALUES('CP1','transaction','tx-run','2~gJz<V3f-d8JfgCaqo1FyA(r}t$Q))23L`@!;=?G(5L+HIG|)3eWEW%N(xjoGo{=feR0(&PAqg(41po');
CREATE TABLE gateway (
            name TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
INSERT INTO "gateway" VALUES('boots','3');
INSERT INTO "gateway" VALUES('events.delivered','40');
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
INSERT INTO "outbox" VALUES('CP1','transaction',8,'2~Betx^DB4RZbo0y5+h!;wJeEqDK#6V)3O_?5;=?b=5MP-Nufqwo7|FC3qs>UQSTQs(0Op_CSRe!d');
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
