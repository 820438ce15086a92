/* train/recipe.h – a training run as one JSON file: every setting, checked before anything runs, saved with the result.
 *
 *     {"name": "abacus-w2", "scheme": "w2g128", "seed": 42,
 *      "traces": {"prompts": "data/abacus/train.jsonl", "nprompts": 4000},
 *      "start": {"method": "gptq", "nsamples": 128, "seqlen": 512},
 *      "stages": [{"kind": "kd", "steps": 600, "tokens": 8192, "lr": 5e-5},
 *                 {"kind": "grpo", "steps": 30, "prompts": 16, "group": 8, "lr": 5e-7}],
 *      "eval": {"tasks": "abacus", "limit": 90}}
 *
 * docs/training.md has the table of all keys. Text is borrowed from the document. Defaults are those of Reasoning-QAT
 * (arXiv:2601.14888, appendix A) where it states them. */
#ifndef LB_TRAIN_RECIPE_H
#define LB_TRAIN_RECIPE_H
#include "base/json.h"
#include "eval/stats.h"
#include "model/model_grad.h"
#include "quant/scheme.h"

enum { LB_TRAIN_MAX_STAGES = 16, LB_TRAIN_SCHEMA = 1 };

typedef enum lb_stage_kind {
    LB_STAGE_SFT,                /* cross-entropy on the traces */
    LB_STAGE_KD,                 /* the full-precision model's distribution on the traces */
    LB_STAGE_OPD,                /* the same on texts that the student writes itself */
    LB_STAGE_GRPO,               /* rewards of the graders on texts that the student writes */
} lb_stage_kind;

typedef enum lb_divergence {
    LB_KL_FORWARD,               /* KL(teacher‖student) */
    LB_KL_REVERSE,               /* KL(student‖teacher) */
    LB_KL_JS,                    /* generalized Jensen–Shannon with weight beta (arXiv:2306.13649) */
    LB_KL_CAKLD,                 /* gamma·reverse + (1−gamma)·forward (BitDistiller, arXiv:2402.10631) */
} lb_divergence;

typedef enum lb_scales {         /* where the scales of quantized weights come from */
    LB_SCALES_MINMAX,            /* the range of the weights, anew at every step */
    LB_SCALES_CLIP,              /* the same, times learned factors for both ends of each group */
    LB_SCALES_STATIC,            /* as the start left them */
    LB_SCALES_LEARNED,           /* from there, learned (LSQ, arXiv:1902.08153) */
    LB_SCALES_STRETCHED,         /* in recipes only: learned, on the balanced grid of 2 bits (ParetoQ, arXiv:2502.02631) */
} lb_scales;

typedef enum lb_schedule { LB_LR_COSINE, LB_LR_LINEAR, LB_LR_WSD, LB_LR_CONSTANT } lb_schedule;

enum {                           /* what is trained beside the tensors of model/model_grad.h */
    LB_TRAIN_SCALES = 1 << 6,    /* scales or clips of weights, where they are learned */
    LB_TRAIN_TRANSFORMS = 1 << 7,/* matrices and activation clips of FlatQuant */
};

typedef struct lb_train_stage {
    lb_stage_kind kind;
    char name[48];               /* "2-kd": its place and its kind */
    lb_scheme scheme;            /* the recipe's, or its own: progressive bit widths */
    lb_scales scales;
    unsigned train;              /* LB_TRAIN_… */
    /* optimizer: AdamW */
    int steps, warmup;
    double lr, lr_scales, lr_transforms, lr_clips;   /* peak rates of weights, scales, matrices, activation clips */
    double beta1, beta2, eps, weight_decay, clip_norm;       /* clip_norm 0: gradients are not clipped */
    lb_schedule schedule;
    double last;                 /* factor of the rate after the last step */
    double decay;                /* wsd: share of the steps in which the rate falls */
    /* data */
    int tokens;                  /* of one step */
    int seq_tokens;              /* packed on one tape at once; a step adds up tokens/seq_tokens of them */
    bool prompt_loss;            /* the prompt's tokens count as well */
    /* sft, kd, opd */
    lb_divergence divergence;
    double temperature, beta, gamma;     /* gamma 0: measured, the teacher's mean largest probability */
    int top_k;                   /* teacher's probabilities kept per token; 0: all of them, computed as needed */
    double ce;                   /* weight of cross-entropy beside the divergence */
    /* grpo, opd */
    const char *prompts, *task;  /* benchmarks or a JSON-lines file; whose grader its rows have that name none */
    int n_prompt, group;         /* prompts of one step, samples of each */
    int max_new;
    double sample_temperature, top_p;
    double clip_low, clip_high, kl;      /* 1−low ≤ ratio ≤ 1+high; weight of the k3 divergence to the stage's start */
    int updates;                 /* optimizer steps on one batch of samples */
    bool drop_equal;             /* groups of equal rewards are left out */
    double gate;                 /* the stage refuses to start below this pass rate */
    int gate_samples;            /* measured on so many samples */
} lb_train_stage;

/* Texts that a model writes itself, with a file of prompts or benchmarks to begin with; or a file of them, as it is. */
typedef struct lb_train_traces {
    const char *file, *prompts;  /* both NULL: there are none */
    const json_t *where;         /* {KEY: TEXT}: only prompts that have these, or NULL */
    int n_prompt, n_sample, max_new;     /* max_new 0: as long as it takes */
    int64_t seed;
} lb_train_traces;

typedef struct lb_train_eval {   /* problems that a model is asked */
    const char *tasks;           /* NULL: it is asked nothing */
    const char *data;            /* folder of the benchmarks; NULL: the run's */
    int limit, n_sample, max_new;        /* limit 0: all; max_new 0: each task's own */
    int64_t seeds[LB_STATS_SEEDS];
    int n_seed;
    int every;                   /* of a curve: steps between its points */
} lb_train_eval;

typedef struct lb_train_recipe {
    json_t *doc;                 /* owned */
    const char *name, *about;
    lb_scheme scheme;
    int64_t seed;
    lb_compute compute;          /* of linear layers and the head, student and teacher: f32, bf16x2 or bf16 */
    const char *teacher;         /* a model folder; NULL: the model itself */
    lb_train_traces traces;      /* what stages learn from */
    /* start */
    const char *method;          /* "gptq", "rtn", "flatquant+gptq"; "none": the weights as they
                                    are; "scratch": drawn anew */
    const char *calib;           /* source: "traces" (default), a file, or benchmarks; "": calib_traces */
    lb_train_traces calib_traces;
    int calib_n, calib_len;
    const json_t *method_options;/* {KEY: TEXT} or NULL */
    lb_train_stage stages[LB_TRAIN_MAX_STAGES];
    int n_stage;
    int keep_every;              /* steps between checkpoints */
    lb_train_eval eval;          /* of the model, the start and the result */
    lb_train_eval curve;         /* of the model as it is trained */
} lb_train_recipe;

/* LB_EFORMAT names file, stage and key. Free it whatever the result. */
bool lb_train_recipe_load(lb_train_recipe *r, const char *path, lb_err *err);
bool lb_train_recipe_parse(lb_train_recipe *r, const json_t *doc, const char *where,
                           lb_err *err); /* doc: a reference is kept */
void lb_train_recipe_free(lb_train_recipe *r);
/* Where two recipes differ: "stages[0].lr: 1e-05, was 2e-05" into out; false if they do not. */
bool lb_train_recipe_differs(const json_t *now, const json_t *then, char out[256]);
const char *lb_stage_kind_name(lb_stage_kind k);
/* Whether a post-training method makes the start. Rounding the model's weights to nearest is what training does in its first
 * step anyway. */
bool lb_train_quantizes_first(const lb_train_recipe *r);
/* Whether both round weights alike: the second goes on with the quantizers of the first. */
bool lb_train_same_quantizers(const lb_train_stage *a, const lb_train_stage *b);
/* Whether anything reads r->traces: stages, or the calibration of the start. */
bool lb_train_reads_traces(const lb_train_recipe *r);
#endif
