/* eval/subject.h – whoever answers in an evaluation: a model in this process, or one behind a server.
 *
 * An evaluation knows prompts, keys, grades and the database; a subject turns one user turn and a seed into a text. To plug
 * one in, fill an lb_subject: eval_local.c does it for an lb_target, eval_remote.c for an lb_remote. The evaluation calls
 *
 *     prepare    once for each problem: what is asked, and the hash of it that goes into the keys
 *     generate   with the samples that the database lacks. For each the subject calls wanted() right before it starts on
 *                it, leaves it alone if that says false (another process has it, or an error: see `failed`), and calls
 *                done() with the whole text, or failed_one() if there will be none. Any order, all on the calling thread
 *     forget     for each prompt
 *
 * The text of a sample may depend on prompt, seed, sample and settings, never on what else is asked, so that a resume ends
 * in the same texts; a server cannot promise that, and the pages say so. */
#ifndef LB_EVAL_SUBJECT_H
#define LB_EVAL_SUBJECT_H
#include "eval/bench.h"
#include "eval/budget.h"
#include "eval/target.h"
#include <signal.h>

typedef struct lb_prepared {         /* one problem as this subject asks it */
    void *own;                       /* the subject's */
    lb_hash hash;                    /* of everything that is sent: part of the samples' key */
    bool in_thinking;                /* the prompt ends inside an open <think> */
} lb_prepared;

typedef struct lb_ask {              /* one sample to make; borrowed until generate returns */
    const lb_item *item;
    const lb_prepared *prompt;
    lb_sampling sampling;
    int max_new;                     /* most tokens of the answer, > 0 */
    int64_t seed, sample;
    void *user;                      /* the evaluation's */
} lb_ask;

typedef struct lb_asking {
    int n_parallel;                  /* samples in flight; 0: the subject's default */
    int think_budget, think_extend;  /* eval/budget.h; LB_EUNSUPPORTED from a subject that cannot */
    const json_t *template_kwargs;   /* as given to prepare */
    const bool *failed;              /* set by wanted() or done(): end, and return false without a message */
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED; may be NULL */
    bool (*wanted)(lb_ask *a);
    /* text: NUL-terminated, borrowed; thinking as it came, or "<think>reasoning</think>answer". truncated: ended by max_new
     * or by the context */
    void (*done)(lb_ask *a, const char *text, int n_tokens, bool truncated);
    void (*failed_one)(lb_ask *a, const char *why);      /* after every retry; nothing is stored, a resume asks again */
} lb_asking;

typedef struct lb_subject {
    const char *hash;                /* identity, 32 hex digits; all texts borrowed */
    const char *name, *kind;         /* for the table of models: a folder's path or a server's model; "folder", "server" */
    const char *kv;                  /* KV cache format, as the samplings' text has it; "server" where it is not known */
    const json_t *about;             /* object, or NULL */
    lb_exec *ex;                     /* threads for judging */
    void *self;
    bool (*prepare)(void *self, const char *user, const json_t *template_kwargs, lb_prepared *out, lb_err *err);
    void (*forget)(void *self, lb_prepared *p);          /* takes a zeroed one */
    bool (*generate)(void *self, lb_ask *const *asks, size_t n, const lb_asking *how, lb_err *err);
} lb_subject;

/* A model in this process. t, kv and the result are borrowed from each other: keep both until the evaluation is over.
 *   kv   KV cache format; NULL: as the model
 * Fills t->hash if need be, which reads all weights. */
typedef struct lb_local {
    lb_subject s;
    lb_target *t;
    json_t *about;                   /* owned */
} lb_local;
bool lb_subject_local(lb_local *out, lb_target *t, const char *kv, lb_err *err);
void lb_subject_local_close(lb_local *l);
#endif
