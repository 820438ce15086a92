/* eval/db.h – the results database: every finished sample, once, at once.
 *
 * SQLite in WAL mode; one row a sample, written in its own transaction the moment it is finished, so kill -9 costs the
 * samples in flight and nothing else. The key is what a sample depends on:
 *
 *     samples(model, task, version, item, prompt, sampling, seed, sample)       primary key
 *         model      hash of weights, config and tokenizer        item      hash of problem, gold and tests
 *         prompt     hash of the rendered prompt
 *         sampling   canonical text, "T0.6 top-p0.95 … max1024 kv=bf16"
 *     text, n_tokens, finish ('stop' or 'length'), think_closed, t_unix
 *     verdict (NULL until graded, 0 wrong, 1 right, 2 unknown), extracted, why
 *
 * Two processes may use one database: a sample that the other has written meanwhile is kept as it is. */
#ifndef LB_EVAL_DB_H
#define LB_EVAL_DB_H
#include "base/hash.h"

typedef struct lb_db lb_db;      /* one thread at a time */

typedef struct lb_sample_key {
    const char *model, *task, *sampling;         /* text; borrowed */
    int version;
    lb_hash item, prompt;
    int64_t seed, sample;
} lb_sample_key;

typedef struct lb_sample_row {
    char *text;                  /* completion, special tokens shown; owned by the caller after a read */
    int n_tokens;
    bool truncated, think_closed;
    int verdict;                 /* −1: not graded yet; else lb_verdict */
    char extracted[256], why[256];
} lb_sample_row;

/* Makes the file (and its folder) if need be. LB_EFORMAT if it is another program's database or of another version. */
lb_db *lb_db_open(const char *path, lb_err *err);
void lb_db_close(lb_db *db);
/* *found tells; row is filled then, text only if want_text. */
bool lb_db_find(lb_db *db, const lb_sample_key *k, bool want_text, bool *found, lb_sample_row *row, lb_err *err);
/* Writes a finished sample (verdict −1 if grading comes later). One that is there already stays. */
bool lb_db_put(lb_db *db, const lb_sample_key *k, const lb_sample_row *row, lb_err *err);
/* LB_EIO if the sample is not there. */
bool lb_db_set_verdict(lb_db *db, const lb_sample_key *k, int verdict, const char *extracted, const char *why,
                       lb_err *err);
bool lb_db_delete(lb_db *db, const lb_sample_key *k, lb_err *err);           /* for --fresh */
#endif
