/* eval/trace.h – reasoning traces: what a model writes for a list of prompts, kept as JSON lines.
 *
 * Calibration wants the model's own thinking (arXiv:2504.04823). One line a sample:
 *
 *     {"id", "sample", "prompt": the rendered text, "text": what the model wrote, special tokens shown and the stop
 *      token left out, "n_tokens", "finish": "stop" | "length", "key"[, "ids": the generated ids]}
 *
 * "key" says which model, prompt, sampling and seed made the line. Lines are appended and synced as samples finish;
 * kill -9 leaves at most a torn last line. A run over an existing file drops that one, makes what is missing, and puts
 * the lines in the order of prompts and samples: the file's bytes are those of an undisturbed run. */
#ifndef LB_EVAL_TRACE_H
#define LB_EVAL_TRACE_H
#include "base/progress.h"
#include "eval/prompts.h"
#include <signal.h>

typedef struct lb_trace_opt {
    const lb_prompts *prompts;           /* borrowed */
    int n_sample;                        /* samples per prompt */
    uint64_t seed;
    lb_sampling sampling;
    int max_new;                         /* most tokens; 0: the benchmark's limit, or up to the context */
    int n_slot;                          /* samples in flight; 0: as many as help and fit */
    const char *kv;                      /* KV format; NULL: as the model */
    const json_t *template_kwargs;       /* enable_thinking and the like, or NULL */
    bool want_ids;                       /* write "ids" */
    volatile sig_atomic_t *stop;         /* set by a signal handler: finish cleanly with LB_ESTOPPED */
} lb_trace_opt;

typedef struct lb_trace_report {
    int64_t n, n_reused;                 /* samples in the file; those that were there already */
    double tokens_mean, truncated, think_closed;     /* over all of them; shares */
    double tokens_generated, seconds;    /* of this run */
} lb_trace_report;

/* Makes `path`, or completes it. `p` may be a progress object that was started; NULL: silent. LB_EFORMAT if the file
 * holds something else, or traces of another model, sampling or list of prompts; LB_EIO if another run writes it. */
bool lb_trace_run(lb_target *t, const lb_trace_opt *o, const char *path, lb_progress *p, lb_trace_report *out,
                  lb_err *err);
#endif
