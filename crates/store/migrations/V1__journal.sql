-- One row of `meta` names the stream; another, `cut`, is the signed place up to which retention dropped.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The journal itself: one row a commit. Everything below is a projection of `body`.
CREATE TABLE records (
    seq       INTEGER PRIMARY KEY,
    stream_id TEXT NOT NULL,
    at        INTEGER NOT NULL,
    action_id TEXT,
    body      BLOB NOT NULL,
    prev_hash BLOB NOT NULL,
    hash      BLOB NOT NULL
) STRICT;

-- `ordinal` is the `seq` of the action's first record, so that a prefix of records is a prefix of actions.
CREATE TABLE actions (
    ordinal       INTEGER PRIMARY KEY,
    action_id     TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL,
    session_id    TEXT,
    intent        TEXT NOT NULL,
    failure_class TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    unfinished    INTEGER NOT NULL,
    claim_at      INTEGER,
    record        TEXT NOT NULL
) STRICT;
CREATE INDEX actions_unfinished ON actions (ordinal) WHERE unfinished = 1;
CREATE INDEX actions_by_state ON actions (state);
CREATE INDEX actions_by_session ON actions (session_id) WHERE session_id IS NOT NULL;

-- The records of an action after its first. Most actions have one record, and identifiers are random: an
-- index of all records by action would write a page somewhere for each of them.
CREATE TABLE continuations (
    ordinal INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (ordinal, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
    caller         TEXT NOT NULL,
    key            TEXT NOT NULL,
    action_id      TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    at             INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    UNIQUE (caller, key)
) STRICT;
CREATE INDEX claims_by_age ON claims (at);

-- `place` is `seq * 1024 + position in the commit`. A row without digest is the tombstone of a payload
-- that retention dropped. Shared ones keep their bytes in `outputs`, found by digest.
CREATE TABLE payloads (
    place      INTEGER PRIMARY KEY,
    owner      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    shared     INTEGER NOT NULL,
    digest     TEXT,
    nonce      BLOB,
    ciphertext BLOB,
    dropped_at INTEGER,
    UNIQUE (owner, kind)
) STRICT;
CREATE INDEX payloads_shared ON payloads (digest) WHERE shared = 1;
CREATE INDEX payloads_dropped ON payloads (dropped_at) WHERE dropped_at IS NOT NULL;

-- Large outputs, each content once, oldest first by `id`.
CREATE TABLE outputs (
    id         INTEGER PRIMARY KEY,
    digest     TEXT NOT NULL UNIQUE,
    nonce      BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    bytes      INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL,
    body  TEXT NOT NULL,
    place INTEGER NOT NULL,
    UNIQUE (kind, id)
) STRICT;
