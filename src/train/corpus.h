/* train/corpus.h – traces as documents to train on, and how they are packed into sequences of a fixed length.
 *
 * A document is a prompt and what the teacher wrote, its stop token included. Documents are packed whole, one after
 * another; the model keeps them apart (positions from 0, attention within a document), so packing changes nothing but
 * speed. What is dealt is a function of (seed, epoch, number): a resume needs these three. */
#ifndef LB_TRAIN_CORPUS_H
#define LB_TRAIN_CORPUS_H
#include "eval/target.h"

typedef struct lb_doc {
    int *ids;                        /* [n], owned by the corpus */
    int n, n_prompt;                 /* 1 ≤ n_prompt < n */
} lb_doc;

typedef struct lb_corpus {
    lb_doc *p;                       /* [n], owned */
    int n;
    int64_t n_tok, n_target;         /* tokens; those of them behind prompts */
    /* of the traces in the file: too long for a sequence, nothing behind the prompt, without the end of a thinking that
     * the others have. They are left out. */
    int n_long, n_empty, n_unthinking;
    lb_hash hash;                    /* of all documents: what a resume checks */
} lb_corpus;

/* Reads traces (eval/traces.h) of t's vocabulary; documents have at most max_tok tokens. LB_EFORMAT if a line is no
 * trace or nothing is left, saying what was left out and why. */
bool lb_corpus_load(lb_corpus *c, const lb_target *t, const char *path, int max_tok, lb_err *err);
void lb_corpus_free(lb_corpus *c);

/* One packed sequence: what a step trains on. */
typedef struct lb_packed {
    int n_tok, n_doc;
    int *ids;                        /* [n_tok] */
    int *begin;                      /* [n_doc+1]; the last is n_tok */
    int *doc;                        /* [n_doc] which of the corpus they are */
    int *target;                     /* [n_tok] the token that should follow; −1: none is asked for */
    int n_target;                    /* targets that are not −1 */
} lb_packed;

typedef struct lb_packer lb_packer;
typedef struct lb_pack_state { int64_t epoch, next; } lb_pack_state;

/* Packs of at most n_tok tokens. prompt_loss: the tokens of prompts are targets as well (but for the first). c is borrowed
 * and every document fits. */
lb_packer *lb_packer_open(const lb_corpus *c, int n_tok, bool prompt_loss, uint64_t seed, lb_err *err);
void lb_packer_close(lb_packer *p);
/* The next sequence; arrays are p's, good until the next call. Epochs follow one another without end. */
bool lb_packer_next(lb_packer *p, lb_packed *out, lb_err *err);
/* The one that the next call deals, and how to go on from there. */
lb_pack_state lb_packer_state(const lb_packer *p);
bool lb_packer_seek(lb_packer *p, lb_pack_state s, lb_err *err);
/* Sequences of the current epoch, and the share of their room that is filled. */
int lb_packer_count(const lb_packer *p, double *fill);
#endif
