-- Failures and locks, so that a restart forgets none. No names and no addresses: every key is an HMAC.

CREATE TABLE lockout (
  key TEXT PRIMARY KEY,                -- HMAC of an account, a source or both
  value TEXT NOT NULL,                 -- JSON; what is in it is the lockout's business
  expires_at INTEGER NOT NULL          -- when it is likely to matter no more, in milliseconds since the Unix epoch
) STRICT, WITHOUT ROWID;

CREATE INDEX lockout_by_expiry ON lockout (expires_at);
