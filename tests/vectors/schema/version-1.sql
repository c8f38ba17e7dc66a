-- The tables and triggers of an embedded database that the first release made (user_version 1).
CREATE TABLE assertions (
  digest TEXT NOT NULL,
  until_ms BIGINT NOT NULL,
  PRIMARY KEY (digest)
);
CREATE TABLE data_keys (
  key_id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  tenant_key_version INTEGER NOT NULL,
  wrapped BLOB NOT NULL,
  PRIMARY KEY (key_id),
  UNIQUE (tenant, subject, kind, version)
);
CREATE TABLE documents (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  spec BLOB NOT NULL,
  PRIMARY KEY (tenant, kind, name, version)
)
 WITHOUT ROWID;
CREATE TABLE entries (
  log TEXT NOT NULL,
  position BIGINT NOT NULL,
  entry BLOB NOT NULL,
  PRIMARY KEY (log, position)
)
 WITHOUT ROWID;
CREATE TABLE heads (
  log TEXT NOT NULL,
  origin TEXT NOT NULL,
  size BIGINT NOT NULL,
  edge BLOB NOT NULL,
  checkpoint TEXT NOT NULL,
  PRIMARY KEY (log),
  UNIQUE (origin)
);
CREATE TABLE open_exchanges (
  tenant TEXT NOT NULL,
  item TEXT NOT NULL,
  PRIMARY KEY (tenant, item)
)
 WITHOUT ROWID;
CREATE TABLE patients (
  tenant TEXT NOT NULL,
  term TEXT NOT NULL,
  patient TEXT NOT NULL,
  PRIMARY KEY (tenant, term, patient)
)
 WITHOUT ROWID;
CREATE TABLE sealed (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  item TEXT NOT NULL,
  envelope BLOB NOT NULL,
  PRIMARY KEY (tenant, kind, item)
);
CREATE TABLE tiles (
  log TEXT NOT NULL,
  level INTEGER NOT NULL,
  position BIGINT NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (log, level, position)
);
create trigger entries_refuse_update before update on entries begin select raise(abort, 'entries are append-only'); end;
create trigger entries_refuse_delete before delete on entries begin select raise(abort, 'entries are append-only'); end;
create trigger entries_refuse_replace before insert on entries when exists (select 1 from entries where log = new.log and position = new.position) begin select raise(abort, 'entries are append-only'); end;
pragma user_version = 1;
