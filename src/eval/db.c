/* eval/db.c – SQLite. */
#include "eval/db.h"
#include "base/file.h"
#include "base/mem.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { APP_ID = 0x6c6f7762 /* "lowb" */, SCHEMA = 1, BUSY_MS = 30000 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS samples ("
    " model TEXT NOT NULL, task TEXT NOT NULL, version INTEGER NOT NULL, item TEXT NOT NULL, prompt TEXT NOT NULL,"
    " sampling TEXT NOT NULL, seed INTEGER NOT NULL, sample INTEGER NOT NULL,"
    " text TEXT NOT NULL, n_tokens INTEGER NOT NULL, finish TEXT NOT NULL, think_closed INTEGER NOT NULL,"
    " verdict INTEGER, extracted TEXT, why TEXT, t_unix INTEGER NOT NULL,"
    " PRIMARY KEY (model, task, version, item, prompt, sampling, seed, sample)) WITHOUT ROWID;";

#define KEY "model=?1 AND task=?2 AND version=?3 AND item=?4 AND prompt=?5 AND sampling=?6 AND seed=?7 AND sample=?8"
static const char *const sql[] = {
    "SELECT n_tokens, finish, think_closed, verdict, extracted, why, text FROM samples WHERE " KEY,
    "INSERT INTO samples (model, task, version, item, prompt, sampling, seed, sample,"
    " text, n_tokens, finish, think_closed, verdict, extracted, why, t_unix)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    " ON CONFLICT (model, task, version, item, prompt, sampling, seed, sample) DO NOTHING",
    "UPDATE samples SET verdict=?9, extracted=?10, why=?11 WHERE " KEY,
    "DELETE FROM samples WHERE " KEY,
};
enum { FIND, PUT, VERDICT, DELETE, N_SQL };

struct lb_db {
    sqlite3 *db;
    char *path;                  /* owned */
    sqlite3_stmt *st[N_SQL];     /* owned */
};

static bool fail_db(lb_db *db, lb_err *err)
{
    int rc = sqlite3_errcode(db->db); /* SQLITE_ERROR: our statements do not fit its tables */
    bool format = rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT || rc == SQLITE_ERROR;
    lb_code code = format ? LB_EFORMAT : rc == SQLITE_NOMEM ? LB_ENOMEM : LB_EIO;
    return lb_fail(err, code, "%s: %s", db->path, sqlite3_errmsg(db->db));
}

static bool exec_sql(lb_db *db, const char *text, lb_err *err)
{
    return sqlite3_exec(db->db, text, NULL, NULL, NULL) == SQLITE_OK || fail_db(db, err);
}

static bool pragma_int(lb_db *db, const char *text, int64_t *out, lb_err *err)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(db->db, text, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    if (ok) *out = sqlite3_column_int64(st, 0);
    else fail_db(db, err);
    sqlite3_finalize(st);
    return ok;
}

/* An empty file becomes ours; any other must already be. */
static bool claim(lb_db *db, lb_err *err)
{
    int64_t app, version, tables;
    if (!pragma_int(db, "PRAGMA application_id", &app, err) || !pragma_int(db, "PRAGMA user_version", &version, err) ||
        !pragma_int(db, "SELECT count(*) FROM sqlite_master", &tables, err))
        return false;
    if (tables == 0 && app == 0) {
        char text[128];
        snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APP_ID, SCHEMA);
        return exec_sql(db, text, err) && exec_sql(db, schema, err);
    }
    if (app != APP_ID)
        return lb_fail(err, LB_EFORMAT, "%s is a database of another program; choose another --db", db->path);
    if (version != SCHEMA)
        return lb_fail(err, LB_EUNSUPPORTED, "%s has schema %lld, this lowbit knows %d", db->path, (long long)version,
                       SCHEMA);
    return true;
}

/* In one transaction, so that of two processes that meet at a new file one makes it and the other finds it whole, and
 * one that is killed here leaves an empty file. */
static bool claim_at_once(lb_db *db, lb_err *err)
{
    if (!exec_sql(db, sqlite3_db_readonly(db->db, "main") == 1 ? "BEGIN" : "BEGIN IMMEDIATE", err)) return false;
    if (claim(db, err) && exec_sql(db, "COMMIT", err)) return true;
    sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* The switch to WAL needs the file for itself for a moment and, unlike everything else, does not wait for it. */
static bool use_wal(lb_db *db, lb_err *err)
{
    for (int ms = 0;
         sqlite3_exec(db->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", NULL, NULL, NULL) != SQLITE_OK;
         ms += 10) {
        if (sqlite3_errcode(db->db) != SQLITE_BUSY || ms >= BUSY_MS) return fail_db(db, err);
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

lb_db *lb_db_open(const char *path, lb_err *err)
{
    lb_db *db = lb_alloc(1, sizeof *db, "the results database", err);
    if (!db) return NULL;
    db->path = strdup(path);
    bool ok = (db->path || lb_fail_mem(err, strlen(path), "a path")) && make_folder(path, err);
    if (ok && !*path)
        ok = lb_fail(err, LB_EUSAGE, "the results database has no name"); /* SQLite would take a temporary one */
    if (ok && sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        ok = fail_db(db, err);
    if (ok) sqlite3_busy_timeout(db->db, BUSY_MS);
    ok = ok && claim_at_once(db, err) && use_wal(db, err);
    for (int i = 0; ok && i < N_SQL; i++)
        if (sqlite3_prepare_v2(db->db, sql[i], -1, &db->st[i], NULL) != SQLITE_OK) ok = fail_db(db, err);
    if (ok) return db;
    lb_db_close(db);
    return NULL;
}

void lb_db_close(lb_db *db)
{
    if (!db) return;
    for (int i = 0; i < N_SQL; i++) sqlite3_finalize(db->st[i]);
    sqlite3_close(db->db);
    free(db->path);
    free(db);
}

static sqlite3_stmt *bind_key(lb_db *db, int which, const lb_sample_key *k)
{
    sqlite3_stmt *st = db->st[which];
    char hex[33];
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

static bool run(lb_db *db, sqlite3_stmt *st, lb_err *err)
{
    bool ok = sqlite3_step(st) == SQLITE_DONE || fail_db(db, err);
    sqlite3_reset(st);
    return ok;
}

/* NULL, which only a hand-made file holds where text belongs, reads as "". */
static const char *column_text(sqlite3_stmt *st, int i)
{
    const unsigned char *s = sqlite3_column_text(st, i);
    return s ? (const char *)s : "";
}

bool lb_db_find(lb_db *db, const lb_sample_key *k, bool want_text, bool *found, lb_sample_row *row, lb_err *err)
{
    sqlite3_stmt *st = bind_key(db, FIND, k);
    int rc = sqlite3_step(st);
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE || fail_db(db, err);
    *found = rc == SQLITE_ROW;
    memset(row, 0, sizeof *row);
    if (*found) {
        row->n_tokens = sqlite3_column_int(st, 0);
        row->truncated = strcmp(column_text(st, 1), "length") == 0;
        row->think_closed = sqlite3_column_int(st, 2) != 0;
        row->verdict = sqlite3_column_type(st, 3) == SQLITE_NULL ? -1 : sqlite3_column_int(st, 3);
        snprintf(row->extracted, sizeof row->extracted, "%s", column_text(st, 4));
        snprintf(row->why, sizeof row->why, "%s", column_text(st, 5));
        if (want_text && !(row->text = strdup(column_text(st, 6)))) ok = lb_fail_mem(err, 0, "a sample");
    }
    sqlite3_reset(st);
    return ok;
}

bool lb_db_put(lb_db *db, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    sqlite3_stmt *st = bind_key(db, PUT, k);
    sqlite3_bind_text(st, 9, row->text, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(st, 10, row->n_tokens);
    sqlite3_bind_text(st, 11, row->truncated ? "length" : "stop", -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 12, row->think_closed);
    if (row->verdict < 0) sqlite3_bind_null(st, 13);
    else sqlite3_bind_int(st, 13, row->verdict);
    sqlite3_bind_text(st, 14, row->extracted, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(st, 15, row->why, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(st, 16, (int64_t)time(NULL));
    return run(db, st, err);
}

bool lb_db_set_verdict(lb_db *db, const lb_sample_key *k, int verdict, const char *extracted, const char *why,
                       lb_err *err)
{
    sqlite3_stmt *st = bind_key(db, VERDICT, k);
    sqlite3_bind_int(st, 9, verdict);
    sqlite3_bind_text(st, 10, extracted, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(st, 11, why, -1, SQLITE_TRANSIENT);
    if (!run(db, st, err)) return false;
    return sqlite3_changes(db->db) > 0 ||
           lb_fail(err, LB_EIO, "%s has no such sample of %s; was it deleted meanwhile?", db->path, k->task);
}

bool lb_db_delete(lb_db *db, const lb_sample_key *k, lb_err *err)
{
    return run(db, bind_key(db, DELETE, k), err);
}
