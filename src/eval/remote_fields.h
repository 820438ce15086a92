/* eval/remote_fields.h – the body of a request, and what a server's refusals teach about it.
 *
 * Every sampling field is sent, also where it is off, because servers have defaults of their own (top-k 40 and min-p
 * 0.05 in llama.cpp, the model's generation_config.json in vLLM). A server that refuses a field by name gets the
 * request again without it, but only if that cannot change what was asked for; what is left out is remarked. */
#ifndef LB_EVAL_REMOTE_FIELDS_H
#define LB_EVAL_REMOTE_FIELDS_H
#include "eval/remote.h"

typedef struct lb_remote_fields {    /* zeroed: everything is sent */
    unsigned version;                /* raised by every change */
    int top_k_off;                   /* how "off" is written: 0: −1; 1: 0; 2: not at all */
    bool no_min_p, no_repetition, no_seed, no_usage, no_stream;
    bool completion_tokens;          /* max_completion_tokens instead of max_tokens */
    char remarks[512];               /* "not sent, …: top_k (off), min_p (off)" and the like, or "" */
} lb_remote_fields;

/* The JSON text [*n], NUL-terminated; the caller frees it. LB_EFORMAT if the prompt is not UTF-8. */
char *lb_remote_body(const lb_remote_fields *f, const char *model, const lb_remote_request *q, size_t *n, lb_err *err);

typedef enum lb_remote_lesson {
    LB_LESSON_NONE,                  /* the text names no field that could be left out */
    LB_LESSON_CHANGED,               /* f is another now: send again */
    LB_LESSON_CANNOT                 /* it names one that the result depends on; err says so (LB_EUNSUPPORTED) */
} lb_remote_lesson;

/* `text` is the server's answer (400 or 422) to q as written by f. */
lb_remote_lesson lb_remote_learn(lb_remote_fields *f, const lb_remote_request *q, const char *text, lb_err *err);
#endif
