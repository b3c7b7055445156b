/* state_schema - the database's form, and what to do with one that is not of that form.
 *
 * Its version is user_version. There are no migrations: the state is a cache, so another version is
 * set aside like a damaged one and filled again from the archive and the stores.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/state_private.h"

#define VERSION 1
#define APPLICATION 0x44494653 /* "DIFS" */
#define BUSY_MS 5000           /* a reader's checkpoint lock is short */
#define BAD_MAX 1000
#define FILE_MODE 0640

static const char schema[] =
	"CREATE TABLE cut (sha256 TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
	" number INTEGER NOT NULL, name TEXT, source TEXT, profile TEXT, reason TEXT,"
	" bytes INTEGER, entries INTEGER, status INTEGER NOT NULL, seen INTEGER,"
	" published INTEGER) WITHOUT ROWID;"
	"CREATE INDEX cut_order ON cut (epoch, number, sha256);"
	/* id tells which were put last */
	"CREATE TABLE manifest (id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE,"
	" text BLOB NOT NULL);"
	"CREATE TABLE held (destination TEXT NOT NULL, key TEXT NOT NULL, tag TEXT NOT NULL,"
	" epoch INTEGER, number INTEGER, sha256 BLOB NOT NULL, form INTEGER, headers INTEGER,"
	" unknown INTEGER, orphan_since INTEGER, PRIMARY KEY (destination, key)) WITHOUT ROWID;"
	"CREATE TABLE delivery (destination TEXT NOT NULL, sha256 TEXT NOT NULL, state TEXT,"
	" reason TEXT, started INTEGER, ended INTEGER, puts INTEGER, put_bytes INTEGER,"
	" removed INTEGER, skipped INTEGER, complete INTEGER, PRIMARY KEY (destination, sha256));"
	"CREATE TABLE fact (scope TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
	" at INTEGER NOT NULL, PRIMARY KEY (scope, name)) WITHOUT ROWID;";

#define KEEP_MANIFESTS \
	"DELETE FROM manifest WHERE id NOT IN (SELECT id FROM manifest ORDER BY id DESC LIMIT 3)"

const char *const dif_state_sql[DIF_SQLS] = {
	[DIF_SQL_PUT_CUT] = "REPLACE INTO cut VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
	[DIF_SQL_PUT_MANIFEST] = "REPLACE INTO manifest (sha256, text) VALUES (?,?)",
	[DIF_SQL_TRIM_MANIFESTS] = KEEP_MANIFESTS,
	[DIF_SQL_PUT_DELIVERY] = "REPLACE INTO delivery VALUES (?,?,?,?,?,?,?,?,?,?,?)",
	[DIF_SQL_PUT_FACT] = "REPLACE INTO fact VALUES (?,?,?,?)",
	[DIF_SQL_DROP_FACT] = "DELETE FROM fact WHERE scope = ? AND name = ?",
	[DIF_SQL_PUT_HELD] = "REPLACE INTO held VALUES (?,?,?,?,?,?,?,?,?,?)",
	[DIF_SQL_DROP_HELD] = "DELETE FROM held WHERE destination = ? AND key = ?",
	[DIF_SQL_DROP_ALL_HELD] = "DELETE FROM held WHERE destination = ?",
};

/* The one number or text that a statement gives; false: it failed. */
static bool ask(sqlite3 *db, const char *sql, int64_t *number, char *text, size_t max)
{
	sqlite3_stmt *q = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK &&
	          sqlite3_step(q) == SQLITE_ROW;
	if (ok && number != NULL) {
		*number = sqlite3_column_int64(q, 0);
	}
	if (ok && text != NULL) {
		(void)snprintf(text, max, "%s", dif_state_text(q, 0));
	}
	sqlite3_finalize(q);
	return ok;
}

static void fail(sqlite3 *db, const char *file, const char *why, struct dif_error *err)
{
	if (why == NULL) {
		why = db == NULL ? "out of memory" : sqlite3_errmsg(db);
		int number = db == NULL ? 0 : sqlite3_system_errno(db);
		if (number == EACCES || number == EPERM) {
			why = "permission denied; run this as the agent's user";
		} else if (number != 0) {
			why = strerror(number);
		}
	}
	dif_error_set(err, DIF_PERMANENT, "could not open state '%s': %s", file, why);
}

static bool is_damage(sqlite3 *db)
{
	int rc = sqlite3_errcode(db);
	return rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT;
}

static bool create(sqlite3 *db)
{
	char pragmas[128];
	(void)snprintf(pragmas, sizeof pragmas, "PRAGMA application_id=%d; PRAGMA user_version=%d;",
	               APPLICATION, VERSION);
	return sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
	       sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK &&
	       sqlite3_exec(db, pragmas, NULL, NULL, NULL) == SQLITE_OK &&
	       sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

/* Is what is open ours, of this version and whole? An empty file is a database without tables.
 * *why: NULL where SQLite says it. */
static bool examine(sqlite3 *db, bool *empty, bool *bad, const char **why)
{
	int64_t version = 0, tables = 0;
	char check[64] = "";
	if (!ask(db, "PRAGMA user_version", &version, NULL, 0) ||
	    !ask(db, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0)) {
		*bad = is_damage(db);
		return false;
	}
	*empty = version == 0 && tables == 0;
	if (!*empty && version != VERSION) {
		*why = "it is of another version";
		*bad = true;
		return false;
	}
	if (!ask(db, "PRAGMA quick_check(1)", NULL, check, sizeof check)) {
		*bad = is_damage(db);
		return false;
	}
	*bad = strcmp(check, "ok") != 0;
	*why = "it is damaged";
	return !*bad;
}

/* SQLite would make a file that everybody may read. Its log gets the mode of the file. */
static void make_file(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd != -1) { /* else SQLite says why */
		(void)close(fd);
	}
}

sqlite3 *dif_state_schema_open(const char *file, bool *fresh, bool *bad, struct dif_error *err)
{
	sqlite3 *db = NULL;
	const char *why = NULL;
	bool empty = false;
	*bad = false;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
	            SQLITE_OPEN_NOFOLLOW;
	make_file(file);
	if (sqlite3_open_v2(file, &db, flags, NULL) != SQLITE_OK) {
		goto fail;
	}
	sqlite3_busy_timeout(db, BUSY_MS);
	if (!examine(db, &empty, bad, &why)) {
		goto fail;
	}
	char mode[16] = "";
	why = NULL;
	if (!ask(db, "PRAGMA journal_mode=WAL", NULL, mode, sizeof mode) ||
	    sqlite3_exec(db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) != SQLITE_OK ||
	    (empty && !create(db))) {
		*bad = is_damage(db);
		goto fail;
	}
	if (strcmp(mode, "wal") != 0) {
		why = "its file system has no shared memory for a log; put it on a local one";
		goto fail;
	}
	*fresh = empty;
	return db;

fail:
	fail(db, file, why, err);
	sqlite3_close(db);
	return NULL;
}

/* A URI of the file, in which ? # % are escaped; malloc'ed by sqlite. */
static char *immutable_uri(const char *file)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	sqlite3_str_appendall(s, "file:");
	for (const char *c = file; *c != '\0'; c++) {
		if (strchr("?#%", *c) != NULL) {
			sqlite3_str_appendf(s, "%%%02X", (unsigned char)*c);
		} else {
			sqlite3_str_appendchar(s, 1, *c);
		}
	}
	sqlite3_str_appendall(s, "?immutable=1");
	return sqlite3_str_finish(s);
}

/* Where the reader may not write to the folder and no owner has left a log, the file is whole and
 * does not change, and only then may SQLite go without the log's index. */
static bool reopen_immutable(const char *file, sqlite3 **db)
{
	char *log = NULL;
	bool has_log = asprintf(&log, "%s-wal", file) < 0 || access(log, F_OK) == 0;
	free(log);
	char *uri = has_log ? NULL : immutable_uri(file);
	if (uri == NULL) {
		return false;
	}
	sqlite3_close(*db);
	*db = NULL;
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
	bool ok = sqlite3_open_v2(uri, db, flags, NULL) == SQLITE_OK;
	sqlite3_free(uri);
	return ok;
}

sqlite3 *dif_state_schema_read(const char *file, struct dif_error *err)
{
	if (access(file, F_OK) != 0 && errno == ENOENT) {
		dif_error_set(err, DIF_NOT_FOUND, "could not open state '%s': there is none", file);
		return NULL;
	}
	sqlite3 *db = NULL;
	int64_t version = 0;
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	if (sqlite3_open_v2(file, &db, flags, NULL) != SQLITE_OK) {
		goto fail;
	}
	sqlite3_busy_timeout(db, BUSY_MS);
	if (!ask(db, "PRAGMA user_version", &version, NULL, 0) &&
	    (is_damage(db) || !reopen_immutable(file, &db) ||
	     !ask(db, "PRAGMA user_version", &version, NULL, 0))) {
		goto fail;
	}
	if (version != VERSION) {
		dif_error_set(
			err, DIF_PERMANENT,
			"could not open state '%s': it is of version %lld, this program knows "
			"%d; run or publish makes a new one",
			file, (long long)version, VERSION);
		goto fail_set;
	}
	return db;

fail:
	fail(db, file, NULL, err);
fail_set:
	sqlite3_close(db);
	return NULL;
}

static bool move_one(const char *file, const char *suffix, unsigned n)
{
	char *from = NULL, *to = NULL;
	bool ok = asprintf(&from, "%s%s", file, suffix) >= 0 &&
	          asprintf(&to, "%s.bad-%u%s", file, n, suffix) >= 0 &&
	          (rename(from, to) == 0 || errno == ENOENT);
	free(from);
	free(to);
	return ok;
}

bool dif_state_schema_set_aside(const char *file, struct dif_error *err)
{
	unsigned n = 1;
	char *name = NULL;
	while (n <= BAD_MAX && asprintf(&name, "%s.bad-%u", file, n) >= 0 &&
	       access(name, F_OK) == 0) {
		free(name);
		name = NULL;
		n++;
	}
	free(name);
	/* The log goes first: beside a new database it would be taken for that one's. */
	if (!move_one(file, "-wal", n) || !move_one(file, "-shm", n) || !move_one(file, "", n)) {
		dif_error_set(err, DIF_PERMANENT, "could not set state '%s' aside: %s", file,
		              strerror(errno));
		return false;
	}
	return true;
}
