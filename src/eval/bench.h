/* eval/bench.h – a benchmark is items, a prompt and a grade: one file, one row of benches.def.
 *
 * Items come from the files as they were published: JSON lines, a JSON array, a JSON object of arrays (MR-Ben) or CSV
 * (RFC 4180), found below a data folder under the names that people have them by. Reinforcement learning will use the
 * same grade as reward. */
#ifndef LB_EVAL_BENCH_H
#define LB_EVAL_BENCH_H
#include "base/hash.h"
#include "base/json.h"
#include "eval/grade.h"
#include "eval/judge.h"

typedef struct lb_bench lb_bench;

/* One problem. Strings are owned (malloc); item() fills them through lb_item_set. */
typedef struct lb_item {
    const lb_bench *bench;       /* borrowed */
    int source;                  /* which of the benchmark's sources the row is from */
    int number;                  /* 1 … in the order of the files, rows left out not counted */
    int cluster;                 /* number of the first item with the same question (MR-Ben has three solutions of each) */
    char *id;                    /* the row's own name of itself; "" if it has none */
    char *prompt;                /* the user's turn, whole */
    char *gold;                  /* "" for programs */
    int level;                   /* 1 … 5; 0: the row has none */
    json_t *row;                 /* owned; NULL where the benchmark keeps no rows (keeps_no_row) */
    const char *path;            /* the file that the row is from; borrowed from lb_items */
    size_t offset, n_byte;       /* where it stands there, if the file is JSON lines; else 0, 0 */
    lb_hash hash;                /* of prompt, gold and tests: the identity of the problem */
} lb_item;

/* The tests of one program. Release with lb_code_tests_free. */
typedef struct lb_code_tests {
    lb_code_test *p;             /* [n], owned; its strings are borrowed from doc */
    int n;
    const char *func_name;       /* NULL: whole programs, which read stdin; else a method of Solution; from doc */
    json_t *doc;                 /* owned: what the strings stand in */
} lb_code_tests;
void lb_code_tests_free(lb_code_tests *t);

/* What graders may need besides the text. */
typedef struct lb_grader {
    const lb_sandbox *sandbox;   /* NULL unless the benchmark runs code; borrowed */
    bool in_thinking;            /* the prompt had already opened <think> */
    bool truncated;              /* the completion ended at the limit of tokens */
} lb_grader;

/* Zero means default in every field. */
typedef struct lb_items_opt {
    int limit;                   /* the first so many items (default: all) */
    uint64_t option_seed;        /* order of the options where the benchmark shuffles them (default LB_OPTION_SEED) */
    const char *from, *to;       /* "2024-08" or "2024-08-01": rows with a date outside [from, to] are left out (default: none) */
} lb_items_opt;
enum { LB_OPTION_SEED = 1234 }; /* the seed of the studies' pipeline */

/* A row on its way to an item. */
typedef struct lb_row {
    const json_t *json;          /* an object; CSV fields are strings under the names of the header line */
    const char *where;           /* "FILE:LINE" or "FILE, row N", for messages */
    const char *group;           /* the key under which an object of arrays has the row; else NULL */
    int source;                  /* which of the benchmark's sources */
    const lb_items_opt *opt;     /* never NULL */
} lb_row;

/* A published SHA-256 of a file, and what has it. */
typedef struct lb_known_file {
    const char *sha256;          /* 64 hexadecimal digits */
    const char *what;            /* "openai/grade-school-math, test.jsonl" */
} lb_known_file;

/* How a Parquet file becomes one that is read here. */
#define LB_PARQUET_HOW \
    "python3 -c \"import sys, pandas; pandas.read_parquet(sys.argv[1]).to_json(sys.argv[2], orient='records', " \
    "lines=True)\" IN.parquet OUT.jsonl"

/* One file that a benchmark needs; most need one. */
typedef struct lb_source {
    const char *name;            /* "aime90": the part's name in messages */
    const char *const *files;    /* names below the data folder, NULL-terminated; the first that is there is read */
    bool whole_path;             /* files are paths as they stand (task files) */
    int n_row;                   /* rows as published; 0: not known */
    const lb_known_file *known;  /* ends with {0}; NULL, or nothing before that: no hash is known */
    const char *url;             /* where it comes from */
    const char *licence;         /* with gating */
    const char *convert;         /* how to get a file that is read here from what is downloaded; NULL: as it is */
} lb_source;

/* A graded sample, for numbers beside accuracy. */
typedef struct lb_scored {
    const lb_item *item;
    const char *extracted;       /* lb_grade.extracted of the sample; "" if there was none */
    bool right;
} lb_scored;

struct lb_bench {
    const char *name;            /* "chain" */
    const char *suite;           /* "abacus": --tasks abacus means all of them */
    const char *like;            /* the benchmark's proper name, or the one that it mirrors, for tables */
    const lb_source *const *sources; /* NULL-terminated; every one is needed; their rows follow each other */
    int max_new;                 /* tokens after which an answer counts as truncated, unless the user says otherwise */
    int version;                 /* of the prompt: part of the results' key; raise it when a prompt changes */
    const char *prompt_from;     /* whose prompt it is, in words */
    bool runs_code;
    bool dated;                  /* rows have dates, which lb_items_opt.from and to choose from */
    bool keeps_no_row;           /* lb_item.row stays NULL (rows of megabytes) */
    const char *cluster_key;     /* rows alike under this key share a question (row->group wins), and their ids are its
                                  * id, '/' and the rest; or NULL */
    size_t max_line;             /* bytes of a row; 0: LB_JSONL_MAX_LINE */
    void *own;                   /* a row's private data (lb_bench_from_file) */

    /* Fills id, prompt, gold, level of *out, which is zeroed but for what the reader knows (bench, source, number,
     * path, offset, n_byte; cluster and row come afterwards). *skip = true leaves the row out. It sets hash only where
     * more than prompt and gold makes the problem, starting from lb_item_hash. LB_EFORMAT names row->where and the
     * field. */
    bool (*item)(const lb_bench *b, const lb_row *row, lb_item *out, bool *skip, lb_err *err);
    /* Grades a whole completion. False only if grading itself broke: no sandbox to be had, a data file that changed. */
    bool (*grade)(const lb_item *item, const char *completion, const lb_grader *g, lb_grade *out, lb_err *err);
    /* Programs only: the tests of an item, which may be read from the item's file now. */
    bool (*tests)(const lb_item *item, lb_code_tests *out, lb_err *err);
    /* Optional: numbers over all graded samples of a task beside accuracy. Adds "name" and "name_stderr" pairs (reals)
     * to out, an object; deterministic. */
    bool (*metrics)(const lb_bench *b, const lb_scored *s, size_t n, json_t *out, lb_err *err);
    /* Optional: the part of the benchmark that the task NAME:TEXT names, text [n] being what follows the first colon. The
     * row is static: it lives as long as the process. NULL with LB_EUSAGE that says what there is. */
    const lb_bench *(*variant)(const lb_bench *b, const char *text, size_t n, lb_err *err);
};

extern const lb_bench *const lb_benches[];       /* NULL-terminated */

/* A comma list of benchmark and suite names and of NAME:PART (lb_bench.variant), in the order given, without repeats.
 * *out is allocated (free it), *n long. LB_EUSAGE lists what there is. */
bool lb_benches_of(const char *names, const lb_bench ***out, int *n, lb_err *err);

/* A benchmark described by a task file (taskfile.c, docs/benchmarks.md); release with lb_bench_free. Its data file is
 * found beside the task file. LB_EFORMAT names the field. */
lb_bench *lb_bench_from_file(const char *path, lb_err *err);
void lb_bench_free(lb_bench *b);

/* Items of a benchmark's files: all, or the first opt->limit. Blank lines, CRLF, a BOM and a missing last newline are
 * fine; everything else that is not a row is LB_EFORMAT naming file and line. Rows of a file that is not the
 * benchmark's own are taken if they have its fields. */
typedef struct lb_items {
    lb_item *p;                  /* owned */
    int n;
    char **paths;                /* owned: the files, one per source */
    int n_path;
} lb_items;

/* data_dir as of lb_source_path. opt may be NULL. */
bool lb_items_load(const lb_bench *b, const char *data_dir, const lb_items_opt *opt, lb_items *out, lb_err *err);
/* The same from memory: text [n] as the file `name` of source `source`, which decides by its ending between CSV and
 * JSON. *out is empty after a failure. */
bool lb_items_parse(const lb_bench *b, int source, const char *text, size_t n, const char *name,
                    const lb_items_opt *opt, lb_items *out, lb_err *err);
void lb_items_free(lb_items *items);

/* The file of source `i` of b: below data_dir, or data_dir itself if that is a file and b has one source. NULL with
 * LB_EIO that lists the names tried. The caller frees it. */
char *lb_source_path(const lb_bench *b, int i, const char *data_dir, lb_err *err);

/* ---- for rows ---- */

/* *dst = a copy of s, which replaces what was there. */
bool lb_item_set(char **dst, const char *s, lb_err *err);
/* What messages call an item: its id, or its number if it has none. Returns out. */
const char *lb_item_called(const lb_item *it, char out[80]);
/* The hash of prompt and gold. */
lb_hash lb_item_hash(const lb_item *it);
#endif
