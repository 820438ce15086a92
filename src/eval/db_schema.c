/* eval/db_schema.c – the tables of the results database, and older ones brought up to date. */
#include "eval/db_parts.h"
#include <stdio.h>

enum { APP_ID = 0x6c6f7762 /* "lowb" */ };

/* samples: the key first and the text last. A row of a table WITHOUT ROWID is a cell of its B-tree, which keeps about 500
 * bytes at least in the page and the rest in a chain of others: so keys are compared and verdicts counted without
 * reading a text. */
static const char schema[] =
    "CREATE TABLE models (hash TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL,"
    " t_unix INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE items (task TEXT NOT NULL, version INTEGER NOT NULL, item TEXT NOT NULL, number INTEGER NOT NULL,"
    " id TEXT NOT NULL, level INTEGER NOT NULL, problem TEXT NOT NULL, gold TEXT NOT NULL,"
    " PRIMARY KEY (task, version, item)) WITHOUT ROWID;"
    "CREATE TABLE samples ("
    " model TEXT NOT NULL, task TEXT NOT NULL, version INTEGER NOT NULL, item TEXT NOT NULL, prompt TEXT NOT NULL,"
    " sampling TEXT NOT NULL, seed INTEGER NOT NULL, sample INTEGER NOT NULL,"
    " n_tokens INTEGER NOT NULL, finish TEXT NOT NULL, think_closed INTEGER NOT NULL,"
    " verdict INTEGER, strict INTEGER, lenient INTEGER, grader INTEGER NOT NULL DEFAULT 0,"
    " weak_sandbox INTEGER NOT NULL DEFAULT 0, t_unix INTEGER NOT NULL, extracted TEXT, why TEXT, text TEXT NOT NULL,"
    " PRIMARY KEY (model, task, version, item, prompt, sampling, seed, sample)) WITHOUT ROWID;";

/* Schema 1 had the table of samples alone, without readings, grader and sandbox. Its verdicts become those of grader 0,
 * so that the next evaluation grades the texts again. */
static const char from_1[] =
    "INSERT INTO samples (model, task, version, item, prompt, sampling, seed, sample, n_tokens, finish, think_closed,"
    " verdict, t_unix, extracted, why, text)"
    " SELECT model, task, version, item, prompt, sampling, seed, sample, n_tokens, finish, think_closed,"
    " verdict, t_unix, extracted, why, text FROM samples_1; DROP TABLE samples_1;";

static bool pragma_int(lb_db *db, const char *text, int64_t *out, lb_err *err)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(db->db, text, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    if (ok) *out = sqlite3_column_int64(st, 0);
    else lb_db_fail(db, err);
    sqlite3_finalize(st);
    return ok;
}

static bool stamp(lb_db *db, lb_err *err)
{
    char text[128];
    snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APP_ID, LB_DB_SCHEMA);
    return lb_db_exec(db, text, err);
}

/* An empty file becomes ours; any other must already be. */
static bool claim(lb_db *db, bool read_only, lb_err *err)
{
    int64_t app, version, tables;
    if (!pragma_int(db, "PRAGMA application_id", &app, err) || !pragma_int(db, "PRAGMA user_version", &version, err) ||
        !pragma_int(db, "SELECT count(*) FROM sqlite_master", &tables, err))
        return false;
    bool fresh = tables == 0 && app == 0;
    if (fresh && !read_only) return stamp(db, err) && lb_db_exec(db, schema, err);
    if (fresh) return lb_fail(err, LB_EFORMAT, "%s is empty: no results database yet", db->path);
    if (app != APP_ID)
        return lb_fail(err, LB_EFORMAT, "%s is a database of another program; choose another --db", db->path);
    if (version < 1 || version > LB_DB_SCHEMA)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s has schema %lld, this lowbit knows 1 to %d; the lowbit that wrote it can read it", db->path,
                       (long long)version, LB_DB_SCHEMA);
    if (version == LB_DB_SCHEMA) return true;
    if (read_only)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s has schema 1, which is brought to %d in place, and it cannot be written; make a copy of it",
                       db->path, LB_DB_SCHEMA);
    return lb_db_exec(db, "ALTER TABLE samples RENAME TO samples_1", err) && lb_db_exec(db, schema, err) &&
           lb_db_exec(db, from_1, err) && stamp(db, err);
}

/* In one transaction, so that of two processes that meet at a new or old file one makes it and the other finds it whole,
 * and one that is killed here leaves it as it was. */
bool lb_db_schema_open(lb_db *db, lb_err *err)
{
    bool read_only = sqlite3_db_readonly(db->db, "main") == 1;
    if (!lb_db_exec(db, read_only ? "BEGIN" : "BEGIN IMMEDIATE", err)) return false;
    if (claim(db, read_only, err) && lb_db_exec(db, "COMMIT", err)) return true;
    sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}
