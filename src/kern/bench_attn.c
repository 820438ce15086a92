/* kern/bench_attn.c – the attention bench. */
#include "kern/bench_attn.h"
#include "base/median.h"
#include "base/mem.h"
#include "base/rng.h"
#include <stdlib.h>

enum { N_HEAD = 16, N_KV = 8, D_HEAD = 128, MAX_LAYER = 64, MAX_PASS = 101 };
static const size_t total_bytes = (size_t)320 << 20;     /* beyond the last cache level */
static const double pass_s = 0.6;                        /* time to spend on a row */

typedef struct bench {
    lb_kv_layer layer[MAX_LAYER];
    int n_layer;
    int *host;               /* page table, then seq, then pos */
    int *map;                /* the same in device memory */
    float *q, *y;
} bench;

static void bench_close(bench *b, lb_exec *ex)
{
    for (int i = 0; i < b->n_layer; i++) {
        lb_exec_free(ex, b->layer[i].k);
        lb_exec_free(ex, b->layer[i].v);
    }
    free(b->host);
    lb_exec_free(ex, b->map);
    lb_exec_free(ex, b->q);
    lb_exec_free(ex, b->y);
}

/* Small random numbers in every page: one page of them, repeated. */
static bool fill(lb_exec *ex, const lb_kv_layer *l, int n_page, lb_err *err)
{
    size_t bytes = l->format->page_bytes(N_KV, D_HEAD), size = lb_dtype_bytes(l->format->dtype);
    void *one = lb_alloc(bytes, 1, "a page", err);
    if (!one) return false;
    lb_rng_key key = lb_rng_key_of(1, 2, 3);
    for (size_t i = 0; i < bytes / size; i++) lb_store_f32(one, l->format->dtype, i, lb_rng_normal(key, i));
    for (size_t p = 0; p < (size_t)n_page; p++) {
        lb_exec_put(ex, (char *)l->k + p * bytes, one, bytes);
        lb_exec_put(ex, (char *)l->v + p * bytes, one, bytes);
    }
    free(one);
    return true;
}

static bool bench_open(bench *b, lb_exec *ex, const lb_kv_format *format, int n_seq, int n_ctx, lb_err *err)
{
    int per_seq = (n_ctx + LB_PAGE - 1) / LB_PAGE, n_page = per_seq * n_seq, n_map = n_page + 2 * n_seq;
    size_t bytes = format->page_bytes(N_KV, D_HEAD), n_q = (size_t)n_seq * N_HEAD * D_HEAD;
    size_t want = total_bytes / (2 * bytes * (size_t)n_page) + 1;
    for (size_t i = 0; i < want && i < MAX_LAYER; i++) {
        lb_kv_layer *l = &b->layer[b->n_layer++];
        *l = (lb_kv_layer){.format = format, .n_kv = N_KV, .d_head = D_HEAD};
        l->k = lb_exec_alloc(ex, (size_t)n_page, bytes, "the bench's keys", err);
        l->v = l->k ? lb_exec_alloc(ex, (size_t)n_page, bytes, "the bench's values", err) : NULL;
        if (!l->v || !fill(ex, l, n_page, err)) return false;
    }
    b->host = lb_alloc((size_t)n_map, sizeof *b->host, "the bench's page table", err);
    b->map = lb_exec_alloc(ex, (size_t)n_map, sizeof *b->map, "the bench's page table", err);
    b->q = lb_exec_alloc(ex, n_q, sizeof *b->q, "the bench's queries", err);
    b->y = lb_exec_alloc(ex, n_q, sizeof *b->y, "the bench's results", err);
    float *q = lb_alloc(n_q, sizeof *q, "the bench's queries", err);
    if (!b->host || !b->map || !b->q || !b->y || !q) {
        free(q);
        return false;
    }
    lb_rng_key key = lb_rng_key_of(4, 5, 6);
    for (size_t i = 0; i < n_q; i++) q[i] = lb_rng_normal(key, i);
    lb_exec_put(ex, b->q, q, n_q * sizeof *q);
    free(q);
    for (int i = 0; i < n_page; i++) b->host[i] = i;
    for (int i = n_page - 1; i > 0; i--) {
        int j = (int)(lb_mix64((uint64_t)i) % (uint64_t)(i + 1)), t = b->host[i];
        b->host[i] = b->host[j];
        b->host[j] = t;
    }
    for (int s = 0; s < n_seq; s++) {
        b->host[n_page + s] = s;
        b->host[n_page + n_seq + s] = n_ctx - 1;
    }
    lb_exec_put(ex, b->map, b->host, (size_t)n_map * sizeof *b->map);
    return lb_exec_sync(ex, err);
}

bool lb_bench_attn_one(lb_exec *ex, const lb_kv_format *format, lb_bench_attn_row *row, lb_err *err)
{
    bench b = {0};
    bool ok = false;
    int n_seq = row->n_seq, per_seq = (row->n_ctx + LB_PAGE - 1) / LB_PAGE;
    if (!bench_open(&b, ex, format, n_seq, row->n_ctx, err)) goto done;
    lb_attn a = {.y = b.y, .q = b.q, .n_tok = n_seq, .n_head = N_HEAD, .scale = 0.0883883476f,
                 .map = {.pages = b.map, .max_pages = per_seq, .seq = b.map + per_seq * n_seq,
                         .pos = b.map + per_seq * n_seq + n_seq}};
    a.kv = b.layer[0];
    const lb_impl *impl = lb_op_pick(&lb_op_attn, ex, &a);
    if (!impl) {
        lb_fail(err, LB_EUNSUPPORTED, "no attention kernel for the %s cache on %s", format->name, lb_exec_name(ex));
        goto done;
    }
    double t[MAX_PASS], spent = 0;
    int n = 0;
    for (int pass = -1; n < MAX_PASS && (n < 5 || spent < pass_s); pass++) {  /* pass −1 warms up */
        double t0 = lb_now_s();
        for (int i = 0; i < b.n_layer; i++) {
            a.kv = b.layer[i];
            lb_op_run(&lb_op_attn, impl, &a, ex);
        }
        if (!lb_exec_sync(ex, err)) goto done;
        double took = lb_now_s() - t0;
        if (pass < 0) continue;
        t[n++] = took / b.n_layer;
        spent += took;
    }
    row->impl = impl->name;
    row->n = n;
    row->t_s = lb_median(t, (size_t)n);
    row->t_best_s = t[0];
    row->gb_s = 2e-9 * (double)format->page_bytes(N_KV, D_HEAD) * per_seq * n_seq / row->t_s;
    ok = true;
done:
    bench_close(&b, ex);
    return ok;
}

bool lb_bench_attn(lb_exec *ex, const lb_kv_format *format, lb_bench_attn_row *rows, lb_err *err)
{
    static const int n_ctx[] = {512, 4096, 16384}, n_seq[] = {1, 16};
    for (int i = 0; i < LB_BENCH_ATTN_ROWS; i++) {
        rows[i] = (lb_bench_attn_row){.n_seq = n_seq[i / 3], .n_ctx = n_ctx[i % 3]};
        if (!lb_bench_attn_one(ex, format, &rows[i], err)) return false;
    }
    return true;
}
