/* eval/db.h – the results database: every finished sample, once, at once.
 *
 * SQLite in WAL mode; one row a sample, written in its own transaction the moment it is finished, so kill -9 costs the
 * samples in flight and nothing else; a power cut also those of the last second. docs/results-db.md describes the tables:
 *
 *     models(hash, name, kind 'folder' or 'server', about: JSON, t_unix)                  primary key hash
 *     items(task, version, item, number, id, level, problem, gold)                        primary key task, version, item
 *     samples(model, task, version, item, prompt, sampling, seed, sample, …)              primary key these eight
 *         model      hash of weights, config and tokenizer        item      hash of problem, gold and tests
 *         prompt     hash of the rendered prompt                  version   of the task's prompt
 *         sampling   canonical text, "T0.6 top-p0.95 … max1024 kv=bf16"
 *
 * Several processes may use one database: what is written first stays, and lb_db_claim shares the work out. Never on a
 * network file system: WAL wants memory that all its users share. */
#ifndef LB_EVAL_DB_H
#define LB_EVAL_DB_H
#include "base/hash.h"

enum { LB_DB_SCHEMA = 2 };

typedef struct lb_db lb_db;      /* one thread at a time */

typedef struct lb_sample_key {
    const char *model, *task, *sampling;         /* text; borrowed */
    int version;
    lb_hash item, prompt;
    int64_t seed, sample;
} lb_sample_key;

typedef struct lb_sample_row {
    char *text;                  /* completion, special tokens shown; owned by the caller after lb_db_find */
    int n_tokens;
    bool truncated, think_closed;
    int verdict;                 /* −1: not graded yet; else lb_verdict */
    int strict, lenient;         /* the two other readings (eval/grade.h); −1: not graded, or by a grader without them */
    int grader;                  /* LB_GRADER_VERSION of the verdicts; 0: from a database of schema 1 */
    bool weak_sandbox;           /* a program that was judged without namespaces */
    int64_t t_unix;              /* when it was stored; set by the database */
    char extracted[256], why[256];
} lb_sample_row;

/* Makes the file (and its folder) if need be, and brings schema 1 to schema 2, in one transaction. LB_EFORMAT if it is
 * no database or another program's, LB_EUNSUPPORTED if a newer lowbit made it, LB_EIO if it cannot be written. */
lb_db *lb_db_open(const char *path, lb_err *err);
/* For readers: the file must be there, and is left alone, unless it has schema 1 and can be written. Reads a published
 * copy on read-only media, too. Every function that writes fails with LB_EIO where the file cannot be written. */
lb_db *lb_db_open_existing(const char *path, lb_err *err);
void lb_db_close(lb_db *db);

/* ---- samples ---- */

/* *found tells; row is filled then, text only if want_text. */
bool lb_db_find(lb_db *db, const lb_sample_key *k, bool want_text, bool *found, lb_sample_row *row, lb_err *err);
/* Writes a finished sample (verdict −1 if grading comes later). One that is there already stays. */
bool lb_db_put(lb_db *db, const lb_sample_key *k, const lb_sample_row *row, lb_err *err);
/* Sets everything from verdict to weak_sandbox, and extracted and why. A verdict of a newer grader stays. LB_EIO if the
 * sample is not there. */
bool lb_db_set_grade(lb_db *db, const lb_sample_key *k, const lb_sample_row *row, lb_err *err);
bool lb_db_delete(lb_db *db, const lb_sample_key *k, lb_err *err);           /* for --fresh */

/* What is wanted; zero means any in every field. Texts are borrowed for the call. */
typedef struct lb_db_query {
    const char *model, *task, *sampling;
    int version;
    const lb_hash *item;
    const int64_t *seed;
    bool want_text;              /* else row->text is NULL */
} lb_db_query;

/* Calls fn for every sample that q (NULL: all) asks for, in the order of the primary key. Key and row, texts included,
 * are borrowed for the call. fn ends the walk with false, and fills err then if that is a failure: lb_db_each returns
 * what the last call did. fn may read the database; it must not write samples. */
bool lb_db_each(lb_db *db, const lb_db_query *q,
                bool (*fn)(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err), void *arg,
                lb_err *err);

/* The samples of one model and task that were made alike. */
typedef struct lb_db_run {
    const char *model, *task, *sampling;         /* borrowed for the call */
    int version;
    int64_t n_sample, n_item, n_seed;            /* samples; different problems; different seeds */
    int64_t t_first, t_last;                     /* when the first and the last of them were stored */
} lb_db_run;
/* Calls fn for each, by model, task, version, sampling; as lb_db_each otherwise. */
bool lb_db_each_run(lb_db *db, bool (*fn)(void *arg, const lb_db_run *r, lb_err *err), void *arg, lb_err *err);

/* ---- what the hashes stand for ---- */

typedef struct lb_model_row {
    const char *hash, *name;     /* name: as the user gave it, a folder's path or a server's model */
    const char *kind;            /* "folder" or "server" */
    const char *about;           /* JSON object: what is known of it (bits_per_weight, url, …) */
    int64_t t_unix;              /* when it was first seen; set by the database */
} lb_model_row;

typedef struct lb_item_row {
    const char *task;
    int version;
    lb_hash item;
    int number, level;           /* place in the file, from 1; level 1 … 5, or 0 */
    const char *id, *problem, *gold;             /* problem: the user's turn */
} lb_item_row;

/* A model that is there already keeps its t_unix and takes the new name and description. */
bool lb_db_put_model(lb_db *db, const lb_model_row *row, lb_err *err);
/* Items of one task, n of them, in one transaction; those that are there already stay. */
bool lb_db_put_items(lb_db *db, const lb_item_row *rows, size_t n, lb_err *err);
/* As lb_db_each: models by t_unix; items of a task (NULL: all) by task, version, number. */
bool lb_db_each_model(lb_db *db, bool (*fn)(void *arg, const lb_model_row *row, lb_err *err), void *arg, lb_err *err);
bool lb_db_each_item(lb_db *db, const char *task, bool (*fn)(void *arg, const lb_item_row *row, lb_err *err),
                     void *arg, lb_err *err);

/* ---- sharing work between processes ---- */

/* Asks to be the only one who makes this sample: *mine is false while another process (or another lb_db) has it. A claim
 * ends with lb_db_release, lb_db_close or the death of the process, however it dies: it is a lock on one byte of
 * PATH-claims, whose offset is the key's hash. Look for the sample after claiming it: another may just have stored it.
 * Where the file system has no such locks, everything is mine. */
bool lb_db_claim(lb_db *db, const lb_sample_key *k, bool *mine, lb_err *err);
void lb_db_release(lb_db *db, const lb_sample_key *k);
#endif
