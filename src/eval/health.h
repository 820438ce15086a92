/* eval/health.h – reasoning health: what quantization did to a model, in minutes where an evaluation takes hours.
 *
 *   teacher-forced   both models read traces of the base: KL and its relation to the base's entropy, agreement,
 *                    perplexity, and the probability of </think> at the position where the base closed its thinking
 *                    (infer/compare.h)
 *   free-running     both answer the same prompts with the same seeds: loops (eval/loop.h), truncation, unclosed
 *                    thinking, and how much longer the outputs became
 *
 * Every number has its standard error, by trace or prompt. The verdict is the worst symptom; a symptom counts when it
 * is beyond its limit by more than two standard errors. */
#ifndef LB_EVAL_HEALTH_H
#define LB_EVAL_HEALTH_H
#include "eval/traces.h"
#include "infer/compare.h"

typedef struct lb_health_opt {       /* zero means default in every field but sampling */
    const lb_traces *traces;         /* borrowed */
    int n_token;                     /* tokens of traces to read, spread over the file (default 32,768) */
    int n_prompt;                    /* prompts to answer (default 32; fewer where the traces have fewer) */
    int max_new;                     /* longest answer (default: twice the longest trace, 256 to 4,096) */
    uint64_t seed;
    lb_sampling sampling;
    int n_slot;
    lb_progress_mode progress;
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED */
} lb_health_opt;

/* Answers of one model. Shares of prompts. */
typedef struct lb_health_side {
    lb_mean tokens, loops, truncated, closed;
} lb_health_side;

typedef enum lb_health_level { LB_HEALTHY, LB_IMPAIRED, LB_BROKEN } lb_health_level;
const char *lb_health_name(lb_health_level l);   /* "healthy", … */

enum { LB_HEALTH_SYMPTOMS = 5 };
typedef struct lb_symptom {
    const char *name;
    double value, stderr_value;      /* NaN: not measured */
    double impaired, broken;         /* limits: worse from here on; `rising` tells which side is worse */
    bool rising;
    lb_health_level level;
} lb_symptom;

typedef struct lb_health {
    lb_compare_result compare;
    lb_health_side base, quant;
    lb_mean length;                  /* tokens of quant / tokens of base, over the same prompts */
    int n_trace, n_prompt, max_new;
    lb_symptom symptom[LB_HEALTH_SYMPTOMS];
    lb_health_level verdict;
    double seconds;
} lb_health;

/* Both targets are open; traces were read with the base's. LB_EUSAGE if the two have different tokenizers. */
bool lb_health_run(lb_target *base, lb_target *quant, const lb_health_opt *o, lb_health *out, lb_err *err);
json_t *lb_health_json(const lb_health *h);      /* a new reference */

/* How far the largest channels stand out in both (infer/outliers.h), on about 2,048 tokens of the traces, at most 512 of
 * each: outliers.json as the report reads it (study/report.h), with the methods that lowbit-quantize.json of quant's
 * folder names as its transform. Of the options only traces, progress and stop count. A new reference, NULL with an
 * error. */
json_t *lb_health_outliers(lb_target *base, lb_target *quant, const lb_health_opt *o, lb_err *err);
#endif
