/* eval/db.c – opening the results database; samples one by one. */
#include "eval/db.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/db_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_MS = 30000 };
static const double SYNC_S = 1;

#define KEY "model=?1 AND task=?2 AND version=?3 AND item=?4 AND prompt=?5 AND sampling=?6 AND seed=?7 AND sample=?8"
static const char *const sql[LB_DB_N_SQL] = {
    [LB_DB_FIND] = "SELECT " LB_DB_ROW ", text FROM samples WHERE " KEY,
    [LB_DB_PUT] = "INSERT INTO samples (model, task, version, item, prompt, sampling, seed, sample,"
                  " verdict, strict, lenient, grader, weak_sandbox, extracted, why,"
                  " n_tokens, finish, think_closed, text, t_unix)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
                  " ON CONFLICT (model, task, version, item, prompt, sampling, seed, sample) DO NOTHING",
    [LB_DB_GRADE] = "UPDATE samples SET verdict=?9, strict=?10, lenient=?11, grader=?12, weak_sandbox=?13, extracted=?14,"
                    " why=?15 WHERE " KEY " AND (verdict IS NULL OR grader <= ?12)",
    [LB_DB_DELETE] = ("DELETE FROM samples WHERE " KEY),
};

bool lb_db_fail(lb_db *db, lb_err *err)
{
    int os = sqlite3_system_errno(db->db) ? sqlite3_system_errno(db->db) : errno; /* a commit's is not kept by SQLite */
    db->rc = sqlite3_errcode(db->db);
    bool format = db->rc == SQLITE_NOTADB || db->rc == SQLITE_CORRUPT || db->rc == SQLITE_ERROR; /* ERROR: not its tables */
    lb_code code = format ? LB_EFORMAT : db->rc == SQLITE_NOMEM ? LB_ENOMEM : LB_EIO;
    bool io = db->rc == SQLITE_IOERR, full = db->rc == SQLITE_FULL || (io && (os == ENOSPC || os == EFBIG || os == EDQUOT));
    if (full)
        return lb_fail(err, code, "%s: %s; what is finished is kept, the same command continues when there is room", db->path,
                       db->rc == SQLITE_FULL ? "the disk is full" : strerror(os));
    if (db->rc == SQLITE_READONLY)
        return lb_fail(err, code, "%s cannot be written (%s): its folder, too, must let files be made", db->path,
                       sqlite3_errmsg(db->db));
    if (db->rc == SQLITE_CANTOPEN && !lb_file_exists(db->path)) /* SQLite's last try was another: to read it */
        return lb_fail(err, code, "%s cannot be made: is its folder there, and may files be made in it?", db->path);
    bool say = os && (io || db->rc == SQLITE_CANTOPEN);
    return lb_fail(err, code, "%s: %s%s%s%s", db->path, sqlite3_errmsg(db->db), say ? " (" : "", say ? strerror(os) : "",
                   say ? ")" : "");
}

bool lb_db_exec(lb_db *db, const char *text, lb_err *err)
{
    errno = 0;
    return sqlite3_exec(db->db, text, NULL, NULL, NULL) == SQLITE_OK || lb_db_fail(db, err);
}

/* ---- opening ---- */

/* The switch to WAL needs the file for itself for a moment and, unlike everything else, does not wait for it. */
static bool use_wal(lb_db *db, lb_err *err)
{
    for (int ms = 0;
         sqlite3_exec(db->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", NULL, NULL, NULL) != SQLITE_OK;
         ms += 10) {
        if (sqlite3_errcode(db->db) != SQLITE_BUSY || ms >= BUSY_MS) return lb_db_fail(db, err);
        sqlite3_sleep(10);
    }
    return true;
}

static bool make_folder(const char *path, lb_err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return true;
    char *dir = strndup(path, (size_t)(slash - path));
    bool ok = dir ? lb_mkdirs(dir, err) : lb_fail_mem(err, strlen(path), "a path");
    free(dir);
    return ok;
}

static lb_db *new_db(const char *path, lb_err *err)
{
    lb_db *db = lb_alloc(1, sizeof *db, "the results database", err);
    if (!db) return NULL;
    db->claims = -1;
    if (!*path) lb_fail(err, LB_EUSAGE, "the results database has no name"); /* SQLite would take a temporary one */
    else if (!(db->path = strdup(path))) lb_fail_mem(err, strlen(path), "a path");
    else return db;
    free(db);
    return NULL;
}

static bool connect(lb_db *db, const char *name, int flags, lb_err *err)
{
    sqlite3_close(db->db);
    db->db = NULL;
    errno = 0;
    if (sqlite3_open_v2(name, &db->db, flags, NULL) != SQLITE_OK)
        return db->db ? lb_db_fail(db, err) : lb_fail_mem(err, 0, "the results database");
    sqlite3_busy_timeout(db->db, BUSY_MS);
    return true;
}

static bool prepare(lb_db *db, lb_err *err)
{
    bool read_only = sqlite3_db_readonly(db->db, "main") == 1;
    for (int i = 0; i < LB_DB_N_SQL; i++) {
        if (read_only && i != LB_DB_FIND) continue;
        if (sqlite3_prepare_v2(db->db, sql[i], -1, &db->st[i], NULL) != SQLITE_OK) return lb_db_fail(db, err);
    }
    return true;
}

lb_db *lb_db_open(const char *path, lb_err *err)
{
    lb_db *db = new_db(path, err);
    bool ok = db && make_folder(path, err) && connect(db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    ok = ok && lb_db_schema_open(db, err);
    if (ok && sqlite3_db_readonly(db->db, "main") == 1)
        ok = lb_fail(err, LB_EIO, "%s cannot be written; choose another --db", path);
    if (ok && use_wal(db, err) && prepare(db, err)) return db;
    lb_db_close(db);
    return NULL;
}

/* A file: URI that says that nobody changes the file, so that it is read without the files beside it. NULL: no memory. */
static char *unchanging(const char *path)
{
    static const char hex[] = "0123456789abcdef";
    char *uri = malloc(3 * strlen(path) + sizeof "file:?immutable=1"), *o = uri;
    if (!uri) return NULL;
    o = stpcpy(o, "file:");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (*p == '%' || *p == '?' || *p == '#') *o++ = '%', *o++ = hex[*p >> 4], *o++ = hex[*p & 15];
        else *o++ = (char)*p;
    }
    strcpy(o, "?immutable=1");
    return uri;
}

/* In a folder that cannot be written SQLite cannot make the files that WAL needs. If there is no log, the file alone is
 * the whole database. */
static bool open_unchanging(lb_db *db, lb_err *err)
{
    char *uri = unchanging(db->path);
    bool ok = uri ? connect(db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err) : lb_fail_mem(err, 0, "a path");
    free(uri);
    return ok && lb_db_schema_open(db, err);
}

static bool has_log(const char *path)
{
    char *log = malloc(strlen(path) + sizeof "-wal");
    if (!log) return true;
    strcpy(stpcpy(log, path), "-wal");
    bool there = lb_file_exists(log);
    free(log);
    return there;
}

lb_db *lb_db_open_existing(const char *path, lb_err *err)
{
    lb_db *db = new_db(path, err);
    if (!db) return NULL;
    bool ok = lb_file_exists(path) || lb_fail(err, LB_EIO, "there is no results database %s", path);
    ok = ok && connect(db, path, SQLITE_OPEN_READWRITE, err);
    if (ok && !lb_db_schema_open(db, err)) {
        ok = (db->rc == SQLITE_CANTOPEN || db->rc == SQLITE_READONLY) && !has_log(path) && open_unchanging(db, err);
    }
    if (ok && prepare(db, err)) return db;
    lb_db_close(db);
    return NULL;
}

void lb_db_close(lb_db *db)
{
    if (!db) return;
    for (int i = 0; i < LB_DB_N_SQL; i++) sqlite3_finalize(db->st[i]);
    sqlite3_close(db->db);
    if (db->claims >= 0) close(db->claims);
    free(db->path);
    free(db);
}

/* ---- samples ---- */

/* The statement with the key bound, or NULL where it writes and the file cannot be written. */
static sqlite3_stmt *bind_key(lb_db *db, int which, const lb_sample_key *k, lb_err *err)
{
    sqlite3_stmt *st = db->st[which];
    char hex[33];
    if (!st) return lb_fail_null(err, LB_EIO, "%s was opened for reading", db->path);
    sqlite3_reset(st);
    sqlite3_bind_text(st, 1, k->model, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(st, 2, k->task, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(st, 3, k->version);
    lb_hash_hex(k->item, hex);
    sqlite3_bind_text(st, 4, hex, -1, SQLITE_TRANSIENT);
    lb_hash_hex(k->prompt, hex);
    sqlite3_bind_text(st, 5, hex, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(st, 6, k->sampling, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(st, 7, k->seed);
    sqlite3_bind_int64(st, 8, k->sample);
    return st;
}

static void bind_verdict(sqlite3_stmt *st, int i, int verdict)
{
    if (verdict < 0) sqlite3_bind_null(st, i);
    else sqlite3_bind_int(st, i, verdict);
}

/* Parameters 9 to 15. */
static void bind_grade(sqlite3_stmt *st, const lb_sample_row *row)
{
    bind_verdict(st, 9, row->verdict);
    bind_verdict(st, 10, row->strict);
    bind_verdict(st, 11, row->lenient);
    sqlite3_bind_int(st, 12, row->grader);
    sqlite3_bind_int(st, 13, row->weak_sandbox);
    sqlite3_bind_text(st, 14, row->extracted, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(st, 15, row->why, -1, SQLITE_TRANSIENT);
}

static bool run(lb_db *db, sqlite3_stmt *st, lb_err *err)
{
    errno = 0;
    bool ok = sqlite3_step(st) == SQLITE_DONE || lb_db_fail(db, err);
    sqlite3_reset(st);
    return ok;
}

const char *lb_db_text(sqlite3_stmt *st, int i)
{
    const unsigned char *s = sqlite3_column_text(st, i);
    return s ? (const char *)s : "";
}

static int column_verdict(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? -1 : sqlite3_column_int(st, i);
}

void lb_db_row(sqlite3_stmt *st, int first, lb_sample_row *row)
{
    *row = (lb_sample_row){.n_tokens = sqlite3_column_int(st, first),
                           .truncated = strcmp(lb_db_text(st, first + 1), "length") == 0,
                           .think_closed = sqlite3_column_int(st, first + 2) != 0,
                           .verdict = column_verdict(st, first + 3),
                           .strict = column_verdict(st, first + 4),
                           .lenient = column_verdict(st, first + 5),
                           .grader = sqlite3_column_int(st, first + 6),
                           .weak_sandbox = sqlite3_column_int(st, first + 7) != 0,
                           .t_unix = sqlite3_column_int64(st, first + 8)};
    snprintf(row->extracted, sizeof row->extracted, "%s", lb_db_text(st, first + 9));
    snprintf(row->why, sizeof row->why, "%s", lb_db_text(st, first + 10));
}

bool lb_db_find(lb_db *db, const lb_sample_key *k, bool want_text, bool *found, lb_sample_row *row, lb_err *err)
{
    *found = false;
    memset(row, 0, sizeof *row);
    sqlite3_stmt *st = bind_key(db, LB_DB_FIND, k, err);
    if (!st) return false;
    int rc = sqlite3_step(st);
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE || lb_db_fail(db, err);
    *found = rc == SQLITE_ROW;
    if (*found) {
        lb_db_row(st, 0, row);
        if (want_text && !(row->text = strdup(lb_db_text(st, LB_DB_ROW_N)))) ok = lb_fail_mem(err, 0, "a sample");
    }
    sqlite3_reset(st);
    return ok;
}

/* Whether this commit is to reach the disk (FULL) before it counts as done. A killed process loses nothing either way;
 * NORMAL alone would lose in a power cut what came since the last checkpoint, which is 4 MB of text, hours of a large
 * model. A sync takes some 5 ms, which is nothing beside such a sample and a third of the time of a tiny model's, so one
 * commit a second syncs, and with it all before it. */
static bool sync_now_and_then(lb_db *db, lb_err *err)
{
    double now = lb_now_s();
    bool full = now - db->t_sync >= SYNC_S;
    if (full) db->t_sync = now;
    if (full == db->full) return true;
    db->full = full;
    return lb_db_exec(db, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
}

bool lb_db_put(lb_db *db, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    sqlite3_stmt *st = bind_key(db, LB_DB_PUT, k, err);
    if (!st || !sync_now_and_then(db, err)) return false;
    bind_grade(st, row);
    sqlite3_bind_int(st, 16, row->n_tokens);
    sqlite3_bind_text(st, 17, row->truncated ? "length" : "stop", -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 18, row->think_closed);
    sqlite3_bind_text(st, 19, row->text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 20, (int64_t)time(NULL));
    bool ok = run(db, st, err);
    sqlite3_bind_null(st, 19); /* the text is the caller's */
    return ok;
}

bool lb_db_set_grade(lb_db *db, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    sqlite3_stmt *st = bind_key(db, LB_DB_GRADE, k, err);
    if (!st) return false;
    bind_grade(st, row);
    if (!run(db, st, err)) return false;
    if (sqlite3_changes(db->db) > 0) return true;
    bool found;
    lb_sample_row there; /* graded by a newer grader meanwhile, or gone? */
    if (!lb_db_find(db, k, false, &found, &there, err)) return false;
    return found || lb_fail(err, LB_EIO, "%s has no such sample of %s; was it deleted meanwhile?", db->path, k->task);
}

bool lb_db_delete(lb_db *db, const lb_sample_key *k, lb_err *err)
{
    sqlite3_stmt *st = bind_key(db, LB_DB_DELETE, k, err);
    return st && run(db, st, err);
}
