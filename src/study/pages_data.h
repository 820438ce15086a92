/* study/pages_data.h – what models answered, as the evaluation pages show it: tasks × columns, read from a results
 * database once. A column is a model as it was sampled, or a run of a study.
 *
 *     tasks[t].problems[i]                      problems in the order of their file
 *     tasks[t].samples[at[i·n_col + c] …]       samples of problem i by column c, by seed and sample; up to the next `at`
 *     tasks[t].cells[c]                         what column c did on the task
 *
 * Texts stay in the database and are fetched one problem at a time. A database that is being written is read as it is at
 * the moment; all numbers of a page are of the same samples. */
#ifndef LB_STUDY_PAGES_DATA_H
#define LB_STUDY_PAGES_DATA_H
#include "eval/db.h"

enum { LB_PAGES_LEVELS = 5, LB_PAGES_QUANTILES = 5, LB_PAGES_MAX = 512 };

typedef struct lb_pages_sample {
    int problem, col;
    int64_t seed, sample;
    lb_hash prompt;
    int n_tokens;
    signed char verdict, strict, lenient;        /* −1: not graded, or not that way; else lb_verdict */
    bool truncated, think_closed, weak_sandbox;
} lb_pages_sample;

/* What a row of the matrix can be filtered by: where something differs, or went wrong. */
enum {
    LB_PAGES_DISAGREE = 1,           /* shares of right samples differ by half or more between columns */
    LB_PAGES_READING = 2,            /* a sample that is right leniently and not strictly */
    LB_PAGES_TRUNCATED = 4,
    LB_PAGES_UNKNOWN = 8,
    LB_PAGES_NONE_RIGHT = 16
};

typedef struct lb_pages_problem {
    lb_hash item;
    int number, level;               /* number −1: the database does not describe the problem */
    char *id, *problem, *gold;       /* owned */
    double share;                    /* mean over columns of the share of right samples; NaN without any */
    unsigned flags;
    int question;                    /* items of one question (MR-Ben's solutions) have the same, which is what is clustered */
    int page;                        /* the block of problems that it is on, from 1 */
} lb_pages_problem;

/* Shares are fractions of graded samples, errors clustered by question; NaN where there is nothing to count. */
typedef struct lb_pages_cell {
    char *sampling;                  /* owned; NULL: the column did not do the task */
    const lb_hash *prompts;          /* [n_prompt] rising, borrowed: only samples of these; NULL: of all */
    size_t n_prompt;
    int n_problem;
    size_t n_sample, n_ungraded, n_unknown, n_weak;
    double acc, acc_se, strict, strict_se, lenient, lenient_se, truncated, truncated_se, unknown, closed;
    double tokens, tokens_right, tokens_wrong;                       /* means */
    double q[3][LB_PAGES_QUANTILES]; /* of lengths: 5, 25, 50, 75, 95 %; all, right, wrong samples */
    double level[LB_PAGES_LEVELS], level_se[LB_PAGES_LEVELS];
    int level_n[LB_PAGES_LEVELS];                                    /* problems */
    /* against the column's baseline, on the problems that both have */
    int n_common;
    double lost, lost_se, lost_p;                                    /* lost_p: two-sided (eval/stats.h) */
    double problems_lost, problems_gained;                           /* sums over problems of shares */
} lb_pages_cell;

typedef struct lb_pages_task {
    char *name;                      /* owned */
    int version;
    char label[80], slug[56];        /* slug: of its files' names, unique among the tasks */
    lb_pages_problem *problems;      /* [n_problem], owned */
    int n_problem, n_page;
    lb_pages_sample *samples;        /* [n_sample], owned */
    size_t n_sample;
    size_t *at;                      /* [n_problem·n_col + 1], owned */
    lb_pages_cell *cells;            /* [n_col], owned */
} lb_pages_task;

typedef struct lb_pages_col {
    char label[128];
    char *model, *name;              /* hash, and name if the database has it, else ""; owned */
    char *sampling;                  /* what all its tasks share of it; owned */
    int base;                        /* the column it is compared with; its own, or −1: none */
    int64_t seeds[64];               /* only samples of these; n_seed 0: of all */
    int n_seed, n_per_seed;          /* only the first so many of each seed; 0: all */
    double average, average_se, lost, lost_se;       /* means over all tasks; NaN if it lacks one */
} lb_pages_col;

typedef struct lb_pages {
    char title[200], db_name[200];
    const char *back;                /* href of the page above this one; NULL: none */
    lb_db *db;                       /* owned */
    lb_pages_col *cols;              /* [n_col], owned */
    lb_pages_task *tasks;            /* [n_task], owned */
    int n_col, n_task;
    size_t n_old_prompt;             /* samples left out: the same question was asked again with another prompt */
} lb_pages;

/* ---- what is shown: an empty lb_pages with its db open gets columns, tasks and the cells' samplings ---- */

/* From the database alone. models: names or beginnings of hashes, tasks: names, both comma lists in the order wanted, or
 * NULL for all. The first column is the baseline. LB_EUSAGE lists what there is. */
bool lb_pages_pick(lb_pages *p, const char *models, const char *tasks, lb_err *err);
bool lb_pages_add_task(lb_pages *p, const char *name, int version, lb_err *err);
/* NULL without memory. Columns first, then tasks: cells are made with the task. */
lb_pages_col *lb_pages_add_col(lb_pages *p, const char *model, const char *sampling, lb_err *err);

/* A copy of s, which the caller frees; NULL with LB_ENOMEM. */
char *lb_pages_copy(const char *s, lb_err *err);

/* ---- reading ---- */

/* Reads samples and problems of all cells that have a sampling, and counts (pages_stat.c). */
bool lb_pages_load(lb_pages *p, lb_err *err);
bool lb_pages_count(lb_pages *p, lb_err *err);
void lb_pages_free(lb_pages *p);

/* Samples of problem i by column c: the first of them, and *n. */
const lb_pages_sample *lb_pages_at(const lb_pages *p, const lb_pages_task *t, int i, int c, size_t *n);
/* How many of them are right; *graded of them have a verdict. */
int lb_pages_right(const lb_pages_sample *s, size_t n, int *graded);

/* True if one reading takes the answer as right and the other does not. */
bool lb_pages_differ(const lb_pages_sample *s);

/* Calls fn for each of these samples with its text, extracted and why; one that has vanished meanwhile has row NULL. */
bool lb_pages_texts(const lb_pages *p, const lb_pages_task *t, int i, int c,
                    bool (*fn)(void *arg, const lb_pages_sample *s, const lb_sample_row *row, lb_err *err), void *arg,
                    lb_err *err);
#endif
