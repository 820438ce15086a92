/* study/report_data.h – what a study's folder says, read and checked once, for tables and plots. */
#ifndef LB_STUDY_REPORT_DATA_H
#define LB_STUDY_REPORT_DATA_H
#include "base/hash.h"
#include "base/json.h"
#include "train/recipe.h"

enum { LB_REP_LEVELS = 5, LB_REP_TASKS = 64, LB_REP_SEEDS = 64 };

typedef struct lb_rep_layer { const char *name; int layer; double bits, mse_rel, error_rel; } lb_rep_layer;
typedef struct lb_rep_spread { double p50, p90, p99, max; } lb_rep_spread;
typedef struct lb_rep_site {
    const char *kind, *site;
    int layer;
    bool has_after;
    lb_rep_spread before, after;
} lb_rep_site;
typedef struct lb_rep_kl { double begin, end, mean, p99; } lb_rep_kl;

/* What a step of training says of itself (docs/training.md): a key of train.jsonl each. */
typedef enum lb_rep_what {
    LB_REP_LOSS, LB_REP_CE, LB_REP_KL, LB_REP_KL_REVERSE, LB_REP_GRAD_NORM, LB_REP_LR, LB_REP_ENTROPY, LB_REP_REWARD,
    LB_REP_LENGTH, LB_REP_TRUNCATED, LB_REP_TOKENS, LB_REP_WHATS
} lb_rep_what;
typedef struct lb_rep_step { double v[LB_REP_WHATS]; } lb_rep_step;  /* NaN where a step does not say */
typedef struct lb_rep_stage {
    char name[48];                   /* "1-kd" */
    size_t begin, end;               /* of the training's steps */
    const lb_train_stage *set;       /* its settings; NULL: the recipe is not there */
} lb_rep_stage;
typedef struct lb_rep_point {        /* of a curve (train/evaluate.h): what the model could do then */
    const char *stage;
    double step, steps;              /* of the stage, and of all stages so far */
    double average, average_se;
    double acc[LB_REP_TASKS], acc_se[LB_REP_TASKS];
} lb_rep_point;
typedef struct lb_rep_train {
    lb_rep_step *step;               /* [n_step], stage after stage, owned */
    size_t n_step;
    lb_rep_stage stage[LB_TRAIN_MAX_STAGES];
    int n_stage;
    bool has_recipe;
    lb_train_recipe recipe;
    lb_rep_point *point;             /* [n_point], owned; none where there is no curve.jsonl */
    size_t n_point;
    const char *task[LB_REP_TASKS];  /* of the curve */
    int n_task;
    json_t *curve_doc;               /* owned: its lines */
    json_t *eval_doc;                /* owned: evaluation.json, or NULL */
} lb_rep_train;

/* A run; accuracies and drops are fractions, NaN where not known. Text is borrowed from the JSON documents. */
typedef struct lb_rep_run {
    const char *model_hash;          /* of its samples' keys; "" if the study does not say */
    const char *task_sampling[LB_REP_TASKS];     /* of each task's samples, "" if it is not said */
    int task_version[LB_REP_TASKS];
    lb_hash *prompts[LB_REP_TASKS];  /* [n_prompt] of the samples' keys, rising, owned; NULL: samples.jsonl has none */
    size_t n_prompt[LB_REP_TASKS];
    double acc_strict[LB_REP_TASKS], acc_lenient[LB_REP_TASKS];      /* the other readings; NaN where not known */
    double strict_se[LB_REP_TASKS], lenient_se[LB_REP_TASKS];
    const char *id, *label, *group, *base, *scheme, *method, *kv, *error, *class_name, *calib_source;
    bool done, failed, is_baseline, compared;
    int baseline;                    /* index, −1 if the study does not have it */
    int w_bits, a_bits, kv_bits;
    int think_budget, think_extend, seq_len, n_calib;
    double bits, size_bytes, average, average_se, drop, drop_se;
    double acc[LB_REP_TASKS], acc_se[LB_REP_TASKS], seed_mean[LB_REP_SEEDS];
    int n_problem;
    double level[LB_REP_LEVELS], level_se[LB_REP_LEVELS], level_drop[LB_REP_LEVELS], level_drop_se[LB_REP_LEVELS];
    double tokens_mean, truncated, think_closed;
    const char *sampling;
    double *tokens;                  /* [n_sample] lengths, rising, owned; NULL: no samples */
    size_t n_sample;
    double tokens_wrong;             /* mean of wrong answers, NaN if there are none */
    json_t *layers_doc, *outliers_doc, *kl_doc, *doctor_doc;         /* owned */
    lb_rep_layer *layers;            /* owned */
    lb_rep_site *sites;              /* owned */
    lb_rep_kl *kl;                   /* owned */
    size_t n_layer, n_site, n_kl;
    const char *transform;
    double kl_mean, kl_se, kl_p99, kl_top1;
    lb_rep_train *train;             /* owned; NULL: its model was not trained, or its log is gone */
    const char *verdict;             /* of the doctor; "" without one */
    double ppl_base, ppl, loops, length, length_se;
} lb_rep_run;

typedef struct lb_rep {
    json_t *doc;                     /* owned; NULL: no study, but the folder of one training, its only run */
    const char *dir, *name, *about, *version, *written;
    const char *task[LB_REP_TASKS], *like[LB_REP_TASKS];
    int n_task, n_seed, n_per_seed, n_failed;
    long long seeds[LB_REP_SEEDS];
    lb_rep_run *runs;                /* owned */
    int n_run;
} lb_rep;

/* The output folder of a study, or of a training. */
bool lb_rep_load(lb_rep *r, const char *study_dir, lb_err *err);
void lb_rep_free(lb_rep *r);
/* Runs of one group and model, and so on, are asked for often. */
bool lb_rep_in(const lb_rep_run *r, const char *group);
void lb_rep_train_free(lb_rep_train *t);
/* The method, or the family of the KV format ("quarot" of "kv4-quarot"), or "" for a model as it is. */
void lb_rep_family(const lb_rep_run *r, char out[64]);
#endif
