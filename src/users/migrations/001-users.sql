-- Local users. Times are milliseconds since the Unix epoch.

CREATE TABLE users (
  id TEXT PRIMARY KEY,                 -- UUID v4; the stable part of local:<id>
  username TEXT NOT NULL,              -- as given; the normalised form is in login_names
  email TEXT,                          -- likewise
  display_name TEXT,
  password_hash TEXT,                  -- PHC string; NULL: no password, nobody gets in
  disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- Usernames and e-mail addresses are one name space, normalised: what one user logs in with is nobody else's, as a
-- username or as an address (CVE-2024-1722, CVE-2022-39229). A user whose username is their own address has one row.
CREATE TABLE login_names (
  name TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  is_username INTEGER NOT NULL CHECK (is_username IN (0, 1)),
  is_email INTEGER NOT NULL CHECK (is_email IN (0, 1)),
  CHECK (is_username OR is_email)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_username_each ON login_names (user_id) WHERE is_username = 1;
CREATE UNIQUE INDEX one_email_each ON login_names (user_id) WHERE is_email = 1;

CREATE TABLE user_groups (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

-- Facts about this installation: 'secret', 'first_admin'.
CREATE TABLE installation (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
