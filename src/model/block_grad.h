/* model/block_grad.h – a transformer block on the tape: the same block as model/forward.c, differentiable, with places
 * where a client puts transforms and quantizers.
 *
 *     h = x + o( attn( rope(norm(q)), rope(norm(k)), v ) )      y = h + down( silu(gate) · up )
 *     with experts:   y = h + Σ_e weight_e · down_e( silu(gate_e) · up_e ),   weight from the router (lb_grad_route)
 *
 * Any architecture of archs.def (query/key norms, biases and experts where the model has them). Sequences of a batch
 * are independent and start at position 0. */
#ifndef LB_MODEL_BLOCK_GRAD_H
#define LB_MODEL_BLOCK_GRAD_H
#include "model/grad.h"
#include "model/model.h"

typedef enum lb_block_linear { /* the block's linear layers */
    LB_BLOCK_Q, LB_BLOCK_K, LB_BLOCK_V, LB_BLOCK_O, LB_BLOCK_GATE, LB_BLOCK_UP, LB_BLOCK_DOWN, LB_BLOCK_LINEARS
} lb_block_linear;
typedef enum lb_block_input { /* and what they read: q, k, v share one, gate and up share one */
    LB_BLOCK_IN_QKV, LB_BLOCK_IN_O, LB_BLOCK_IN_GATE_UP, LB_BLOCK_IN_DOWN, LB_BLOCK_INPUTS
} lb_block_input;
typedef enum lb_block_head { LB_BLOCK_HEAD_Q, LB_BLOCK_HEAD_K, LB_BLOCK_HEAD_V } lb_block_head;

/* Float weights of one block, device memory. */
typedef struct lb_block_weights {
    float *w[LB_BLOCK_LINEARS];      /* [n,k] */
    float *bias[LB_BLOCK_LINEARS];   /* [n], or NULL */
    float *attn_norm, *mlp_norm;     /* [d_model] */
    float *q_norm, *k_norm;          /* [d_head], or NULL */
} lb_block_weights;
/* Copies layer `layer` of a model (any number format) as f32: weights as they are stored, without the transforms and
 * activation quantizers that its linear layers may have. LB_EUNSUPPORTED for a layer with experts. */
bool lb_block_weights_load(lb_block_weights *b, const lb_model *m, int layer, lb_err *err);
void lb_block_weights_free(lb_block_weights *b, lb_exec *ex);
/* Copies n floats, or a matrix of any number format as f32 (its transform and activation quantizer left aside), to
 * device memory `out`. */
bool lb_floats_copy(lb_exec *ex, const float *from, size_t n, float *out, lb_err *err);
bool lb_mat_floats(lb_exec *ex, const lb_mat *m, float *out, lb_err *err);
/* Rows and columns of a linear layer. */
void lb_block_shape(const lb_config *c, lb_block_linear which, int *n, int *k);

/* Each may be NULL (nothing replaced); each returns or writes variables of the same shape as it got, or NULL when the
 * tape has failed. */
typedef struct lb_block_hooks {
    void *arg;
    /* The input of linear layers: called once for each lb_block_input. */
    lb_var *(*input)(void *arg, lb_grad *g, lb_block_input which, lb_var *x);
    /* Weight and bias (*bias is NULL if there is none) of a linear layer. */
    void (*weight)(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias);
    /* Queries and keys after RoPE, values: [n_tok, heads·d_head], right before attention. */
    lb_var *(*head)(void *arg, lb_grad *g, lb_block_head which, lb_var *x);
    /* Weight of an expert's linear layer (LB_BLOCK_GATE, UP, DOWN), as `weight`; the inputs of experts go through
     * `input` as [n_tok·used, k]: GATE_UP after they were dealt out, DOWN of all experts at once. */
    void (*expert)(void *arg, lb_grad *g, int expert, lb_block_linear which, lb_var **w);
} lb_block_hooks;

typedef struct lb_block_grad {
    const lb_config *cfg;            /* borrowed */
    const float *inv_freq;           /* [d_head/2] device, borrowed (lb_model has it) */
    const lb_block_weights *weights; /* borrowed; constants on the tape unless a parameter below replaces them; NULL: the
                                        parameters are all there is */
    lb_param *params[LB_BLOCK_LINEARS];      /* trains this weight instead of weights->w; NULL: constant */
    lb_param *attn_norm, *mlp_norm;  /* likewise, [1,d_model] */
    lb_param *bias[LB_BLOCK_LINEARS];        /* [1,n] */
    lb_param *q_norm, *k_norm;       /* [1,d_head] */
    lb_param *router;                /* [n_expert, d_model]: makes it an expert layer, which has no GATE, UP, DOWN above */
    lb_param *const (*experts)[3];   /* [n_expert] gate, up [d_expert, d_model], down [d_model, d_expert] */
} lb_block_grad;

/* y [n_seq·len, d_model] = block(x). x on the tape: constants, or an earlier block's output. */
lb_var *lb_block_grad_run(const lb_block_grad *b, lb_grad *g, lb_var *x, int n_seq, int len,
                          const lb_block_hooks *hooks);
/* The same for packed documents: document s is the rows begin[s] … begin[s+1] of x; begin [n_seq+1] host. */
lb_var *lb_block_grad_packed(const lb_block_grad *b, lb_grad *g, lb_var *x, int n_seq, const int *begin,
                             const lb_block_hooks *hooks);
#endif
