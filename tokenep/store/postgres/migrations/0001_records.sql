-- What each column holds is said by store.Record. An id is any bytes, and is
-- ordered by them; text could not hold it. Room on each page lets an update that
-- keeps expires_at leave the indexes alone, and vacuum comes early, since rows
-- live shortly.
CREATE TABLE oauth_records (
	namespace  text COLLATE "C" NOT NULL,
	kind       text COLLATE "C" NOT NULL,
	id         bytea NOT NULL,
	version    bigint NOT NULL,
	data       bytea NOT NULL,
	expires_at timestamptz,
	PRIMARY KEY (namespace, kind, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX oauth_records_expires_at ON oauth_records (expires_at) WHERE expires_at IS NOT NULL;
