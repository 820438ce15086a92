/* eval/target.h – a model with everything that turns text into tokens and back: what run, eval and study work on. */
#ifndef LB_EVAL_TARGET_H
#define LB_EVAL_TARGET_H
#include "infer/engine.h"
#include "text/chat.h"
#include "text/tokenizer.h"

typedef struct lb_target {
    lb_model *model;             /* owned */
    lb_tokenizer *tok;           /* owned */
    lb_chat *chat;               /* owned */
    lb_gen_config gen;
    char hash[33];               /* identity of weights, config, tokenizer and template; "" until lb_target_hash */
} lb_target;

/* Opens a model folder on ex (borrowed). */
bool lb_target_open(lb_target *t, const char *dir, lb_exec *ex, lb_err *err);
void lb_target_close(lb_target *t);
/* Fills t->hash; reads all weights. LB_ENUMERIC names a weight that is NaN or infinite. */
bool lb_target_hash(lb_target *t, lb_err *err);

/* The token ids of one user turn, rendered by the model's template (or the bare text where there is no template), with
 * BOS only where the template does not write it. *in_thinking: the prompt ends inside an open <think>. *hash (optional)
 * identifies the rendered text. LB_EUSAGE for a system turn or kwargs without a template. */
bool lb_target_prompt(const lb_target *t, const char *system, const char *user, const json_t *kwargs, lb_ids *ids,
                      bool *in_thinking, lb_hash *hash, lb_err *err);
/* Its two halves: appends the rendered text; the ids of a rendered text. */
bool lb_target_render(const lb_target *t, const char *system, const char *user, const json_t *kwargs, lb_buf *text,
                      lb_err *err);
bool lb_target_encode(const lb_target *t, const lb_buf *text, lb_ids *ids, lb_err *err);
/* How the model's makers sample it (generation_config.json). */
lb_sampling lb_target_sampling(const lb_target *t);
#endif
