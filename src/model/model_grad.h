/* model/model_grad.h – a whole model on the tape: f32 master weights, packed documents, every block a checkpoint.
 *
 *     lb_model_grad *m = lb_model_grad_open(dir, ex, &(lb_model_grad_opt){.train = LB_TRAIN_ALL}, &err);
 *     for (size_t i = 0; i < lb_model_grad_count(m); i++) … lb_optim_add(o, lb_model_grad_tensor(m, i)->p, …)
 *     …
 *     lb_model_grad_loss(m, &docs, &loss, &sums, &err)       forward, loss and the way back of one (micro-)batch
 *     lb_optim_step(o, …)
 *
 * Weights are copied from a model folder as f32, whatever format they are stored in; transforms and activation
 * quantizers that a folder asks for are an error, not dropped: train a float model and put quantizers in by hooks. A
 * tied head is the embedding: one tensor, one gradient. Results are the same bits for any number of threads, with and
 * without checkpoints; those of a document (hidden states, log-probabilities) also for any packing. */
#ifndef LB_MODEL_MODEL_GRAD_H
#define LB_MODEL_MODEL_GRAD_H
#include "model/block_grad.h"
#include "model/vocab_loss.h"

enum {                               /* which tensors are trained */
    LB_TRAIN_LINEARS = 1 << 0,       /* weights of the blocks' linear layers, experts' too */
    LB_TRAIN_BIASES = 1 << 1,
    LB_TRAIN_NORMS = 1 << 2,         /* of blocks, queries and keys, and the final one */
    LB_TRAIN_ROUTERS = 1 << 3,
    LB_TRAIN_EMBED = 1 << 4,         /* with a tied head: both */
    LB_TRAIN_HEAD = 1 << 5,          /* of its own; without effect if tied */
    LB_TRAIN_BLOCKS = LB_TRAIN_LINEARS | LB_TRAIN_BIASES | LB_TRAIN_NORMS | LB_TRAIN_ROUTERS,
    LB_TRAIN_ALL = LB_TRAIN_BLOCKS | LB_TRAIN_EMBED | LB_TRAIN_HEAD,
};

typedef struct lb_model_grad_opt {   /* zero means default in every field */
    unsigned train;                  /* LB_TRAIN_…; 0: nothing, for a teacher or a reference */
    lb_compute compute;              /* of linear layers and the head: f32, or less (kern/gemm.h) */
    bool keep;                       /* keep all activations of a step instead of making each block a checkpoint */
    size_t max_bytes;                /* of a step on the tape; 0: no limit */
    int d_teacher;                   /* width of a teacher's hidden states; 0: no teacher of that kind */
} lb_model_grad_opt;

/* One tensor of the model. */
typedef struct lb_model_tensor {
    const char *name;                /* as in the model's files: "model.layers.0.self_attn.q_proj.weight" */
    lb_param *p;                     /* p->d NULL: frozen; vectors are [1,n] */
    int layer;                       /* −1: outside the blocks */
    unsigned kind;                   /* the LB_TRAIN_ flag that it belongs to */
    bool vector;                     /* has rank 1 in the files */
} lb_model_tensor;

typedef struct lb_model_grad lb_model_grad;
lb_model_grad *lb_model_grad_open(const char *dir, lb_exec *ex, const lb_model_grad_opt *opt, lb_err *err);
/* The same with weights drawn anew, for training from scratch: linear layers, embedding and head N(0, std²), norms 1,
 * biases 0; a function of the seed and the tensor's name. cfg is borrowed until close. std 0 means 0.02. */
lb_model_grad *lb_model_grad_new(const lb_config *cfg, lb_exec *ex, const lb_model_grad_opt *opt, uint64_t seed,
                                 float std, lb_err *err);
void lb_model_grad_close(lb_model_grad *m);      /* NULL is fine */

const lb_config *lb_model_grad_config(const lb_model_grad *m);
lb_grad *lb_model_grad_tape(lb_model_grad *m);
/* All tensors in a fixed order (embedding, blocks, final norm, head); owned by m. */
size_t lb_model_grad_count(const lb_model_grad *m);
const lb_model_tensor *lb_model_grad_tensor(const lb_model_grad *m, size_t i);
/* A linear layer's weight; expert −1 in a dense layer. NULL if there is none. */
lb_param *lb_model_grad_linear(const lb_model_grad *m, int layer, int expert, lb_block_linear which);
/* What is done to block `layer` from now on (a copy is kept, arg is borrowed); NULL: nothing. Hooks run twice in a step
 * with checkpoints, and put all that they need on the tape that they are given. Parameters of their own may be frozen
 * or trained. */
void lb_model_grad_hook(lb_model_grad *m, int layer, const lb_block_hooks *hooks);

/* Documents one after another, each attending to itself only. */
typedef struct lb_docs {
    int n_tok, n_doc;
    const int *ids;                  /* [n_tok] host */
    const int *begin;                /* [n_doc+1] host: document s is tokens begin[s] … begin[s+1]; none is empty */
} lb_docs;

/* Resets the tape and runs the model forward: hidden states [n_tok, d_model] after the final norm, good until the next
 * call. NULL with LB_EUSAGE naming the position for an id outside the vocabulary, or the document for one longer than
 * the context. The way back from them: lb_grad_backward_from on the tape. */
lb_var *lb_model_grad_hidden(lb_model_grad *m, const lb_docs *docs, lb_err *err);
/* The same without any way back, in the memory of one block and two rows of hidden states: out [n_tok, d_model] device.
 * */
bool lb_model_grad_infer(lb_model_grad *m, const lb_docs *docs, float *out, lb_err *err);
/* The head [n_vocab, d_model] as a linear layer (f32): what lb_teacher and lb_linear_run read. Borrowed from m. */
const lb_linear *lb_model_grad_head(const lb_model_grad *m);

/* lb_model_grad_hidden, lb_vocab_loss_run with a's n_tok, h, head, dh and dhead filled in, and the way back: gradients
 * are added to every trained tensor (and to the hooks' parameters). An error leaves gradients as rubbish: clear them.
 * */
bool lb_model_grad_loss(lb_model_grad *m, const lb_docs *docs, const lb_vocab_loss *a, lb_vocab_sums *out, lb_err *err);
/* Where numbers stopped being finite, after a loss or a gradient that is not: LB_ENUMERIC naming the first tensor whose
 * weights hold a NaN or an infinity, else the first block whose output does, else the first tensor whose gradient does;
 * true if there is none. lb_model_grad_loss says it by itself. Runs the model without a way back; docs NULL: tensors
 * only. */
bool lb_model_grad_finite(lb_model_grad *m, const lb_docs *docs, lb_err *err);
/* Loss and rows only: no gradients are computed or touched. */
bool lb_model_grad_measure(lb_model_grad *m, const lb_docs *docs, const lb_vocab_loss *a, lb_vocab_sums *out,
                           lb_err *err);

/* Memory of training, in bytes, before anything is loaded. */
typedef struct lb_model_plan {
    size_t weights, gradients;       /* of the model; hooks' parameters are the caller's */
    size_t moments;                  /* of AdamW */
    size_t tape;                     /* of a step: values and gradients of activations, the block in work included */
    size_t loss;                     /* chunk of the vocabulary, hidden gradients, scratch */
    size_t total;
} lb_model_plan;
/* A step of lb_model_grad_loss over docs of the given lengths (begin), counted by a dry run: within 10 % of what is
 * then held. hooks: as every block will have, or NULL; called with a dry tape. */
bool lb_model_grad_bytes(const lb_config *cfg, lb_exec *ex, const lb_model_grad_opt *opt, int n_doc, const int *begin,
                         const lb_block_hooks *hooks, lb_model_plan *out, lb_err *err);
/* What m holds now, in the same parts (moments 0). */
void lb_model_grad_held(const lb_model_grad *m, lb_model_plan *out);
#endif
