/* cli/cmd_bench.c – `lowbit bench`: speed as a share of what the machine can do, measured in the same run.
 *
 *   membw     read bandwidth                      matmul   every row of the operator's table over shapes and formats
 *   peak      f32 multiply-adds                   attn     decode attention over long caches
 *   decode    tokens/s of a model, one at a time  prefill  tokens/s of a prompt
 *   train     a step of training in f32: forward, loss, the way back, AdamW */
#include "base/file.h"
#include "base/median.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/cmd.h"
#include "infer/bench.h"
#include "kern/bench_attn.h"
#include "kern/bench_limits.h"
#include "model/model_grad.h"
#include "model/optim.h"
#include "num/fp4.h"
#include "quant/quantize.h"
#include "study/shape.h"
#include "train/student.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct opts {
    lb_common c;
    const char *shape, *kv, *dir, *scheme;
    lb_list tensor, format;
    int64_t n, ctx, tokens, act, group;
    bool keep;
    const char *compute;
    json_t *rows;                    /* what --json prints */
} opts;

static void row(const opts *o, json_t *r)
{
    if (o->c.json) json_array_append_new(o->rows, r);
    else json_decref(r);
}

static bool limits(lb_exec *ex, lb_limit *bw, lb_limit *fma, lb_err *err)
{
    return lb_limit_read(ex, 0, 5, bw, err) && lb_limit_fma(ex, 5, fma, err);
}

static bool bench_membw(opts *o, lb_exec *ex, lb_err *err)
{
    lb_limit l;
    if (!lb_limit_read(ex, 0, (int)o->n, &l, err)) return false;
    if (!o->c.json)
        printf("read bandwidth: median %.1f GB/s, best %.1f (%s, %d passes of 512 MiB)\n", l.median, l.best,
               lb_exec_name(ex), l.n);
    row(o, json_pack("{s:s, s:f, s:f}", "what", "membw", "gb_s", l.median, "gb_s_best", l.best));
    return true;
}

static bool bench_peak(opts *o, lb_exec *ex, lb_err *err)
{
    lb_limit l;
    if (!lb_limit_fma(ex, (int)o->n, &l, err)) return false;
    if (!o->c.json)
        printf("f32 multiply-add peak: median %.1f GFLOP/s, best %.1f (%s, %d passes)\n", l.median, l.best,
               lb_exec_name(ex), l.n);
    row(o, json_pack("{s:s, s:f, s:f}", "what", "peak", "gflop_s", l.median, "gflop_s_best", l.best));
    return true;
}

static bool bench_attn(opts *o, lb_exec *ex, lb_err *err)
{
    lb_limit bw;
    lb_bench_attn_row r[LB_BENCH_ATTN_ROWS], plain[LB_BENCH_ATTN_ROWS];
    lb_kv_spec spec, bf16 = {.bits = 16};
    char name[LB_KV_TEXT];
    if (!lb_kv_spec_parse(o->kv ? o->kv : "bf16", &spec, err)) return false;
    lb_kv_spec_text(&spec, name);
    lb_kv_layer how = lb_kv_shape(&spec, 1, 1), beside = lb_kv_shape(&bf16, 1, 1);
    if (!lb_bench_attn(ex, &how, r, err) || !lb_bench_attn(ex, &beside, plain, err) ||
        !lb_limit_read(ex, 0, 5, &bw, err))
        return false;
    if (!o->c.json)
        printf("decode attention, one layer of 16 heads, 8 kv heads of 128, %s cache, beside %.1f GB/s\n", name,
               bw.median);
    for (int i = 0; i < LB_BENCH_ATTN_ROWS; i++) {
        if (!o->c.json)
            printf("  %2d sequences × %5d positions  %-8s %8.1f µs  %6.2f GB/s  %3.0f %%  %5.2f × bf16\n", r[i].n_seq,
                   r[i].n_ctx, r[i].impl, 1e6 * r[i].t_s, r[i].gb_s, 100 * r[i].gb_s / bw.median,
                   plain[i].t_s / r[i].t_s);
        row(o,
            json_pack("{s:s, s:s, s:i, s:i, s:s, s:f, s:f, s:f, s:f}", "what", "attn", "kv", name, "n_seq", r[i].n_seq,
                      "n_ctx", r[i].n_ctx, "impl", r[i].impl, "t_s", r[i].t_s, "gb_s", r[i].gb_s, "share",
                      r[i].gb_s / bw.median, "speedup_bf16", plain[i].t_s / r[i].t_s));
    }
    return true;
}

/* ---- matmul: every row of the table ---- */

typedef struct mm {
    lb_matmul a;
    void *data[8];                   /* copies of the weights, so that one token's call reads from memory; owned */
    int n_copy;
} mm;

static void mm_free(mm *m)
{
    for (int i = 0; i < m->n_copy; i++) free(m->data[i]);
    free((void *)m->a.x);
    free(m->a.y);
}

/* Random codes with one scale, in any format. */
static bool mm_fill(lb_mat *w, void *out, lb_err *err)
{
    const lb_num *num = w->num;
    size_t nk = (size_t)w->n * (size_t)w->k;
    if (!num->grouped) {
        for (size_t i = 0; i < nk; i++) lb_store_f32(out, num->dtype, i, (float)(lb_mix64(i) & 1023) * 4e-5f - 0.02f);
        return true;
    }
    size_t n_scale = (size_t)w->n * (size_t)lb_n_group(w->k, w->group);
    lb_fp4mat f = {.num = num, .n = w->n, .k = w->k, .tensor_scale = w->tensor_scale};
    lb_qmat q = {.bits = num->bits, .n = w->n, .k = w->k, .group = w->group, .scale_type = LB_BF16, .half = num->half};
    if (!(num->block ? lb_fp4mat_alloc(&f, err) : lb_qmat_alloc(&q, err))) return false;
    uint8_t *codes = num->block ? f.codes : q.codes;
    for (size_t i = 0; i < nk; i++) codes[i] = (uint8_t)(lb_mix64(i) & ((1u << num->bits) - 1));
    if (num->block) {
        memset(f.scales, num->dtype == LB_F8_E8M0 ? 120 : 0x38, n_scale);
        lb_fp4_pack(&f, out, w);
        lb_fp4mat_free(&f);
    } else {
        for (size_t i = 0; i < n_scale; i++) q.scales[i] = 0.0078125f, q.zeros[i] = (uint8_t)(num->half ? 3 : 1 << (num->bits - 1));
        lb_tile_pack(&q, out, w);
        lb_qmat_free(&q);
    }
    return true;
}

static bool mm_make(mm *m, const lb_num *num, int n, int k, int group, int n_tok, int copies, lb_err *err)
{
    *m = (mm){.a = {.n_tok = n_tok, .ldy = n}};
    if (group == 0 || group > k) group = k;
    if (num->block) m->a.w = lb_fp4_mat(num, n, k, 0.01f);
    else m->a.w = num->grouped ? lb_tile_mat(num, n, k, group, LB_BF16) : (lb_mat){.num = num, .n = n, .k = k};
    float *x = lb_alloc((size_t)n_tok * (size_t)k, sizeof *x, "activations", err);
    m->a.x = x;
    m->a.y = lb_alloc((size_t)n_tok * (size_t)n, sizeof(float), "outputs", err);
    if (!x || !m->a.y) return false;
    for (int i = 0; i < n_tok * k; i++) x[i] = (float)(i * 37 % 101) * 0.01f - 0.5f;
    bool ok = true;
    for (int c = 0; ok && c < copies; c++) {
        size_t size = num->size(&m->a.w);
        void *p = lb_alloc(size, 1, "weights", err);
        if (p) m->data[m->n_copy++] = p;
        ok = p && mm_fill(&m->a.w, p, err);
    }
    return ok;
}

/* What rows of other formats are measured by: seconds of the reference, and of the fastest bf16 row. */
typedef struct mm_base { double ref_s, bf16_s; } mm_base;

static bool mm_time(opts *o, mm *m, const lb_impl *impl, lb_exec *ex, const mm_base *base, const lb_limit *bw,
                    const lb_limit *fma, double *out, lb_err *err)
{
    enum { MAX_N = 64 };
    double t[MAX_N], sum = 0;
    int n = 0, most = o->n < MAX_N ? (int)o->n : MAX_N;
    if (!lb_exec_reserve(ex, impl->scratch ? impl->scratch(&m->a) : 0, err)) return false;
    for (int i = -1; i < most && (i < 1 || sum < 1.0); i++) {
        m->a.w.data = m->data[(i + 1) % m->n_copy];
        double t0 = lb_now_s();
        lb_op_run(&lb_op_matmul, impl, &m->a, ex);
        if (i >= 0) sum += t[n++] = lb_now_s() - t0;
        if (i < 0 && impl->needs == 0) { /* the reference takes seconds: its first run is good enough */
            t[n++] = lb_now_s() - t0;
            break;
        }
    }
    double s = lb_median(t, (size_t)n), gb = (double)m->a.w.num->size(&m->a.w) / s / 1e9,
           gf = 2.0 * m->a.w.n * m->a.w.k * m->a.n_tok / s / 1e9;
    lb_act_kind kind = m->a.act.kind;
    int act = kind == LB_ACT_NONE ? 16 : kind == LB_ACT_INT ? m->a.act.bits : 4;
    if (!o->c.json) {
        printf("  %-5s a%-2d %5d tok × [%5d,%5d]  %-10s %10.1f µs  %6.2f GB/s %3.0f %%  %7.1f GFLOP/s %3.0f %%",
               m->a.w.num->name, act, m->a.n_tok, m->a.w.n, m->a.w.k, impl->name, 1e6 * s, gb, 100 * gb / bw->median,
               gf, 100 * gf / fma->median);
        if (base->ref_s > 0) printf("  ×%.1f of ref", base->ref_s / s);
        if (base->bf16_s > 0) printf("  ×%.2f of bf16", base->bf16_s / s);
        putchar('\n');
    }
    row(o, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "what", "matmul",
                     "format", m->a.w.num->name, "act_bits", act, "group", m->a.w.group, "n_tok", m->a.n_tok, "n",
                     m->a.w.n, "k", m->a.w.k, "impl", impl->name, "t_s", s, "gb_s", gb, "share_bw", gb / bw->median,
                     "gflop_s", gf, "share_fma", gf / fma->median, "bf16_s", base->bf16_s));
    *out = s;
    return true;
}

/* Every row that takes m->a. The reference only for few tokens: it takes seconds. */
static bool mm_rows(opts *o, mm *m, lb_exec *ex, mm_base *base, const lb_limit *bw, const lb_limit *fma, lb_err *err)
{
    bool ok = true, bf16 = m->a.w.num->dtype == LB_BF16 && !m->a.w.num->grouped;
    double best = 0;
    base->ref_s = 0;
    for (const lb_impl *i = lb_matmul_impls; ok && i->name && !lb_cmd_stop; i++) {
        double took;
        if ((i->needs & ~lb_exec_mask(ex)) || (i->fits && !i->fits(&m->a)) || (i->needs == 0 && m->a.n_tok > 16))
            continue;
        ok = mm_time(o, m, i, ex, base, bw, fma, &took, err);
        if (i->needs == 0) base->ref_s = took;
        else if (best == 0 || took < best) best = took;
    }
    if (bf16) base->bf16_s = best;
    return ok;
}

static bool mm_wanted(const opts *o, const char *format)
{
    for (int i = 0; i < o->format.n; i++)
        if (strcmp(o->format.p[i], format) == 0) return true;
    return o->format.n == 0;
}

static bool bench_matmul(opts *o, lb_exec *ex, lb_err *err)
{
    static const struct { int n, k; } shapes[] = {{1024, 1024}, {3072, 1024}, {1024, 3072}};
    static const int toks[] = {1, 16, 512};
    enum { N_SHAPE = sizeof shapes / sizeof *shapes, N_TOK = sizeof toks / sizeof *toks };
    static const char *const formats[] = {"bf16", "int8", "int4", "int3", "int2", "int2h", "mxfp4", "nvfp4"};
    mm_base base[N_SHAPE][N_TOK] = {0};
    lb_limit bw, fma;
    lb_act_quant act = {.kind = o->act == 16 ? LB_ACT_NONE : LB_ACT_INT, .bits = (int)o->act};
    if (o->act != 4 && o->act != 8 && o->act != 16)
        return lb_fail(err, LB_EUSAGE, "--act is %lld; there are 4, 8 and 16 bits", (long long)o->act);
    for (int i = 0; i < o->format.n; i++) {
        size_t f = 0;
        while (f < sizeof formats / sizeof *formats && strcmp(formats[f], o->format.p[i]) != 0) f++;
        if (f == sizeof formats / sizeof *formats)
            return lb_fail(err, LB_EUSAGE,
                           "--format %s is unknown; there are bf16, int8, int4, int3, int2, int2h, mxfp4 and nvfp4",
                           o->format.p[i]);
    }
    if (o->group % LB_TILE_COLS)
        return lb_fail(err, LB_EUSAGE, "--group %lld must be a multiple of %d, or 0 for one scale a row",
                       (long long)o->group, LB_TILE_COLS);
    if (!limits(ex, &bw, &fma, err)) return false;
    if (!o->c.json)
        printf("matmul on %s beside %.1f GB/s read, %.1f GFLOP/s f32 multiply-add (integer dots can pass 100 %%)\n",
               lb_exec_name(ex), bw.median, fma.median);
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        for (size_t s = 0; mm_wanted(o, formats[f]) && s < N_SHAPE; s++) {
            for (size_t t = 0; t < N_TOK; t++) {
                mm m;
                const lb_num *num = lb_num_find(formats[f]);
                bool ok = mm_make(&m, num, shapes[s].n, shapes[s].k, (int)o->group, toks[t], toks[t] == 1 ? 8 : 1, err);
                ok = ok && mm_rows(o, &m, ex, &base[s][t], &bw, &fma, err);
                if (ok && act.kind && num->grouped) {
                    m.a.act = act;
                    if (act.bits == 4 && num->block) /* block floats meet their like */
                        m.a.act = (lb_act_quant){.kind = num->block == 16 ? LB_ACT_NVFP4 : LB_ACT_MXFP4};
                    ok = mm_rows(o, &m, ex, &base[s][t], &bw, &fma, err);
                }
                mm_free(&m);
                if (!ok) return false;
            }
        }
    }
    return true;
}

/* ---- whole models ---- */

/* The folder to time: -m, or one made in the shape that --shape names, quantized if --scheme says so; kept for the
 * next run. */
static bool bench_model(opts *o, lb_exec *ex, char *dir, size_t size, lb_err *err)
{
    if (o->c.model) return snprintf(dir, size, "%s", o->c.model) < (int)size;
    const lb_shape *s = lb_shape_find(o->shape, err);
    if (!s) return false;
    char base[400], text[LB_SCHEME_TEXT] = "w16";
    snprintf(base, sizeof base, "%.300s/%s", o->dir, s->name);
    snprintf(dir, size, "%s", base);
    if (!lb_file_exists(base)) {
        if (!o->c.quiet) fprintf(stderr, "writing random weights to %s\n", base);
        if (!lb_shape_write(s, base, ex, err)) return false;
    }
    lb_quantize_opt q = {.chain = {.solver = lb_methods[0]}};
    lb_tensor_rule rule = {.pattern = "^lm_head$"};
    lb_quantize_report rep;
    if (!o->scheme || (lb_scheme_parse(o->scheme, &q.scheme, err) && q.scheme.w_bits == 16)) return err->code == LB_OK;
    if (err->code) return false;
    lb_scheme_text(&q.scheme, text);
    const char *head = "";
    if (o->tensor.n) { /* only the head may have a scheme of its own here */
        if (o->tensor.n > 1 || strncmp(o->tensor.p[0], "lm_head=", 8) != 0)
            return lb_fail(err, LB_EUSAGE, "bench takes --tensor lm_head=SCHEME only");
        head = o->tensor.p[0] + 8;
        if (!lb_scheme_parse(head, &rule.scheme, err)) return false;
        q.rules = &rule, q.n_rule = 1;
    }
    snprintf(dir, size, "%s-%s%s%s", base, text, *head ? "-head-" : "", head);
    if (lb_file_exists(dir)) return true;
    if (!o->c.quiet) fprintf(stderr, "quantizing to %s\n", dir);
    return lb_quantize(base, dir, &q, ex, &rep, err);
}

static bool bench_whole(opts *o, lb_exec *ex, bool prefill, lb_err *err)
{
    char dir[512];
    lb_limit bw0, fma0, bw1, fma1;
    lb_bench_result r;
    const char *kv = o->kv ? o->kv : "bf16";
    if (!bench_model(o, ex, dir, sizeof dir, err)) return false;
    lb_model *m = lb_model_open(dir, ex, err);
    bool ok = m && limits(ex, &bw0, &fma0, err) &&
              (prefill ? lb_bench_prefill(m, kv, (int)o->tokens, (int)o->n, &r, err)
                       : lb_bench_decode(m, kv, (int)o->ctx, (int)o->n, &r, err)) &&
              limits(ex, &bw1, &fma1, err);
    if (ok) {
        double bw = 0.5 * (bw0.median + bw1.median), fma = 0.5 * (fma0.median + fma1.median),
               gb = r.bytes / r.t_s / 1e9, gf = r.flops / r.t_s / 1e9;
        if (!o->c.json && prefill)
            printf("prefill %d: %.1f tok/s (best %.1f, n %d), %.1f GFLOP/s = %.0f %% of the f32 peak %.1f beside it; "
                   "%s, %.2f bits per block weight, %s\n",
                   r.n_tok, r.n_tok / r.t_s, r.n_tok / r.t_best_s, r.n, gf, 100 * gf / fma, fma, dir, m->bpw,
                   lb_exec_name(ex));
        if (!o->c.json && !prefill)
            printf("decode at %d: %.2f tok/s (best %.2f, n %d), %.1f MB per token, %.2f GB/s = %.0f %% of the "
                   "bandwidth %.2f beside it; %s, %.2f bits per block weight, %s\n",
                   r.n_ctx, 1 / r.t_s, 1 / r.t_best_s, r.n, r.bytes / 1e6, gb, 100 * gb / bw, bw, dir, m->bpw,
                   lb_exec_name(ex));
        row(o, json_pack("{s:s, s:s, s:f, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "what",
                         prefill ? "prefill" : "decode", "model", dir, "bits_per_weight", m->bpw, "n_tok", r.n_tok,
                         "n_ctx", r.n_ctx, "tok_s", r.n_tok / r.t_s, "tok_s_best", r.n_tok / r.t_best_s, "bytes",
                         r.bytes, "gb_s", gb, "membw_gb_s", bw, "gflop_s", gf, "peak_gflop_s", fma));
    }
    lb_model_close(m);
    return ok;
}

/* Multiply-adds ×2 that a step needs, what checkpoints do again not counted: 3 products where forward has one, in
 * attention 7 where it has 2, of which causality spares half. */
static double step_flops(const lb_model_grad *m, const lb_docs *d)
{
    const lb_config *c = lb_model_grad_config(m);
    double macs = (double)c->n_vocab * c->d_model, pairs = 0;
    for (size_t i = 0; i < lb_model_grad_count(m); i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(m, i);
        bool expert = t->kind == LB_TRAIN_LINEARS && strstr(t->name, c->arch->names->experts);
        double share = expert ? (double)c->n_expert_used / c->n_expert : 1;
        if (t->kind & (LB_TRAIN_LINEARS | LB_TRAIN_ROUTERS)) macs += share * t->p->n * t->p->k;
    }
    for (int s = 0; s < d->n_doc; s++) pairs += 0.5 * pow(d->begin[s + 1] - d->begin[s], 2);
    return 6 * macs * d->n_tok + 2 * 7 * pairs * c->n_layer * c->n_head * c->d_head;
}

typedef struct train_step {
    lb_student *student;             /* NULL: without quantizers; else m is its model */
    lb_model_grad *m;
    lb_compute compute;
    lb_optim *optim;
    lb_docs docs;
    lb_vocab_loss loss;
    double t_s[3];                   /* forward, loss and the way back; AdamW; both */
} train_step;

static bool one_step(train_step *t, lb_err *err)
{
    lb_vocab_sums s;
    double t0 = lb_now_s();
    if (!lb_model_grad_loss(t->m, &t->docs, &t->loss, &s, err)) return false;
    double t1 = lb_now_s();
    lb_optim_clip_norm(t->optim, 1);
    if (!lb_optim_step(t->optim, 1, err)) return false;
    double t2 = lb_now_s();
    t->t_s[0] = t1 - t0, t->t_s[1] = t2 - t1, t->t_s[2] = t2 - t0;
    return true;
}

static bool train_steps(opts *o, lb_exec *ex, train_step *t, const char *dir, const lb_model_plan *plan, lb_err *err)
{
    enum { MAX_N = 64 };
    double all[MAX_N], way[MAX_N];
    int n = o->n < MAX_N ? (int)o->n : MAX_N;
    lb_limit fma0, fma1, tiles = {0};
    lb_model_plan held;
    bool (*limit)(lb_exec *, int, lb_limit *, lb_err *) = lb_limit_fma;
    if (t->compute == LB_COMPUTE_BF16 && !lb_limit_bf16(ex, 1, &tiles, err)) return false;
    if (tiles.median > 0) limit = lb_limit_bf16;
    if (!one_step(t, err) || !limit(ex, 5, &fma0, err)) return false;
    for (int i = 0; i < n; i++) {
        if (lb_cmd_stop) return lb_fail(err, LB_EFAIL, "stopped");
        if (!one_step(t, err)) return false;
        way[i] = t->t_s[0], all[i] = t->t_s[2];
    }
    if (!limit(ex, 5, &fma1, err)) return false;
    lb_model_grad_held(t->m, &held);
    double peak = 0.5 * (fma0.median + fma1.median), flops = step_flops(t->m, &t->docs);
    double s = lb_median(all, (size_t)n), best = all[0];
    for (int i = 1; i < n; i++) best = fmin(best, all[i]);
    double gf = flops / s / 1e9;
    if (!o->c.json)
        printf("train %d tokens, %s: %.3f s a step (best %.3f, n %d; AdamW %.3f of it), %.1f tok/s, %.1f GFLOP/s = "
               "%.0f %% of the %s peak %.1f beside it (best step %.0f %%); %.2f GB planned, tape %.2f planned and %.2f "
               "held; %s, %s\n",
               t->docs.n_tok, lb_compute_names[t->compute], s, best, n, s - lb_median(way, (size_t)n), t->docs.n_tok / s,
               gf, 100 * gf / peak, tiles.median > 0 ? "bf16" : "f32", peak, 100 * flops / best / 1e9 / peak,
               (double)plan->total / 1e9, (double)plan->tape / 1e9, (double)held.tape / 1e9, dir, lb_exec_name(ex));
    row(o, json_pack("{s:s, s:s, s:s, s:i, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:f}", "what", "train", "model",
                     dir, "compute", lb_compute_names[t->compute], "n_tok", t->docs.n_tok, "keep", o->keep, "t_s", s,
                     "t_s_best", best, "t_s_adamw", s - lb_median(way, (size_t)n), "tok_s", t->docs.n_tok / s,
                     "gflop_s", gf, "peak_gflop_s", peak, "peak_of", tiles.median > 0 ? "bf16" : "f32", "bytes_planned",
                     (double)plan->total, "tape_held", (double)held.tape));
    return true;
}

/* With --scheme, through the quantizers of a student. */
static bool open_student(opts *o, lb_exec *ex, const char *dir, const char *scheme, train_step *t, lb_err *err)
{
    lb_train_stage st = {.kind = LB_STAGE_SFT, .train = LB_TRAIN_ALL, .lr = 1e-5};
    const lb_student_opt so = {.model_dir = dir, .train = LB_TRAIN_ALL, .compute = t->compute, .keep = o->keep};
    if (!lb_scheme_parse(scheme, &st.scheme, err) || !(t->student = lb_student_open(&so, ex, err))) return false;
    t->m = lb_student_model(t->student);
    return lb_student_stage(t->student, &st, err);
}

/* Documents of 512 random tokens, cross-entropy, everything trained. */
static bool bench_train(opts *o, lb_exec *ex, lb_err *err)
{
    enum { DOC = 512 };
    char dir[512];
    lb_model_plan plan;
    lb_model_grad_opt opt = {.train = LB_TRAIN_ALL, .keep = o->keep};
    train_step t = {0};
    while (o->compute && lb_compute_names[t.compute] && strcmp(o->compute, lb_compute_names[t.compute]) != 0) t.compute++;
    if (!lb_compute_names[t.compute])
        return lb_fail(err, LB_EUSAGE, "--compute %s is unknown; there are f32, bf16x2 and bf16", o->compute);
    opt.compute = t.compute;
    int n = (int)o->tokens, n_doc = (n + DOC - 1) / DOC;
    int *ids = lb_alloc((size_t)n, 2 * sizeof *ids, "tokens", err);
    int *begin = ids ? lb_alloc((size_t)n_doc + 1, sizeof *begin, "tokens", err) : NULL;
    const char *scheme = o->scheme;
    o->scheme = NULL; /* the folder is the float model in any case */
    bool ok = ids && begin && bench_model(o, ex, dir, sizeof dir, err);
    if (ok && scheme) ok = open_student(o, ex, dir, scheme, &t, err);
    else if (ok) ok = (t.m = lb_model_grad_open(dir, ex, &opt, err)) != NULL;
    if (!ok) goto done;
    const lb_config *c = lb_model_grad_config(t.m);
    for (int i = 0; i < 2 * n; i++) ids[i] = (int)(lb_mix64((uint64_t)i) % (uint64_t)c->n_vocab);
    for (int i = 0; i <= n_doc; i++) begin[i] = i < n_doc ? i * DOC : n;
    t.docs = (lb_docs){.n_tok = n, .n_doc = n_doc, .ids = ids, .begin = begin};
    t.loss = (lb_vocab_loss){.target = ids + n, .ce = 1};
    ok = lb_model_grad_bytes(c, ex, &opt, n_doc, begin, NULL, &plan, err) &&
         (t.optim = lb_optim_open(ex, &(lb_optim_opt){.beta2 = 0.95f}, err));
    for (size_t i = 0; ok && i < lb_model_grad_count(t.m); i++)
        ok = lb_optim_add(t.optim, lb_model_grad_tensor(t.m, i)->p, &(lb_optim_group){.lr = 1e-5f}, err);
    ok = ok && train_steps(o, ex, &t, dir, &plan, err);
done:
    lb_optim_close(t.optim);
    if (t.student) lb_student_close(t.student);
    else lb_model_grad_close(t.m);
    free(ids);
    free(begin);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    opts o = {.shape = "qwen3-0.6b", .dir = "out/bench", .n = 9, .ctx = 16, .tokens = 512, .act = 16, .group = 128};
    bool done;
    const char *what = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    lb_arg table[] = {
        LB_MODEL_ARG(o.c),
        {"shape", 0, LB_ARG_STR, &o.shape, "NAME", "decode, prefill, train: random weights in this shape (qwen3-0.6b)",
         0, 0, false},
        {"scheme", 0, LB_ARG_STR, &o.scheme, "SCHEME",
         "quantized by rtn, such as w4g128 (default: 16 bits); train: through these quantizers", 0, 0, false},
        {"tensor", 0, LB_ARG_LIST, &o.tensor, "lm_head=SCHEME", "quantize the head as well", 0, 0, false},
        {"dir", 0, LB_ARG_STR, &o.dir, "DIR", "where such models are kept (out/bench)", 0, 0, false},
        {"ctx-size", 'c', LB_ARG_INT, &o.ctx, "N", "decode: positions before (16)", 0, 1 << 24, false},
        {"tokens", 0, LB_ARG_INT, &o.tokens, "N", "prefill: length of the prompt; train: tokens of a step (512)", 1,
         1 << 16, false},
        {"compute", 0, LB_ARG_STR, &o.compute, "HOW", "train: products in f32, bf16x2 or bf16 (f32)", 0, 0, false},
        {"keep", 0, LB_ARG_FLAG, &o.keep, NULL, "train: keep all activations, no checkpoint per block", 0, 0, false},
        {"act", 0, LB_ARG_INT, &o.act, "BITS", "matmul: also with activations of 8 or 4 bits (16)", 4, 16, false},
        {"group", 0, LB_ARG_INT, &o.group, "N", "matmul: columns per scale of integers, 0: a row (128)", 0, 1 << 20,
         false},
        {"format", 0, LB_ARG_LIST, &o.format, "NAME", "matmul: only this number format; can be repeated", 0, 0, false},
        {"repeat", 'r', LB_ARG_INT, &o.n, "N", "timed repetitions (9)", 1, 1000, false},
        {"kv", 0, LB_ARG_STR, &o.kv, "FORMAT", LB_KV_HELP " (default: bf16)", 0, 0, false},
        LB_COMMON_ARGS(o.c),
        {0},
    };
    int skip = what ? 1 : 0;
    if (!lb_cmd_start(&lb_cmd_bench, table, &o.c, argc - skip, argv + skip, &done, err)) return false;
    if (done) return true;
    if (!what) return lb_fail(err, LB_EUSAGE, "bench what? membw, peak, matmul, attn, decode, prefill or train");
    lb_exec *ex = lb_cmd_exec(&o.c, err);
    o.rows = json_array();
    bool ok = ex != NULL;
    if (!ok) {
    } else if (strcmp(what, "membw") == 0) ok = bench_membw(&o, ex, err);
    else if (strcmp(what, "peak") == 0) ok = bench_peak(&o, ex, err);
    else if (strcmp(what, "matmul") == 0) ok = bench_matmul(&o, ex, err);
    else if (strcmp(what, "attn") == 0) ok = bench_attn(&o, ex, err);
    else if (strcmp(what, "train") == 0) ok = bench_train(&o, ex, err);
    else if (strcmp(what, "decode") == 0 || strcmp(what, "prefill") == 0) ok = bench_whole(&o, ex, what[0] == 'p', err);
    else
        ok = lb_fail(err, LB_EUSAGE,
                     "bench '%s' is not known; there are membw, peak, matmul, attn, decode, prefill and "
                     "train",
                     what);
    if (ok && o.c.json) {
        json_t *j = json_pack("{s:O, s:s, s:s, s:s}", "rows", o.rows, "cpu", lb_cpu_model(), "exec", lb_exec_name(ex),
                              "version", lb_version());
        ok = lb_cmd_print_json(j, err);
    }
    json_decref(o.rows);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_bench = {
    "bench", "share of what the machine can do: membw, peak, matmul, attn, decode, prefill or train",
    "lowbit bench decode --scheme w4g128", run};
