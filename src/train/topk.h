/* train/topk.h – a teacher that was asked once: its k largest probabilities for every token of the corpus, in a file.
 *
 * For a teacher that is too large to sit beside the student. The file has a header (what it was made of) and, for each
 * document in order and each of its tokens, k ids (i32) and k probabilities (f32) at the temperature of the stage; what
 * is missing to 1 is the rest, which the divergence treats as one outcome (model/vocab_loss.h). */
#ifndef LB_TRAIN_TOPK_H
#define LB_TRAIN_TOPK_H
#include "base/file.h"
#include "model/model_grad.h"
#include "train/corpus.h"
#include <signal.h>

typedef struct lb_topk {
    lb_map map;
    int k;
    size_t *first;                   /* [n_doc+1] row of each document's first token, owned */
} lb_topk;

/* Opens `path`, making it first if it is not there: one forward pass of the teacher over the corpus, in sequences of up to
 * n_tok tokens. LB_EUSAGE if the file is of another corpus, teacher, temperature or k. */
bool lb_topk_open(lb_topk *t, const char *path, lb_model_grad *teacher, lb_exec *ex, const lb_corpus *c, int k,
                  float temperature, int n_tok, volatile sig_atomic_t *stop, lb_err *err);
void lb_topk_close(lb_topk *t);
/* The rows of a packed sequence: ids and p [n_tok, k] host. */
void lb_topk_rows(const lb_topk *t, const lb_packed *p, int *ids, float *prob);
#endif
