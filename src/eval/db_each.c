/* eval/db_each.c – walks over the results database, and the tables that say what its hashes stand for. */
#include "base/buf.h"
#include "eval/db_parts.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sqlite3_stmt *prepare(lb_db *db, const char *text, lb_err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db->db, text, -1, &st, NULL) == SQLITE_OK) return st;
    sqlite3_finalize(st);
    lb_db_fail(db, err);
    return NULL;
}

/* True for a row, false at the end or after a failure: then *ok tells. */
static bool next(lb_db *db, sqlite3_stmt *st, bool *ok, lb_err *err)
{
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) *ok = lb_db_fail(db, err);
    return rc == SQLITE_ROW;
}

/* fn said to end the walk: that is a failure only if it filled err. */
static bool ended(const lb_err *err) { return !err || err->code == LB_OK; }

static bool parse_hash(lb_db *db, const char *hex, lb_hash *out, lb_err *err)
{
    char half[2][17] = {{0}};
    if (strlen(hex) != 32 || strspn(hex, "0123456789abcdef") != 32)
        return lb_fail(err, LB_EFORMAT, "%s: '%.40s' is no hash of an item or prompt", db->path, hex);
    memcpy(half[0], hex, 16);
    memcpy(half[1], hex + 16, 16);
    *out = (lb_hash){strtoull(half[0], NULL, 16), strtoull(half[1], NULL, 16)};
    return true;
}

/* ---- samples ---- */

static sqlite3_stmt *query(lb_db *db, const lb_db_query *q, lb_err *err)
{
    lb_buf b = {0};
    char hex[33];
    lb_buf_fmt(&b, "SELECT model, task, version, item, prompt, sampling, seed, sample, " LB_DB_ROW "%s FROM samples WHERE 1",
               q->want_text ? ", text" : "");
    if (q->model) lb_buf_str(&b, " AND model=?1");
    if (q->task) lb_buf_str(&b, " AND task=?2");
    if (q->version) lb_buf_str(&b, " AND version=?3");
    if (q->item) lb_buf_str(&b, " AND item=?4");
    if (q->sampling) lb_buf_str(&b, " AND sampling=?5");
    if (q->seed) lb_buf_str(&b, " AND seed=?6");
    lb_buf_str(&b, " ORDER BY model, task, version, item, prompt, sampling, seed, sample");
    sqlite3_stmt *st = lb_buf_ok(&b, "a query", err) ? prepare(db, b.p, err) : NULL;
    lb_buf_free(&b);
    if (!st) return NULL;
    if (q->model) sqlite3_bind_text(st, 1, q->model, -1, SQLITE_TRANSIENT);
    if (q->task) sqlite3_bind_text(st, 2, q->task, -1, SQLITE_TRANSIENT);
    if (q->version) sqlite3_bind_int(st, 3, q->version);
    if (q->item) lb_hash_hex(*q->item, hex), sqlite3_bind_text(st, 4, hex, -1, SQLITE_TRANSIENT);
    if (q->sampling) sqlite3_bind_text(st, 5, q->sampling, -1, SQLITE_TRANSIENT);
    if (q->seed) sqlite3_bind_int64(st, 6, *q->seed);
    return st;
}

bool lb_db_each(lb_db *db, const lb_db_query *q,
                bool (*fn)(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err), void *arg,
                lb_err *err)
{
    static const lb_db_query all = {0};
    if (!q) q = &all;
    sqlite3_stmt *st = query(db, q, err);
    bool ok = st != NULL;
    while (ok && next(db, st, &ok, err)) {
        lb_sample_row row;
        lb_sample_key k = {.model = lb_db_text(st, 0), .task = lb_db_text(st, 1), .version = sqlite3_column_int(st, 2),
                           .sampling = lb_db_text(st, 5), .seed = sqlite3_column_int64(st, 6),
                           .sample = sqlite3_column_int64(st, 7)};
        lb_db_row(st, 8, &row);
        if (q->want_text) row.text = (char *)lb_db_text(st, 8 + LB_DB_ROW_N);
        ok = parse_hash(db, lb_db_text(st, 3), &k.item, err) && parse_hash(db, lb_db_text(st, 4), &k.prompt, err);
        if (ok && !fn(arg, &k, &row, err)) {
            ok = ended(err);
            break;
        }
    }
    sqlite3_finalize(st);
    return ok;
}

bool lb_db_each_run(lb_db *db, bool (*fn)(void *arg, const lb_db_run *r, lb_err *err), void *arg, lb_err *err)
{
    sqlite3_stmt *st = prepare(db,
                               "SELECT model, task, version, sampling, count(*), count(DISTINCT item), count(DISTINCT seed),"
                               " min(t_unix), max(t_unix) FROM samples GROUP BY model, task, version, sampling"
                               " ORDER BY model, task, version, sampling", err);
    bool ok = st != NULL;
    while (ok && next(db, st, &ok, err)) {
        lb_db_run r = {.model = lb_db_text(st, 0), .task = lb_db_text(st, 1), .version = sqlite3_column_int(st, 2),
                       .sampling = lb_db_text(st, 3), .n_sample = sqlite3_column_int64(st, 4),
                       .n_item = sqlite3_column_int64(st, 5), .n_seed = sqlite3_column_int64(st, 6),
                       .t_first = sqlite3_column_int64(st, 7), .t_last = sqlite3_column_int64(st, 8)};
        if (fn(arg, &r, err)) continue;
        ok = ended(err);
        break;
    }
    sqlite3_finalize(st);
    return ok;
}

/* ---- models and items ---- */

bool lb_db_put_model(lb_db *db, const lb_model_row *row, lb_err *err)
{
    sqlite3_stmt *st = prepare(db,
                               "INSERT INTO models (hash, name, kind, about, t_unix) VALUES (?1, ?2, ?3, ?4, ?5)"
                               " ON CONFLICT (hash) DO UPDATE SET name=?2, kind=?3, about=?4", err);
    if (!st) return false;
    sqlite3_bind_text(st, 1, row->hash, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, row->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, row->kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, row->about, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, (int64_t)time(NULL));
    bool ok = sqlite3_step(st) == SQLITE_DONE || lb_db_fail(db, err);
    sqlite3_finalize(st);
    return ok;
}

static bool put_item(lb_db *db, sqlite3_stmt *st, const lb_item_row *row, lb_err *err)
{
    char hex[33];
    lb_hash_hex(row->item, hex);
    sqlite3_bind_text(st, 1, row->task, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, row->version);
    sqlite3_bind_text(st, 3, hex, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 4, row->number);
    sqlite3_bind_text(st, 5, row->id, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 6, row->level);
    sqlite3_bind_text(st, 7, row->problem, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 8, row->gold, -1, SQLITE_STATIC);
    bool ok = sqlite3_step(st) == SQLITE_DONE || lb_db_fail(db, err);
    sqlite3_reset(st);
    return ok;
}

bool lb_db_put_items(lb_db *db, const lb_item_row *rows, size_t n, lb_err *err)
{
    sqlite3_stmt *st = prepare(db,
                               "INSERT INTO items (task, version, item, number, id, level, problem, gold)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING", err);
    bool ok = st && lb_db_exec(db, "BEGIN IMMEDIATE", err);
    if (ok) {
        for (size_t i = 0; ok && i < n; i++) ok = put_item(db, st, &rows[i], err);
        ok = ok && lb_db_exec(db, "COMMIT", err);
        if (!ok) sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_finalize(st);
    return ok;
}

bool lb_db_each_model(lb_db *db, bool (*fn)(void *arg, const lb_model_row *row, lb_err *err), void *arg, lb_err *err)
{
    sqlite3_stmt *st = prepare(db, "SELECT hash, name, kind, about, t_unix FROM models ORDER BY t_unix, hash", err);
    bool ok = st != NULL;
    while (ok && next(db, st, &ok, err)) {
        lb_model_row row = {lb_db_text(st, 0), lb_db_text(st, 1), lb_db_text(st, 2), lb_db_text(st, 3),
                            sqlite3_column_int64(st, 4)};
        if (fn(arg, &row, err)) continue;
        ok = ended(err);
        break;
    }
    sqlite3_finalize(st);
    return ok;
}

bool lb_db_each_item(lb_db *db, const char *task, bool (*fn)(void *arg, const lb_item_row *row, lb_err *err),
                     void *arg, lb_err *err)
{
    sqlite3_stmt *st = prepare(db,
                               "SELECT task, version, item, number, level, id, problem, gold FROM items"
                               " WHERE ?1 IS NULL OR task=?1 ORDER BY task, version, number", err);
    bool ok = st != NULL;
    if (ok) sqlite3_bind_text(st, 1, task, -1, SQLITE_TRANSIENT); /* NULL binds NULL */
    while (ok && next(db, st, &ok, err)) {
        lb_item_row row = {.task = lb_db_text(st, 0), .version = sqlite3_column_int(st, 1),
                           .number = sqlite3_column_int(st, 3), .level = sqlite3_column_int(st, 4),
                           .id = lb_db_text(st, 5), .problem = lb_db_text(st, 6), .gold = lb_db_text(st, 7)};
        ok = parse_hash(db, lb_db_text(st, 2), &row.item, err);
        if (ok && !fn(arg, &row, err)) {
            ok = ended(err);
            break;
        }
    }
    sqlite3_finalize(st);
    return ok;
}
