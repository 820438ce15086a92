/* quant/layer.c – from the float weights of a block to its file.
 *
 * With a solver that wants moments of the inputs, the linears of a block are solved in the order in which they run, and each
 * stage sees what the quantized ones before it give:
 *
 *     norm(x) → H  q, k, v | attention → H  o | x += o, norm → H  gate, up | act → H  down | x += down
 *
 * Between the stages the rows wait in r->wide, so each linear runs once over the calibration tokens. Activations are not
 * quantized while calibrating (as in the study's code: H of unquantized activations). */
#include "quant/layer.h"
#include "base/mem.h"
#include "kern/gram.h"
#include "quant/recon.h"
#include "store/ct_fp4.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer_work {
    lb_quant_run *r;
    lb_qblock b;
    lb_layer *l;                 /* the model's, bound to b, then to codes */
    int layer;
    lb_parts parts;
    json_t *record;              /* {"modules": [...]} */
    lb_blocks packed;            /* codes in the form that runs */
    bool transformed;            /* weights are not the file's any more */
} layer_work;

lb_hash lb_qmat_hash(const lb_qmat *q)
{
    size_t n = (size_t)q->n * (size_t)q->k, g = (size_t)q->n * (size_t)lb_n_group(q->k, q->group);
    lb_hash h = lb_hash_of(q->codes, n);
    h = lb_hash_bytes(q->scales, g * sizeof *q->scales, h);
    return lb_hash_bytes(q->zeros, g, h);
}

double lb_qmat_error(const lb_qmat *q, const float *w)
{
    int n_group = lb_n_group(q->k, q->group);
    double e = 0, all = 0;
    for (int r = 0; r < q->n; r++) {
        for (int k = 0; k < q->k; k++) {
            size_t i = (size_t)r * (size_t)q->k + (size_t)k, g = (size_t)r * (size_t)n_group + (size_t)(k / q->group);
            double d = (double)lb_int_value(q->scales[g], q->codes[i], q->zeros[g], q->half) - (double)w[i];
            e += d * d;
            all += (double)w[i] * (double)w[i];
        }
    }
    return all > 0 ? e / all : 0;
}

static lb_hash fp4_hash(const lb_fp4mat *q)
{
    size_t n = (size_t)q->n * (size_t)q->k, g = (size_t)q->n * (size_t)lb_n_group(q->k, q->num->block);
    lb_hash h = lb_hash_of(q->codes, n);
    h = lb_hash_bytes(q->scales, g, h);
    return lb_hash_bytes(&q->tensor_scale, sizeof q->tensor_scale, h);
}

static double fp4_error(const lb_fp4mat *q, const float *w, float *row)
{
    double e = 0, all = 0;
    for (int r = 0; r < q->n; r++) {
        lb_fp4_decode_row(q, r, row);
        for (int k = 0; k < q->k; k++) {
            double v = (double)w[(size_t)r * (size_t)q->k + (size_t)k], d = (double)row[k] - v;
            e += d * d;
            all += v * v;
        }
    }
    return all > 0 ? e / all : 0;
}

bool lb_quant_read_hash(const lb_store *s, const lb_plan_module *m, lb_hash *out, lb_err *err)
{
    lb_qmat q;
    lb_fp4mat f;
    if (lb_ct_fp4_num(&m->ct)) {
        if (!lb_ct_fp4_unpack(s, m->name, &m->ct, m->n, m->k, &f, err)) return false;
        *out = fp4_hash(&f);
        lb_fp4mat_free(&f);
        return true;
    }
    if (!lb_ct_unpack(s, m->name, &m->ct, m->n, m->k, &q, err)) return false;
    *out = lb_qmat_hash(&q);
    lb_qmat_free(&q);
    return true;
}

/* ---- solving one linear ---- */

static lb_linear *twin(layer_work *w, const lb_qlinear *q)
{
    lb_qblock *b = &w->b;
    lb_layer *l = w->l;
    const lb_qlinear *from[] = {&b->q, &b->k, &b->v, &b->o, &b->gate, &b->up, &b->down};
    lb_linear *to[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
    for (int i = 0; i < 7; i++)
        if (q == from[i]) return to[i];
    for (int e = 0; e < b->n_expert; e++) {
        if (q == &b->experts[e].gate) return &l->experts[e].gate;
        if (q == &b->experts[e].up) return &l->experts[e].up;
        if (q == &b->experts[e].down) return &l->experts[e].down;
    }
    assert(!"a linear of this block");
    return NULL;
}

/* Room for packed codes that lives as long as the layer is worked on. */
static void *room(layer_work *w, const lb_mat *m, const char *name, lb_err *err)
{
    if (!lb_grow(&w->packed.p, &w->packed.cap, w->packed.n + 1, sizeof *w->packed.p, name, err)) return NULL;
    void *data = lb_alloc(m->num->size(m), 1, name, err);
    if (data) w->packed.p[w->packed.n++] = data;
    return data;
}

static bool keep_packed(layer_work *w, const lb_qlinear *l, const lb_qmat *q, lb_err *err)
{
    lb_mat m = lb_tile_mat(lb_qmat_num(q), q->n, q->k, q->group, q->scale_type);
    void *data = room(w, &m, l->name, err);
    if (!data) return false;
    lb_tile_pack(q, data, &m);
    twin(w, l)->w = m;
    return true;
}

static bool keep_fp4(layer_work *w, const lb_qlinear *l, const lb_fp4mat *q, lb_err *err)
{
    lb_mat m = lb_fp4_mat(q->num, q->n, q->k, q->tensor_scale);
    void *data = room(w, &m, l->name, err);
    if (!data) return false;
    lb_fp4_pack(q, data, &m);
    twin(w, l)->w = m;
    return true;
}

/* A weight that stays in floats. */
static bool put_float(layer_work *w, const lb_qlinear *l, lb_dtype type, lb_err *err)
{
    char name[600];
    int64_t shape[2] = {l->n, l->k};
    snprintf(name, sizeof name, "%s.weight", l->name);
    size_t n = (size_t)l->n * (size_t)l->k;
    for (size_t i = 0; i < n; i++) { /* what runs from here on is what the file will say */
        uint32_t bits;
        lb_store_f32(&bits, type, 0, l->w[i]);
        l->w[i] = lb_load_f32(&bits, type, 0);
    }
    return lb_parts_float(&w->parts, name, type, 2, shape, l->w, err);
}

/* A module that the plan leaves at 16 bits: written only if it is not what the file has. */
static bool put_plain(layer_work *w, const lb_qlinear *l, const lb_plan_module *m, lb_err *err)
{
    return !w->transformed || put_float(w, l, m->src->dtype, err); /* without transforms src was not looked for */
}

bool lb_quant_record(json_t *record, const lb_plan_module *m, const char *format, lb_hash hash, double bytes,
                     double error, lb_err *err)
{
    char hex[33];
    lb_hash_hex(hash, hex);
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:f}", "name", m->name, "hash", hex, "format", format,
                          "bits", m->scheme.w_bits, "n", m->n, "k", m->k, "bytes", bytes, "mse_rel", error);
    return json_array_append_new(json_object_get(record, "modules"), o) == 0 || lb_fail_mem(err, 0, "a record");
}

static bool put_codes(layer_work *w, const lb_qlinear *l, const lb_plan_module *m, const lb_qmat *q, lb_err *err)
{
    double bytes = 0;
    return lb_parts_qmat(&w->parts, l->name, q, &m->ct, &bytes, err) &&
           lb_quant_record(w->record, m, "int", lb_qmat_hash(q), bytes, lb_qmat_error(q, l->w), err) &&
           keep_packed(w, l, q, err);
}

static bool put_fp4(layer_work *w, const lb_qlinear *l, const lb_plan_module *m, const lb_fp4mat *q, lb_err *err)
{
    double bytes = 0;
    float *row = lb_alloc((size_t)q->k, sizeof *row, l->name, err);
    bool ok = row && lb_parts_fp4(&w->parts, l->name, q, &m->ct, &bytes, err) &&
              lb_quant_record(w->record, m, q->num->name, fp4_hash(q), bytes, fp4_error(q, l->w, row), err) &&
              keep_fp4(w, l, q, err);
    free(row);
    return ok;
}

lb_qmat lb_quant_qmat(const lb_plan_module *m)
{
    return (lb_qmat){.bits = m->scheme.w_bits, .n = m->n, .k = m->k, .group = m->scheme.group > 0 ? m->scheme.group : m->k,
                     .scale_type = m->src->dtype, .half = m->scheme.half};
}

static void advance(layer_work *w, const char *name)
{
    lb_progress *p = w->r->o->progress;
    if (!p) return;
    lb_progress_what(p, "%s · %s", w->r->o->chain.solver->name, name);
    lb_progress_add(p, 1, 0);
}

static bool put_latent(layer_work *w, const lb_qlinear *l, const float *latent, lb_err *err)
{
    char name[600];
    int64_t shape[2] = {l->n, l->k};
    snprintf(name, sizeof name, "%s.latent", l->name);
    return lb_parts_float(&w->parts, name, LB_F32, 2, shape, latent, err);
}

/* The learned clips of a linear's rows, or NULL. */
static const float *row_clip(layer_work *w, const lb_qlinear *l)
{
    for (int i = 0; i < LB_BLOCK_LINEARS; i++)
        if (l == lb_recon_linear(&w->b, (lb_block_linear)i)) return w->r->row_clip[i];
    return NULL;
}

static lb_quant_job job_of(layer_work *w, const lb_qlinear *l, const lb_plan_module *m, const lb_method *solver,
                           const float *h)
{
    const lb_quantize_opt *o = w->r->o;
    bool by_default = solver->clip_from_bits && m->scheme.w_bits >= solver->clip_from_bits;
    bool clip = o->clip == LB_CLIP_MSE || (o->clip == LB_CLIP_DEFAULT && by_default);
    return (lb_quant_job){.name = l->name, .w = l->w, .n = l->n, .k = l->k, .scheme = m->scheme, .options = &o->options,
                          .scale_type = m->src->dtype, .clip_mse = clip, .ex = w->r->ex, .h = h,
                          .row_clip = row_clip(w, l), .given = o->given};
}

static bool solve_fp4(layer_work *w, const lb_qlinear *l, const lb_plan_module *m, const lb_method *solver,
                      const lb_quant_job *job, lb_err *err)
{
    lb_fp4mat q = {.num = lb_ct_fp4_num(&m->ct), .n = m->n, .k = m->k};
    float amax = 0;
    if (!solver->solve_fp4)
        return lb_fail(err, LB_EUNSUPPORTED, "method %s gives integer codes; %s is for rtn and gptq", solver->name,
                       q.num->name);
    for (size_t i = 0; i < (size_t)l->n * (size_t)l->k; i++) amax = fmaxf(amax, fabsf(l->w[i]));
    q.tensor_scale = lb_ct_fp4_tensor_scale(q.num, amax);
    bool ok = lb_fp4mat_alloc(&q, err) && solver->solve_fp4(job, &q, err) && put_fp4(w, l, m, &q, err);
    lb_fp4mat_free(&q);
    return ok;
}

/* h: the moment of its inputs, or NULL (a solver that wants one then has had no token: it falls back to rtn); factor: what
 * the solver made of h for all linears of the site, or NULL. */
static bool solve_linear(layer_work *w, lb_qlinear *l, const float *h, const lb_gptq_factor *factor, lb_err *err)
{
    lb_quant_run *r = w->r;
    const lb_quantize_opt *o = r->o;
    lb_plan_module *m = lb_plan_module_of(&r->plan, l->name);
    assert(m);
    if (o->stop && *o->stop) return lb_fail(err, LB_ESTOPPED, "stopped in the middle of a layer");
    if (m->scheme.w_bits == 16) return put_plain(w, l, m, err);
    const lb_method *solver = o->chain.solver;
    if (solver->needs & LB_NEEDS_HESSIAN && !h) solver = lb_method_find("rtn", err);
    lb_qmat q = lb_quant_qmat(m);
    size_t n = (size_t)l->n * (size_t)l->k;
    float *latent = o->save_latent ? lb_alloc(n, sizeof *latent, l->name, err) : NULL;
    lb_quant_job job = job_of(w, l, m, solver, h);
    job.latent = latent, job.factor = factor;
    bool ok = latent || !o->save_latent;
    if (latent) memcpy(latent, l->w, n * sizeof *latent); /* a solver that compensates writes what it rounds */
    if (ok && lb_ct_fp4_num(&m->ct)) ok = solve_fp4(w, l, m, solver, &job, err);
    else if (ok && (ok = lb_qmat_alloc(&q, err))) {
        ok = solver->solve(&job, &q, err) && put_codes(w, l, m, &q, err);
        lb_qmat_free(&q);
    }
    ok = ok && (!latent || put_latent(w, l, latent, err));
    free(latent);
    if (ok) advance(w, l->name);
    return ok;
}

/* Solves linears that read the same rows, whose moment is h (or NULL). */
static bool solve_site(layer_work *w, lb_qlinear *const *all, int n, const float *h, lb_err *err)
{
    const lb_method *s = w->r->o->chain.solver;
    lb_gptq_factor *f = NULL;
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        const lb_plan_module *m = lb_plan_module_of(&w->r->plan, all[i]->name);
        if (h && s->share && !f && m->scheme.w_bits < 16) {
            lb_quant_job job = job_of(w, all[i], m, s, h);
            ok = (f = s->share(&job, err)) != NULL;
        }
        ok = ok && (solve_linear(w, all[i], h, f, err) || lb_wrap(err, "%s", all[i]->name));
    }
    if (f) s->unshare(f);
    return ok;
}

/* ---- moments ---- */

typedef struct moment {
    float *h;                    /* [k,k] */
    double n;                    /* rows seen */
    const lb_linear *reads;      /* whose input transform the rows go through */
    float *rows;                 /* [rows of a pass, k] transformed; NULL without a transform */
    lb_exec *ex;
} moment;

static bool add_rows(void *arg, const float *x, int n_row, int width, size_t row0, lb_err *err)
{
    (void)row0;
    moment *m = arg;
    m->n += n_row;
    x = lb_linear_input(m->reads, x, n_row, m->rows, m->ex);
    return lb_gram_add(m->ex, m->h, x, n_row, width, err);
}

/* H = 2/n Σ x·xᵀ */
static void scale_moment(float *h, int k, double n)
{
    float f = n > 0 ? (float)(2 / n) : 0;
    for (size_t i = 0; i < (size_t)k * (size_t)k; i++) h[i] *= f;
}

static bool is_quantized(layer_work *w, const lb_qlinear *l)
{
    const lb_plan_module *m = lb_plan_module_of(&w->r->plan, l->name);
    return m && m->scheme.w_bits < 16;
}

/* Runs parts first…last with what they leave going into H, then solves those linears. */
static bool stage(layer_work *w, lb_part first, lb_part last, lb_qlinear *const *all, int n, lb_err *err)
{
    lb_quant_run *r = w->r;
    int k = all[0]->k;
    bool any = false;
    for (int i = 0; i < n; i++) any |= is_quantized(w, all[i]);
    size_t rows = (size_t)r->calib.per_pass * (size_t)r->calib.n_tok;
    moment m = {.ex = r->ex, .reads = twin(w, all[0])};
    bool ok = true;
    if (any) {
        m.h = lb_alloc((size_t)k * (size_t)k, sizeof *m.h, all[0]->name, err);
        m.rows = m.reads->in && m.h ? lb_alloc(rows * (size_t)k, sizeof *m.rows, all[0]->name, err) : NULL;
        ok = m.h && (m.rows || !m.reads->in);
    }
    lb_calib_see see = {any ? add_rows : NULL, &m};
    ok = ok && lb_calib_run(&r->calib, w->layer, first, last, r->x, r->wide, see, err);
    if (ok && any) scale_moment(m.h, k, m.n);
    ok = ok && solve_site(w, all, n, m.h, err);
    free(m.rows);
    free(m.h);
    return ok;
}

/* Experts: which tokens each one gets is known only inside the pass, so its inputs are watched there. */
typedef struct expert_moments {
    layer_work *w;
    bool down;                   /* the inputs of down, else those of gate and up */
    int k;
    float *h;                    /* [n_expert, k, k] */
    double *n;                   /* [n_expert] tokens */
    lb_err err;
} expert_moments;

static void watch_experts(void *arg, const lb_linear *l, const float *x, int n_tok)
{
    expert_moments *m = arg;
    const lb_layer *layer = m->w->l;
    for (int e = 0; e < m->w->b.n_expert; e++) {
        if (l != (m->down ? &layer->experts[e].down : &layer->experts[e].gate)) continue;
        m->n[e] += n_tok;
        if (m->err.code == LB_OK)
            lb_gram_add(m->w->r->ex, m->h + (size_t)e * (size_t)m->k * (size_t)m->k, x, n_tok, m->k, &m->err);
    }
}

static bool expert_stage(layer_work *w, bool down, lb_err *err)
{
    lb_quant_run *r = w->r;
    int n = w->b.n_expert, k = down ? w->b.experts[0].down.k : w->b.experts[0].gate.k;
    size_t one = (size_t)k * (size_t)k;
    expert_moments m = {.w = w, .down = down, .k = k};
    m.h = lb_alloc((size_t)n * one, sizeof *m.h, "the moments of the experts", err);
    m.n = m.h ? lb_alloc((size_t)n, sizeof *m.n, "the moments of the experts", err) : NULL;
    bool ok = m.n != NULL;
    if (ok) {
        r->calib.dry = true;
        lb_forward_tap(r->calib.fw, (lb_tap){watch_experts, &m});
        ok = lb_calib_run(&r->calib, w->layer, LB_PART_MLP_IN, LB_PART_DOWN, r->x, NULL, (lb_calib_see){0}, err);
        lb_forward_tap(r->calib.fw, (lb_tap){0});
        r->calib.dry = false;
    }
    if (ok && m.err.code != LB_OK) ok = lb_fail(err, m.err.code, "%s", m.err.msg);
    for (int e = 0; ok && e < n; e++) {
        lb_qexpert *x = &w->b.experts[e];
        float *h = m.n[e] > 0 ? m.h + (size_t)e * one : NULL;
        if (h) scale_moment(h, k, m.n[e]);
        lb_qlinear *in[] = {&x->gate, &x->up}, *out[] = {&x->down};
        ok = solve_site(w, down ? out : in, down ? 1 : 2, h, err);
    }
    free(m.n);
    free(m.h);
    return ok;
}

/* ---- keys ---- */

typedef struct key_range {
    float *range;                /* [2, width] */
    bool any;
    lb_quant_run *r;
} key_range;

static bool see_keys(void *arg, const float *att, int n_row, int width, size_t row0, lb_err *err)
{
    (void)att, (void)width, (void)row0;
    key_range *k = arg;
    int w;
    const float *keys = lb_forward_rows(k->r->calib.fw, LB_ROWS_K, &w);
    for (int t = 0; t < n_row; t++)
        for (int i = 0; i < w; i++) {
            float v = keys[(size_t)t * (size_t)w + (size_t)i];
            if (!isfinite(v)) return lb_fail(err, LB_ENUMERIC, "a key of channel %d is not finite", i);
            if (v < k->range[i]) k->range[i] = v;
            if (v > k->range[w + i]) k->range[w + i] = v;
        }
    return true;
}

/* Lowest and highest key of each channel, 0 included, as the cache would store it. */
static bool put_key_range(layer_work *w, lb_err *err)
{
    lb_quant_run *r = w->r;
    int kd = r->cfg->n_kv * r->cfg->d_head;
    char name[400];
    int64_t shape[2] = {2, kd};
    key_range k = {.r = r, .range = lb_alloc(2 * (size_t)kd, sizeof(float), "key ranges", err)};
    lb_online_tensor(name, sizeof name, r->cfg->arch->names->layers, w->layer, "k_range", NULL);
    bool ok = k.range && lb_calib_run(&r->calib, w->layer, LB_PART_ATTN_IN, LB_PART_ATTN, r->x, NULL,
                                      (lb_calib_see){see_keys, &k}, err) &&
              lb_parts_float(&w->parts, name, LB_F32, 2, shape, k.range, err);
    free(k.range);
    return ok;
}

/* ---- the block ---- */

static bool solve_staged(layer_work *w, lb_err *err)
{
    lb_quant_run *r = w->r;
    lb_qblock *b = &w->b;
    lb_qlinear *qkv[] = {&b->q, &b->k, &b->v}, *o[] = {&b->o}, *mlp[] = {&b->gate, &b->up}, *down[] = {&b->down};
    if (!stage(w, LB_PART_ATTN_IN, LB_PART_ATTN_IN, qkv, 3, err)) return false;
    if (lb_quant_calibrates_kv(r->o) && !put_key_range(w, err)) return false;
    if (!stage(w, LB_PART_ATTN_IN, LB_PART_ATTN, o, 1, err)) return false;
    if (b->n_expert) {
        lb_calib_see none = {0};
        return lb_calib_run(&r->calib, w->layer, LB_PART_O, LB_PART_O, r->x, r->wide, none, err) &&
               expert_stage(w, false, err) && expert_stage(w, true, err) &&
               lb_calib_run(&r->calib, w->layer, LB_PART_MLP_IN, LB_PART_DOWN, r->x, NULL, none, err);
    }
    return stage(w, LB_PART_O, LB_PART_MLP_IN, mlp, 2, err) && stage(w, LB_PART_MLP_IN, LB_PART_ACT, down, 1, err) &&
           lb_calib_run(&r->calib, w->layer, LB_PART_DOWN, LB_PART_DOWN, r->x, r->wide, (lb_calib_see){0}, err);
}

typedef struct block_codes {
    layer_work *w;
    lb_qmat *q;
    float **latent;              /* NULL where none is asked for */
    int i;
} block_codes;

static bool alloc_codes(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)site;
    block_codes *c = arg;
    const lb_plan_module *m = lb_plan_module_of(&c->w->r->plan, l->name);
    lb_qmat *q = &c->q[c->i];
    float **latent = c->latent ? &c->latent[c->i] : NULL;
    size_t n = (size_t)l->n * (size_t)l->k;
    c->i++;
    if (m->scheme.w_bits == 16) return true;
    if (latent && !(*latent = lb_alloc(n, sizeof **latent, l->name, err))) return false;
    if (latent) memcpy(*latent, l->w, n * sizeof **latent);
    *q = lb_quant_qmat(m);
    if (lb_qmat_alloc(q, err)) return true;
    q->bits = 0;
    return false;
}
static bool put_solved(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)site;
    block_codes *c = arg;
    const lb_plan_module *m = lb_plan_module_of(&c->w->r->plan, l->name);
    int i = c->i++;
    if (m->scheme.w_bits == 16) return put_plain(c->w, l, m, err);
    if (!put_codes(c->w, l, m, &c->q[i], err) || (c->latent && !put_latent(c->w, l, c->latent[i], err))) return false;
    advance(c->w, l->name);
    return true;
}
static bool solve_alone(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)site;
    return solve_linear(arg, l, NULL, NULL, err) || lb_wrap(err, "%s", l->name);
}
static bool count(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)l, (void)site, (void)err;
    ++*(int *)arg;
    return true;
}

static bool solve_together(layer_work *w, lb_err *err)
{
    int n = 0;
    lb_qblock_linears(&w->b, count, &n, err);
    block_codes c = {.w = w, .q = lb_alloc((size_t)n, sizeof *c.q, "codes", err)};
    if (w->r->o->save_latent && c.q) c.latent = lb_alloc((size_t)n, sizeof *c.latent, "latent weights", err);
    bool ok = c.q && (c.latent || !w->r->o->save_latent) && lb_qblock_linears(&w->b, alloc_codes, &c, err) &&
              w->r->o->chain.solver->solve_block(w->r, &w->b, c.q, c.latent, err);
    c.i = 0;
    ok = ok && lb_qblock_linears(&w->b, put_solved, &c, err);
    for (int i = 0; c.q && i < n; i++)
        if (c.q[i].bits) lb_qmat_free(&c.q[i]);
    for (int i = 0; c.latent && i < n; i++) free(c.latent[i]);
    free(c.latent);
    free(c.q);
    return ok;
}

/* Solves the linears and moves r->x through the quantized block. */
static bool solve(layer_work *w, lb_err *err)
{
    lb_quant_run *r = w->r;
    const lb_method *s = r->o->chain.solver;
    if (s->needs & LB_NEEDS_HESSIAN) return solve_staged(w, err);
    if (!(s->solve_block ? solve_together(w, err) : lb_qblock_linears(&w->b, solve_alone, w, err))) return false;
    if (lb_quant_calibrates_kv(r->o) && !put_key_range(w, err)) return false;
    return !r->x || lb_calib_run(&r->calib, w->layer, LB_PART_ATTN_IN, LB_PART_DOWN, r->x, NULL, (lb_calib_see){0}, err);
}

/* ---- what a transform leaves beside the weights ---- */

static bool put_vector(layer_work *w, const char *name, int n, const float *v, lb_err *err)
{
    int64_t shape[1] = {n};
    return !v || lb_parts_float(&w->parts, name, LB_F32, 1, shape, v, err);
}

static bool put_bias(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)site;
    char name[600];
    snprintf(name, sizeof name, "%s.bias", l->name);
    return put_vector(arg, name, l->n, l->bias, err);
}

static bool put_site(layer_work *w, lb_site s, lb_err *err)
{
    static const char *const part[] = {"scale", "a", "b", "clip"};
    const lb_transform *t = &w->b.in[s];
    const lb_act_quant *act = &w->r->online.act;
    char name[4][400];
    for (int i = 0; i < 4; i++)
        lb_online_tensor(name[i], sizeof name[i], w->r->cfg->arch->names->layers, w->layer, lb_site_name(s), part[i]);
    int64_t a[2] = {t->na, t->na}, b[2] = {t->nb, t->nb};
    bool kron = t->kind == LB_TRANSFORM_KRON;
    bool ok = put_vector(w, name[0], t->k, t->scale, err) &&
              (!kron || !t->a || lb_parts_float(&w->parts, name[1], LB_F32, 2, a, t->a, err)) &&
              (!kron || !t->b || lb_parts_float(&w->parts, name[2], LB_F32, 2, b, t->b, err));
    if (!ok || (int)s >= LB_N_INPUT_SITE || act->kind == LB_ACT_NONE || w->b.clip[s][1] == 0) return ok;
    return put_vector(w, name[3], 2, w->b.clip[s], err);
}

static bool put_rest(layer_work *w, lb_err *err)
{
    const lb_config *c = w->r->cfg;
    const lb_names *names = c->arch->names;
    lb_qblock *b = &w->b;
    char name[400];
    const struct { const char *name; int n; const float *v; } norms[] = {
        {names->attn_norm, c->d_model, b->attn_norm}, {names->mlp_norm, c->d_model, b->mlp_norm},
        {names->q_norm, c->d_head, b->q_norm}, {names->k_norm, c->d_head, b->k_norm}};
    if (!w->transformed) return true;
    for (int i = 0; i < 4; i++) {
        if (!norms[i].v) continue;
        snprintf(name, sizeof name, "%s.%d.%s.weight", names->layers, w->layer, norms[i].name);
        if (!put_vector(w, name, norms[i].n, norms[i].v, err)) return false;
    }
    for (lb_site s = 0; s < LB_N_SITE; s++)
        if (!put_site(w, s, err)) return false;
    if (b->n_expert && !put_float(w, &b->router, LB_F32, err)) return false;
    return lb_qblock_linears(b, put_bias, w, err);
}

static bool transform(layer_work *w, lb_err *err)
{
    const lb_chain *c = &w->r->o->chain;
    for (int i = 0; i < c->n_transform; i++)
        if (c->transform[i]->block && !c->transform[i]->block(w->r, &w->b, err))
            return lb_wrap(err, "%s", c->transform[i]->name);
    w->transformed = c->n_transform > 0;
    return true;
}

/* Moves the float stream through the block as the model has it. */
static bool run_float(lb_quant_run *r, int layer, float *x, lb_err *err)
{
    return !x || lb_calib_run(&r->calib, layer, LB_PART_ATTN_IN, LB_PART_DOWN, x, NULL, (lb_calib_see){0}, err);
}

bool lb_layer_solve(lb_quant_run *r, lb_workdir *wd, int layer, lb_err *err)
{
    layer_work w = {.r = r, .layer = layer, .l = &r->m->layers[layer]};
    size_t bytes = r->n_row * (size_t)r->cfg->d_model * sizeof(float);
    w.record = json_pack("{s:[]}", "modules");
    bool ok = w.record || lb_fail_mem(err, 0, "a record");
    bool loaded = ok && lb_qblock_load(&w.b, r->cfg, r->m->store, layer, err);
    ok = loaded;
    if (ok && r->y_float) {
        memcpy(r->y_float, r->x_float, bytes);
        ok = run_float(r, layer, r->y_float, err);
    }
    ok = ok && transform(&w, err);
    if (ok && !r->y_float) ok = run_float(r, layer, r->x_float, err);
    if (ok) lb_qblock_bind(&w.b, w.l);
    ok = ok && solve(&w, err) && put_rest(&w, err) && lb_workdir_put(wd, layer, &w.parts, w.record, err);
    if (ok && r->y_float) memcpy(r->x_float, r->y_float, bytes);
    json_decref(w.record);
    lb_parts_free(&w.parts);
    lb_blocks_free(&w.packed);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) free(r->row_clip[i]), r->row_clip[i] = NULL;
    if (loaded) lb_qblock_free(&w.b);
    return ok;
}

bool lb_layer_replay(lb_quant_run *r, lb_workdir *wd, int layer, lb_err *err)
{
    lb_progress *p = r->o->progress;
    json_t *record = lb_workdir_record(wd, layer, err);
    if (!record) return false;
    if (p) lb_progress_reuse(p, (int64_t)json_array_size(json_object_get(record, "modules")));
    json_decref(record);
    if (!run_float(r, layer, r->x_float, err)) return false;
    if (!r->x) return true;
    lb_store *s = lb_workdir_tensors(wd, layer, err);
    json_t *qc = s && r->plan.n_quantized ? lb_plan_ct_json(&r->plan, r->cfg, err) : NULL;
    lb_ct_config *ct = qc ? lb_ct_config_parse(qc, "the plan", err) : NULL;
    lb_online online = r->online;
    lb_blocks own = {0};
    online.act = (lb_act_quant){0}; /* not while calibrating */
    bool ok = s && (ct || !r->plan.n_quantized) && lb_model_rebind(r->m, layer, s, ct, &online, &own, err) &&
              lb_calib_run(&r->calib, layer, LB_PART_ATTN_IN, LB_PART_DOWN, r->x, NULL, (lb_calib_see){0}, err);
    lb_blocks_free(&own);
    lb_ct_config_free(ct);
    json_decref(qc);
    lb_store_close(s);
    return ok;
}
