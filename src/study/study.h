/* study/study.h – a recipe: models, several ways to make them smaller, the same benchmarks for each, tables.
 *
 *     {"name": "abacus-rtn", "model": "models/abacus-5m", "data": "data", "tasks": "abacus", "limit": 80,
 *      "seeds": [42, 43, 44], "samples": 1, "max_new": 1024,
 *      "runs": [{"scheme": "w16"}, {"method": "rtn", "scheme": "w3g128"}, …],
 *      "quick": {"limit": 10, "seeds": [42]}}
 *
 * "models": […] instead of "model" makes every run for each of them. "trace": {NAME: {…}} says how the model writes its
 * own calibration text; "calib" is what runs are calibrated with that say nothing of it; "doctor": {"source", "tokens",
 * "answers"} examines every quantized model on traces (eval/health.h) and keeps runs/ID/doctor.json and outliers.json.
 * "train" is what the training of runs has in common. Besides "scheme" and "method" a run may have (docs/report.md has
 * them all)
 *
 *     "clip": "none" | "mse"          "kv": KV cache format, such as "kv4-quarot"       "model": a model of its own
 *     "calib": {"source": TASK | FILE | "self" | "self:NAME", "nsamples": N, "seqlen": N, "seed": N}
 *     "tensor": {REGEX: SCHEME}       "target_bpw": X       "options": {KEY: TEXT, …} of the method
 *     "eval": {"max_new": N, "think_budget": N, "think_extend": N}
 *     "train": a training recipe (train/recipe.h) without name, scheme and eval, or {"recipe": FILE}
 *     "label": name in tables         "group": section of the report: "main", "calib-domain", … (default "main")
 *
 * Paths are relative to the working directory. A run is compared, problem by problem, with its baseline: the run of the
 * same model and the same "eval" that leaves the model as it is, from its own group if there is one there, else from
 * any group; if there is none, the first run of its group and model. What two runs quantize or train alike is made once,
 * and so is the start, and every stage up to where they differ, of trainings that begin alike.
 *
 * The output folder holds quantized and trained models (models/), the results database, table.txt, results.json, results.csv,
 * runs/ID/samples.jsonl (a line for each sample) and the effective recipe. Everything is written as it is finished;
 * running the recipe again does only what is missing. A run that fails is in the tables with its message, and the
 * others go on. */
#ifndef LB_STUDY_STUDY_H
#define LB_STUDY_STUDY_H
#include "eval/compress.h"
#include "eval/eval.h"

enum { LB_STUDY_MAX_RUNS = 512, LB_STUDY_MAX_MODELS = 16, LB_STUDY_MAX_TRACES = 16, LB_STUDY_SCHEMA = 2 };

typedef struct lb_study_trace {      /* text that a model writes to be calibrated with */
    const char *name;                /* "" for source "self"; all borrowed from recipe */
    const char *prompts;             /* a JSON-lines file, or benchmarks (eval/prompts.h) */
    const json_t *where;             /* {KEY: TEXT}: only its rows that have these, or NULL */
    int n_prompt, n_sample, max_new; /* 0: the default */
    int64_t seed;
} lb_study_trace;

typedef struct lb_study_model {
    const char *dir;                 /* borrowed from recipe */
    char hash[33];
    lb_sampling sampling;            /* its makers' sampling: all its runs are sampled so */
} lb_study_model;

typedef enum lb_study_state { LB_STUDY_PENDING, LB_STUDY_DONE, LB_STUDY_FAILED } lb_study_state;

typedef struct lb_study_run {
    char label[128];                 /* "w3g128 rtn" */
    char id[160];                    /* plain file name, unique in the study */
    const char *group;               /* borrowed from recipe */
    int model;                       /* index of lb_study.models */
    lb_scheme scheme;
    const char *method;              /* "smoothquant+gptq", "gptq → kd → grpo"; "" for weights as they are */
    const char *kv;                  /* of the evaluation; NULL: as the model says; borrowed from recipe */
    bool makes_model;                /* false: the model as it is, read with another KV cache perhaps */
    lb_compress_spec quant;          /* how it is made; texts borrowed from recipe and lb_study.text */
    bool calibrates;                 /* quant.calib counts; its source may be "self" or "self:NAME" still */
    lb_calib_spec own_calib;         /* what the run itself says of it, for its label */
    bool own_seed;
    double target_bpw;               /* 0: no target */
    const json_t *train;             /* the whole recipe of its training, or NULL; borrowed from lb_study.trainings */
    lb_study_trace learns, starts_on;        /* what that learns from, and what its start is calibrated on if on something
                                                else; written by the model; prompts NULL: nothing of the kind */
    int max_new, think_budget, think_extend;         /* 0: as the study */
    /* filled by running */
    lb_study_state state;
    char error[1024];                /* of a failed run */
    char dir[512];                   /* the model that was evaluated */
    double bits_per_weight, size_bytes;              /* of the block linears; of all tensors */
    lb_eval_result result;
    int baseline;                    /* index of the run it is compared with; its own: it is one */
    bool compared;
    double drop, drop_stderr;        /* baseline's average − this one's */
    double level_drop[LB_N_LEVEL], level_drop_stderr[LB_N_LEVEL]; /* mean over tasks; NaN where there is no problem */
    const char *class_name;          /* "lossless", "fair", "risky"; "" until compared */
} lb_study_run;

typedef struct lb_study {
    json_t *recipe;                  /* owned */
    char name[64];
    const char *data;                /* borrowed from recipe */
    lb_study_model models[LB_STUDY_MAX_MODELS];
    lb_study_trace traces[LB_STUDY_MAX_TRACES];
    const lb_bench **tasks;          /* owned */
    lb_study_run *runs;              /* [n_run], owned */
    int n_model, n_trace, n_task, n_run, n_failed;
    lb_eval_opt eval;
    lb_calib_spec calib;             /* of runs that say nothing of it */
    const char *doctor;              /* traces that every quantized model is examined on, or NULL: none are */
    int doctor_tokens, doctor_answers;               /* 0: the default */
    json_t *trainings;               /* owned: recipes that the runs' training is made by */
    bool quick;                      /* only the recipe's quick part */
    int quick_steps;                 /* most steps of a stage of training; 0: as many as it says */
    char **text;                     /* [n_text], owned: texts that runs are made of */
    size_t n_text, cap_text;
} lb_study;

typedef struct lb_study_opt {
    const char *out_dir;
    bool quick, fresh, allow_weak_sandbox;
    lb_progress_mode progress;
    volatile sig_atomic_t *stop;
} lb_study_opt;

/* Errors name the recipe, the run and the key. */
bool lb_study_open(lb_study *s, const char *recipe_path, bool quick, lb_err *err);
/* True also if some runs failed (n_failed, and the first one's message in its `error`). */
bool lb_study_run_all(lb_study *s, const lb_study_opt *o, lb_exec *ex, lb_err *err);
void lb_study_close(lb_study *s);

/* The model as it is, with the KV cache as it is: what others can be compared with. */
bool lb_study_is_plain(const lb_study_run *r);
/* Fills a run's drop, its drop by level and its class against `base`; both have run. Tasks are independent. */
bool lb_study_compare(lb_study_run *r, const lb_study_run *base, lb_err *err);

/* The tables as text, and everything as JSON and CSV (one row for each run and task). */
void lb_study_table(const lb_study *s, lb_buf *out);
void lb_study_csv(const lb_study *s, lb_buf *out);
json_t *lb_study_json(const lb_study *s);
/* One line of JSON for each sample of a run that is done. */
void lb_study_samples(const lb_study_run *r, lb_buf *out);
/* Mean over the tasks of the accuracy at a level (0 …) and its standard error, NaN where they cannot be told. */
double lb_study_level_mean(const lb_eval_result *r, int level, double *se);
/* Means over all samples. */
typedef struct lb_study_means { double tokens, truncated, think_closed; } lb_study_means;
lb_study_means lb_study_mean(const lb_eval_result *r);
#endif
