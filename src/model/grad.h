/* model/grad.h – a tape: operators run forward as they are called, and backward in the opposite order.
 *
 * Every tensor is a matrix of f32 [n,k] on the device; vectors are [1,k], scalars [1,1], activations [n_tok, width]
 * with the sequences of a batch one after another. A call computes its result at once and remembers how to go back:
 *
 *     lb_var *y = lb_grad_linear(g, lb_grad_const(g, x, n_tok, k), lb_grad_param(g, &w), NULL);
 *     lb_var *loss = lb_grad_mse(g, y, lb_grad_const(g, target, n_tok, n));
 *     if (!lb_grad_backward(g, loss, &err)) …;          (w.d has grown by dloss/dw)
 *     lb_grad_reset(g);
 *
 * Errors stick: a call that fails (shapes, memory) returns NULL, a call given NULL returns NULL, and lb_grad_ok or
 * lb_grad_backward says what was wrong first. Memory of a step (values, and gradients while they are in use) comes from
 * blocks that the tape keeps; lb_grad_reset releases everything of a step at once, variables too. Only variables that
 * lead to a parameter get gradients. Results do not depend on the number of threads. One thread drives a tape.
 *
 * A dry tape (lb_grad_open_dry) is called in the same way, touches no numbers and has no memory for any: it counts what
 * the same calls take of a real one. Values of its variables must not be read.
 *
 * Rounding is differentiated by the straight-through estimator: round has derivative 1, clamp 1 inside and 0
 * outside. */
#ifndef LB_MODEL_GRAD_H
#define LB_MODEL_GRAD_H
#include "kern/exec.h"
#include "kern/gemm.h"
#include "num/dtype.h"

typedef struct lb_grad lb_grad;

/* A tensor on the tape; lives until lb_grad_reset. Read v after the call that made it (CPU: host memory; else by
 * lb_exec_get). */
typedef struct lb_var {
    float *v;                    /* [n,k] row-major */
    float *d;                    /* its gradient during backward; NULL before, after, and if it needs none */
    int n, k;
    bool need;                   /* leads to a parameter */
} lb_var;

/* What is trained: lives as long as its owner wants. Gradients add up in d until somebody clears them (lb_optim_step
 * does). Without d it is frozen: a constant on the tape. */
typedef struct lb_param {
    float *v, *d;                /* [n,k] device memory, owned; d NULL: frozen */
    int n, k;
} lb_param;
bool lb_param_init(lb_param *p, lb_exec *ex, int n, int k, const char *what, lb_err *err);  /* zeros */
void lb_param_free(lb_param *p, lb_exec *ex);    /* a zeroed one is fine */
/* LB_ENUMERIC saying where its values, or its gradient, have the first number that is none; `name` is what it is called. */
bool lb_param_finite(const lb_param *p, bool gradient, const char *name, lb_exec *ex, lb_err *err);

/* max_bytes: most memory of a step, 0 for no limit. LB_EUNSUPPORTED on a device without backward operators. */
lb_grad *lb_grad_open(lb_exec *ex, size_t max_bytes, lb_err *err);
lb_grad *lb_grad_open_dry(lb_exec *ex, lb_err *err);
bool lb_grad_is_dry(const lb_grad *g);
/* How linear layers multiply from now on, forward and back (kern/gemm.h); f32 at first. Everything else stays f32:
 * norms, attention, transforms, and what quantizers see. */
void lb_grad_compute(lb_grad *g, lb_compute compute);
void lb_grad_close(lb_grad *g);                  /* NULL is fine */
void lb_grad_reset(lb_grad *g);
size_t lb_grad_bytes(const lb_grad *g);          /* memory held, also for checkpoints: the largest step so far */
size_t lb_grad_scratch(const lb_grad *g);        /* most scratch of the exec that an operator has wanted so far */
lb_exec *lb_grad_exec(const lb_grad *g);
bool lb_grad_ok(const lb_grad *g, lb_err *err);  /* false with the first error since the last reset */
/* Goes back from loss [1,1] with dloss = 1. Parameters' gradients are added to. */
bool lb_grad_backward(lb_grad *g, lb_var *loss, lb_err *err);
/* Goes back from y with dy [n,k], device memory that is only read: for losses that are computed beside the tape
 * (model/vocab_loss.h). */
bool lb_grad_backward_from(lb_grad *g, lb_var *y, const float *dy, lb_err *err);
float lb_grad_scalar(lb_grad *g, const lb_var *x);   /* value of a [1,1]; NaN for NULL */

/* ---- leaves and shapes ---- */
lb_var *lb_grad_const(lb_grad *g, const float *v, int n, int k);   /* device memory, borrowed until reset */
lb_var *lb_grad_param(lb_grad *g, lb_param *p);                    /* the same parameter twice is fine */
lb_var *lb_grad_view(lb_grad *g, lb_var *x, int n, int k);         /* the same n·k numbers in another shape */
lb_var *lb_grad_detach(lb_grad *g, lb_var *x);                     /* the same numbers, no way back */

/* y = fn(arg, tape, x) of which only y is kept: what fn computes on the way is computed again when the way back comes
 * to y, to the same bits, so that gradients are those of fn(arg, g, x) on g itself. fn puts everything else that it
 * reads on the tape it is given (parameters, constants), does the same every time, and makes no checkpoints of its own.
 * arg is borrowed until the way back is over. The memory of one call at a time is held. Source: arXiv:1604.06174. */
typedef lb_var *(*lb_grad_fn)(void *arg, lb_grad *g, lb_var *x);
lb_var *lb_grad_checkpoint(lb_grad *g, lb_grad_fn fn, void *arg, lb_var *x);

/* y[t] = e[ids[t]], e [n_vocab, d]; ids [n] host, copied. LB_EUSAGE naming the first position whose id is outside.
 * Back: de[i] += Σ dy[t] over the t with ids[t] = i, in order of t, in double. */
lb_var *lb_grad_embed(lb_grad *g, lb_var *e, const int *ids, int n);

/* ---- linear algebra ---- */
/* y[T,N] = x[T,K] · w[N,K]ᵀ + b[1,N]; b may be NULL. */
lb_var *lb_grad_linear(lb_grad *g, lb_var *x, lb_var *w, lb_var *b);
/* Each row as X[na,nb] (na·nb = x->k): Y = Aᵀ · X · B. a [na,na], b [nb,nb]; one of them may be NULL: identity.
 * On activations with P1, P2 and on the rows of a weight with their inverse transposes this leaves x·wᵀ unchanged. With
 * a view it mixes rows too: W[h·m, k] as [h, m·k] with a = P gives PᵀW for each block of m rows. */
lb_var *lb_grad_kron(lb_grad *g, lb_var *x, lb_var *a, lb_var *b);
/* p⁻¹, or p⁻ᵀ; p [n,n], LU with partial pivoting in double. LB_ENUMERIC if p is singular. dP = −P⁻ᵀ·dP⁻¹·P⁻ᵀ. */
lb_var *lb_grad_inverse(lb_grad *g, lb_var *p, bool transpose);

/* ---- element by element ---- */
lb_var *lb_grad_add(lb_grad *g, lb_var *a, lb_var *b);
/* Columns times s[1,k] (or divided by it): x[n, j·k] in rows of k. */
lb_var *lb_grad_scale(lb_grad *g, lb_var *x, lb_var *s, bool divide);
lb_var *lb_grad_swiglu(lb_grad *g, lb_var *gate, lb_var *up);      /* silu(gate)·up */
/* Rows of w->k numbers (whole rows, or heads): x/sqrt(mean x² + eps)·w. */
lb_var *lb_grad_rmsnorm(lb_grad *g, lb_var *x, lb_var *w, float eps);

/* ---- attention ---- */
/* How the rows of q, k, v are sequences: n_seq independent ones, one after another, positions from 0 in each. All have
 * len tokens, or sequence s is the rows begin[s] … begin[s+1] (packed documents). A row's result does not depend, to
 * the bit, on which other sequences there are. */
typedef struct lb_grad_heads {
    int n_seq, len, n_head, n_kv, d_head;
    const int *begin;            /* [n_seq+1] host, copied; begin[0] = 0, rising; NULL: len */
    const float *inv_freq;       /* [d_head/2] device, borrowed until reset */
    float mscale;                /* yarn's factor on cos and sin; 1 otherwise */
} lb_grad_heads;
lb_var *lb_grad_rope(lb_grad *g, lb_var *x, const lb_grad_heads *h);   /* x [tokens, any number of heads·d_head] */
/* softmax(q·kᵀ/√d_head + causal) · v; query head i reads kv head i/(n_head/n_kv). Probabilities are never stored. */
lb_var *lb_grad_attn(lb_grad *g, lb_var *q, lb_var *k, lb_var *v, const lb_grad_heads *h);

/* ---- experts ----
 * Which `used` of n_expert experts each token goes to, and with what weight: the largest of p = softmax(logits) (ties:
 * the lower number), with `norm` divided by their sum. Rows of experts stand in order of expert, then token; an expert
 * may have none. Lives until reset. The choice itself has no gradient. Back, over a token's chosen u with weights w:
 *     norm: dlogit_u = w_u·(dw_u − Σ w·dw)            else: dlogit_e = p_e·(dw_e·[e chosen] − Σ_chosen p·dw) */
typedef struct lb_route {
    int n_tok, n_expert, used;
    const int *begin;            /* [n_expert+1] host: rows begin[e] … begin[e+1] are expert e's */
    const int *token;            /* [n_tok·used] device: which token a row is */
    const int *slot;             /* [n_tok·used] device: which row the u-th of a token's experts is, in order of expert */
    lb_var *weight;              /* [n_tok·used, 1]: of each row */
} lb_route;
const lb_route *lb_grad_route(lb_grad *g, lb_var *logits, int used, bool norm);
/* rows [n_tok·used, d] of x [n_tok, d]; the way back adds a token's rows up in order of expert. */
lb_var *lb_grad_dispatch(lb_grad *g, lb_var *x, const lb_route *r);
/* y[rows of e] = x[rows of e] · w[e]ᵀ; w: n_expert matrices of one shape; the array is copied. */
lb_var *lb_grad_expert_linear(lb_grad *g, lb_var *x, lb_var *const *w, const lb_route *r);
/* y[t] = Σ weight·x over the rows of token t, in order of expert. */
lb_var *lb_grad_collect(lb_grad *g, lb_var *x, const lb_route *r);

/* ---- fake quantization ----
 * Activations, K and V, asymmetric per row of `len` numbers (0: whole rows; d_head: per token and head):
 *     hi = σ(c_hi)·max(0, max x)    lo = σ(c_lo)·min(0, min x)    s = (hi−lo)/(2^b−1)    z = round(−lo/s)
 *     r = round(x/s)    q = clamp(r+z, 0, 2^b−1)    y = s·(q−z)
 * c_hi, c_lo [1,m]: row i uses element i mod m (m = 1, or heads). NULL: clip_hi, clip_lo instead of σ(·), where 0 means
 * 1. The same rounding as lb_act_fake_quant, to the bit. Backward, with inside: 0 ≤ r+z ≤ 2^b−1:
 *     dx  = Σ dy·[inside]                          plus, at the places of max and min, dhi·σ(c_hi) and dlo·σ(c_lo)
 *     ds  = Σ dy·([inside]·(r − x/s) + [outside]·(q−z))                        dz = −s·Σ dy·[outside]
 *     ds' = ds + dz·lo/s²    dhi = ds'/(2^b−1)    dlo = −ds'/(2^b−1) − dz/s
 *     dc_hi = dhi·max(0, max x)·σ'(c_hi)    dc_lo = dlo·min(0, min x)·σ'(c_lo) */
typedef struct lb_act_fq {
    int bits, len;
    bool kv;                     /* keys and values: s as f16, rounded up, which is what the cache holds */
    float clip_hi, clip_lo;
    lb_var *c_hi, *c_lo;
} lb_act_fq;
lb_var *lb_grad_act_fq(lb_grad *g, lb_var *x, const lb_act_fq *q);

/* Weights w [n,k] in groups of `group` columns (0: whole rows), with clips c_hi, c_lo [n, k/group] or NULL (full
 * range):
 *     hi, lo as above;   symmetric: s = max(hi, −lo)/(2^(b−1)−1), codes −2^(b−1)…2^(b−1)−1, z = 0
 *     asymmetric: as above
 * The scale is rounded to scale_type before it is used (derivative 1). Backward as above; symmetric: the larger of hi
 * and −lo gets ds/(2^(b−1)−1). half: 2 bits, s = max(hi, −lo)/2 and the levels below. */
typedef struct lb_weight_fq {
    int bits, group;
    bool sym, half;
    lb_dtype scale_type;         /* LB_F32, LB_BF16 or LB_F16: what the packed weights will hold */
    lb_var *c_hi, *c_lo;
} lb_weight_fq;
lb_var *lb_grad_weight_fq(lb_grad *g, lb_var *w, const lb_weight_fq *q);

/* Weights on a grid that is given: scale, zero [n, k/group], zero points whole numbers (symmetric: 2^(b−1)):
 *     q = clamp(round(w/s) + z, 0, 2^b−1)      y = s·(q − z)      s = scale, rounded to scale_type
 * Backward: dw as above; ds = Σ dy·(inside ? r − w/s : q − z) (LSQ, arXiv:1902.08153, but for its factor, to which AdamW is
 * indifferent); dz = −s·Σ dy·[outside].
 *
 * half: 2 bits on the balanced grid, the stretched elastic quantizer of ParetoQ (arXiv:2502.02631) with α = 2s:
 *     q = clamp(round(w/s − ½) + 2, 0, 3)      y = s·(q − 1½)      inside: |w| ≤ 0.99·α
 *     dw = dy·[inside]                         ds = Σ dy·(q − 1½ − [inside]·w/s)
 * The paper has α for 0.99·α, its authors' code this: so that the largest weight of a group, which α is at first, does
 * not count as inside. */
typedef struct lb_weight_grid {
    int bits, group;
    bool half;
    lb_dtype scale_type;
    lb_var *scale, *zero;        /* half: zero is NULL */
} lb_weight_grid;
lb_var *lb_grad_weight_grid(lb_grad *g, lb_var *w, const lb_weight_grid *q);

/* SignRound (arXiv:2309.05516): the same with learned offsets v [n,k] before rounding and range factors a, b [n,
 * k/group] (either may be NULL: 0, 1, 1):
 *     asymmetric: s = (a·max(0,max w) − b·min(0,min w))/(2^b−1)    z = round(−b·min(0,min w)/s)
 *     symmetric:  s = max(a·max(0,max w), −b·min(0,min w))/(2^(b−1)−1)    z = 0
 *     r = round(w/s + v)
 * Backward: dv = s·dy·[inside]; ds has r − w/s inside, as above. w itself gets a gradient if it needs one. */
typedef struct lb_signround {
    int bits, group;
    bool sym;
    lb_dtype scale_type;
    lb_var *v, *a, *b;
} lb_signround;
lb_var *lb_grad_signround(lb_grad *g, lb_var *w, const lb_signround *q);

/* ---- losses: [1,1] ---- */
lb_var *lb_grad_mse(lb_grad *g, lb_var *y, lb_var *t);   /* mean (y−t)², summed in double; t gets no gradient */
lb_var *lb_grad_normalize(lb_grad *g, lb_var *x);        /* x/sg(x) = 1, whatever the magnitude of x; 0 stays 0 */
#endif
