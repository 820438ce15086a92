/* quant/quarot.c – folding Hadamard rotations into weights, and the ones that stay online. */
#include "quant/quarot.h"
#include "base/mem.h"
#include "base/rng.h"
#include "num/hadamard.h"
#include <math.h>
#include <stdlib.h>

static unsigned parts_of(const lb_quarot *o) { return o->parts ? o->parts : LB_QUAROT_ALL; }

/* ---- what exists ---- */

static bool check_order(const char *what, int n, const char *hint, lb_err *err)
{
    int m, p, odd = n;
    if (lb_hadamard_split(n, &m, &p)) return true;
    for (p = 0; odd > 0 && odd % 2 == 0; p++) odd /= 2;
    return lb_fail(err, LB_EUNSUPPORTED,
                   "QuaRot: no Hadamard matrix is known here of the order of %s, %d = %d·2^%d; %s", what, n, odd, p, hint);
}

/* The rows that down reads: of the dense MLP, of an expert, or both. */
static bool check_down(const lb_quarot *o, const char *what, int n, lb_err *err)
{
    int block = o->down_block ? o->down_block : n;
    if (block < 1 || n % block)
        return lb_fail(err, LB_EUSAGE, "QuaRot: blocks of %d columns do not divide %s, %d", block, what, n);
    if (block > LB_TRANSFORM_MAX)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "QuaRot: %s is %d, rotated online are at most %d; give a smaller block for R4", what, block,
                       LB_TRANSFORM_MAX);
    return check_order(what, block, "leave out R4 or give it a block that divides the row, a power of 2", err);
}

bool lb_quarot_check(const lb_config *c, const lb_quarot *o, lb_err *err)
{
    unsigned parts = parts_of(o);
    bool any_dense = c->n_expert == 0;
    for (int i = 0; i < c->n_layer; i++) any_dense |= !lb_config_is_moe_layer(c, i);
    if ((parts & LB_QUAROT_R1) && c->d_model > LB_TRANSFORM_MAX)
        return lb_fail(err, LB_EUNSUPPORTED, "QuaRot: d_model is %d, wanted at most %d", c->d_model, LB_TRANSFORM_MAX);
    if ((parts & LB_QUAROT_R1) && !check_order("d_model", c->d_model, "leave out R1", err)) return false;
    if ((parts & (LB_QUAROT_R2 | LB_QUAROT_R3)) && !check_order("d_head", c->d_head, "leave out R2 and R3", err))
        return false;
    if ((parts & LB_QUAROT_HEADS) &&
        !check_order("the number of heads", c->n_head, "leave out the rotation across heads", err))
        return false;
    if (!(parts & LB_QUAROT_R4)) return true;
    if (any_dense && !check_down(o, "d_ff", c->d_ff, err)) return false;
    return c->n_expert == 0 || check_down(o, "d_expert", c->d_expert, err);
}

/* ---- rotating matrices, shared among threads ---- */

typedef struct turn {
    float *w;                    /* [n_row, n] rows to turn, or [n, n_col] columns */
    int n, n_col;
    size_t ld;
    const float *sign, *gain;    /* [n] or NULL */
} turn;

static void turn_some_rows(void *arg, int r0, int r1)
{
    const turn *t = arg;
    float *w = t->w + (size_t)r0 * (size_t)t->n;
    for (int r = 0; r < r1 - r0; r++)
        for (int j = 0; j < t->n; j++) {
            float *v = w + (size_t)r * (size_t)t->n + j;
            if (t->gain) *v *= t->gain[j];
            if (t->sign) *v *= t->sign[j];
        }
    lb_hadamard_rows(w, r1 - r0, t->n);
}

/* Each row of n: times gain, times sign, then T. */
static void turn_rows(float *w, int n_row, int n, const float *gain, const float *sign, lb_exec *ex)
{
    turn t = {.w = w, .n = n, .sign = sign, .gain = gain};
    lb_parallel(ex, n_row, n > 16384 ? 1 : 16384 / n, turn_some_rows, &t);
}

static void turn_some_cols(void *arg, int c0, int c1)
{
    const turn *t = arg;
    for (int i = 0; t->sign && i < t->n; i++)
        for (int c = c0; c < c1; c++) t->w[(size_t)i * t->ld + (size_t)c] *= t->sign[i];
    lb_hadamard_cols(t->w + c0, t->n, c1 - c0, t->ld);
}

/* W = T·D·W for W [n, n_col]. */
static void turn_cols(float *w, int n, int n_col, const float *sign, lb_exec *ex)
{
    turn t = {.w = w, .n = n, .n_col = n_col, .ld = (size_t)n_col, .sign = sign};
    lb_parallel(ex, n_col, 64, turn_some_cols, &t);
}

/* ---- R1 ---- */

static void signs(float *sign, int n, uint64_t seed)
{
    lb_rng_key key = lb_rng_key_of(seed, 1, 0);
    for (int i = 0; i < n; i++) {
        uint32_t w[4];
        lb_rng_block(key, (uint64_t)i, w);
        sign[i] = w[0] & 1 ? -1 : 1;
    }
}

void lb_quarot_rows(const lb_config *c, const lb_quarot *o, float *rows, int n_row, const float *gain, lb_exec *ex)
{
    int d = c->d_model;
    if (!(parts_of(o) & LB_QUAROT_R1)) {
        for (size_t i = 0; gain && i < (size_t)n_row * (size_t)d; i++) rows[i] *= gain[i % (size_t)d];
        return;
    }
    float sign[LB_TRANSFORM_MAX];
    signs(sign, d, o->seed);
    turn_rows(rows, n_row, d, gain, sign, ex);
}

static void read_rotated(lb_qlinear *l, const float *sign, lb_exec *ex) { turn_rows(l->w, l->n, l->k, NULL, sign, ex); }
static void write_rotated(lb_qlinear *l, const float *sign, lb_exec *ex)
{
    turn_cols(l->w, l->n, l->k, sign, ex);
    if (l->bias) turn_cols(l->bias, l->n, 1, sign, ex);
}

static void rotate_stream(lb_qblock *b, const float *sign, lb_exec *ex)
{
    lb_qlinear *readers[] = {&b->q, &b->k, &b->v, &b->gate, &b->up, &b->router};
    lb_qblock_fold_norms(b);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (readers[i]->name) read_rotated(readers[i], sign, ex);
    write_rotated(&b->o, sign, ex);
    if (!b->experts) write_rotated(&b->down, sign, ex);
    for (int e = 0; e < b->n_expert; e++) {
        read_rotated(&b->experts[e].gate, sign, ex);
        read_rotated(&b->experts[e].up, sign, ex);
        write_rotated(&b->experts[e].down, sign, ex);
    }
}

/* ---- the others ---- */

/* R2: the heads of v and its bias, and what o reads from them. */
static void rotate_values(lb_qblock *b, lb_exec *ex)
{
    const lb_config *c = b->cfg;
    int d = c->d_head;
    for (int h = 0; h < c->n_kv; h++) {
        turn_cols(b->v.w + (size_t)h * (size_t)d * (size_t)b->v.k, d, b->v.k, NULL, ex);
        if (b->v.bias) turn_cols(b->v.bias + h * d, d, 1, NULL, ex);
    }
    turn_rows(b->o.w, b->o.n * c->n_head, d, NULL, NULL, ex);
}

static void turn_some_heads(void *arg, int r0, int r1)
{
    const turn *t = arg;
    for (int r = r0; r < r1; r++) lb_hadamard_cols(t->w + (size_t)r * t->ld, t->n, t->n_col, (size_t)t->n_col);
}

/* HEADS: Y = Aᵀ·X with Aᵀ = T_n_head on X[n_head, d_head]; each row of o turns the same way. */
static bool rotate_across_heads(lb_qblock *b, lb_exec *ex, lb_err *err)
{
    const lb_config *c = b->cfg;
    int n = c->n_head, d = c->d_head;
    float *a = lb_qblock_keep(b, (size_t)n * (size_t)n, "a rotation across heads", err);
    if (!a) return false;
    for (int i = 0; i < n; i++) a[i * n + i] = 1;
    lb_hadamard_rows(a, n, n); /* row i of I becomes T·eᵢ, column i of T: a is Tᵀ */
    turn t = {.w = b->o.w, .n = n, .n_col = d, .ld = (size_t)b->o.k};
    lb_parallel(ex, b->o.n, 16, turn_some_heads, &t);
    b->in[LB_SITE_O] = (lb_transform){.kind = LB_TRANSFORM_KRON, .k = n * d, .na = n, .nb = d, .a = a};
    return true;
}

/* An online T over blocks of a row of k; 0: the whole row. */
static bool hadamard_transform(lb_qblock *b, lb_site site, int k, int block, lb_err *err)
{
    lb_transform *t = &b->in[site];
    int p;
    *t = (lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = k, .block = block ? block : k};
    lb_hadamard_split(t->block, &t->m, &p);
    if (t->m == 1) return true;
    float *had = lb_qblock_keep(b, (size_t)t->m * (size_t)t->m, "a Hadamard matrix", err);
    if (had) lb_hadamard_dense(t->m, had);
    t->had = had;
    return had != NULL;
}

static bool rotate_down(lb_qblock *b, const lb_quarot *o, lb_exec *ex, lb_err *err)
{
    int k = b->experts ? b->cfg->d_expert : b->cfg->d_ff, block = o->down_block ? o->down_block : k;
    if (!b->experts) turn_rows(b->down.w, b->down.n * (k / block), block, NULL, NULL, ex);
    for (int e = 0; e < b->n_expert; e++)
        turn_rows(b->experts[e].down.w, b->experts[e].down.n * (k / block), block, NULL, NULL, ex);
    return hadamard_transform(b, LB_SITE_DOWN, k, block, err);
}

bool lb_quarot_block(lb_qblock *b, const lb_quarot *o, lb_exec *ex, lb_err *err)
{
    const lb_config *c = b->cfg;
    unsigned parts = parts_of(o);
    if (!lb_quarot_check(c, o, err)) return false;
    if (parts & LB_QUAROT_R1) {
        float *sign = lb_alloc((size_t)c->d_model, sizeof *sign, "QuaRot's signs", err);
        if (!sign) return false;
        signs(sign, c->d_model, o->seed);
        rotate_stream(b, sign, ex);
        free(sign);
    }
    if (parts & LB_QUAROT_R2) rotate_values(b, ex);
    return (!(parts & LB_QUAROT_HEADS) || rotate_across_heads(b, ex, err)) &&
           (!(parts & LB_QUAROT_R3) || (hadamard_transform(b, LB_SITE_Q_ROPE, c->d_head, 0, err) &&
                                        hadamard_transform(b, LB_SITE_K_ROPE, c->d_head, 0, err))) &&
           (!(parts & LB_QUAROT_R4) || rotate_down(b, o, ex, err));
}
