/* eval/traces.h – traces read back as token ids: what a model is compared on. */
#ifndef LB_EVAL_TRACES_H
#define LB_EVAL_TRACES_H
#include "eval/target.h"

typedef struct lb_trace {
    lb_ids ids;                      /* prompt, then what the model wrote; owned */
    int n_prompt;
    bool finished;                   /* it ended by itself, not at a limit of tokens */
    uint64_t problem;                /* names the prompt: a hash of its text */
} lb_trace;

typedef struct lb_traces {
    lb_trace *p;                     /* owned */
    int n;
} lb_traces;

/* Reads a file of `lowbit trace` with t's tokenizer: every line, in order. Generated ids are taken from "ids" where a
 * line has them, else from its text, special tokens read as such. LB_EFORMAT naming the line for what is no trace, for
 * a trace of another vocabulary, or for an empty file. */
bool lb_traces_load(const lb_target *t, const char *path, lb_traces *out, lb_err *err);
void lb_traces_free(lb_traces *t);
#endif
