/* eval/bench.h – a benchmark is items, a prompt and a grade: one file, one row of benches.def.
 *
 * Items come from a JSON-lines file with one object a line. Reinforcement learning will use the same grade as
 * reward. */
#ifndef LB_EVAL_BENCH_H
#define LB_EVAL_BENCH_H
#include "base/hash.h"
#include "base/json.h"
#include "eval/grade.h"
#include "eval/judge.h"

typedef struct lb_item {
    const char *id;              /* borrowed from row */
    const char *prompt;          /* the user's turn; borrowed from row, or owned in prompt_owned */
    const char *gold;            /* borrowed; "" for programs */
    int level;                   /* 1 … 5; 0: the row has none */
    const lb_code_test *tests;   /* owned; programs only */
    int n_test;
    json_t *row;                 /* owned */
    lb_hash hash;                /* of prompt, gold and tests: the identity of the problem */
} lb_item;

/* What graders may need besides the text. */
typedef struct lb_grader {
    const lb_sandbox *sandbox;   /* NULL unless the benchmark runs code; borrowed */
    bool in_thinking;            /* the prompt had already opened <think> */
} lb_grader;

typedef struct lb_bench {
    const char *name;            /* "chain" */
    const char *suite;           /* "abacus": --tasks abacus means all of them */
    const char *like;            /* the benchmark of the studies that it mirrors, for tables */
    const char *file;            /* under the data folder: "abacus/chain.jsonl" */
    int max_new;                 /* tokens after which an answer counts as truncated, unless the user says otherwise */
    int version;                 /* of prompt and grade together: part of the results' key; raise it with either */
    bool runs_code;
    /* Fills *out from a row it takes over (out->row). LB_EFORMAT names the field. */
    bool (*item)(json_t *row, const char *where, lb_item *out, lb_err *err);
    /* Grades a whole completion. False only if grading itself broke (no sandbox to be had). */
    bool (*grade)(const lb_item *item, const char *completion, const lb_grader *g, lb_grade *out, lb_err *err);
} lb_bench;

extern const lb_bench *const lb_benches[];       /* NULL-terminated */

/* A comma list of benchmark and suite names, in the order given, without repeats. *out is allocated (free it), *n long.
 * LB_EUSAGE lists what there is. */
bool lb_benches_of(const char *names, const lb_bench ***out, int *n, lb_err *err);

/* Items of a JSON-lines file: all, or the first `limit` (> 0). Rows of a file that is not the benchmark's own are taken
 * if they have its fields. Blank lines, CRLF, a BOM and a missing last newline are fine; everything else that is not a
 * row is LB_EFORMAT naming file and line. */
typedef struct lb_items {
    lb_item *p;                  /* owned */
    int n;
} lb_items;
bool lb_items_load(const lb_bench *b, const char *data_dir, int limit, lb_items *out, lb_err *err);
/* The same from memory: text [n] as `name`. *out is empty after a failure. */
bool lb_items_parse(const lb_bench *b, const char *text, size_t n, const char *name, int limit, lb_items *out,
                    lb_err *err);
void lb_items_free(lb_items *items);
#endif
