/* kern/bench_attn.c – the attention bench. */
#include "kern/bench_attn.h"
#include "base/median.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/kv_pack.h"
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
    float *angles, *scales;  /* shared by the layers */
} bench;

static void bench_close(bench *b, lb_exec *ex)
{
    for (int i = 0; i < b->n_layer; i++) {
        lb_exec_free(ex, b->layer[i].k);
        lb_exec_free(ex, b->layer[i].v);
        lb_exec_free(ex, b->layer[i].ring_k);
        lb_exec_free(ex, b->layer[i].ring_v);
    }
    free(b->host);
    lb_exec_free(ex, b->map);
    lb_exec_free(ex, b->q);
    lb_exec_free(ex, b->y);
    lb_exec_free(ex, b->angles);
    lb_exec_free(ex, b->scales);
}

/* What all layers share: angles, and scales for numbers of size 1. */
static bool open_shared(bench *b, lb_exec *ex, lb_kv_layer *l, int per_seq, lb_err *err)
{
    size_t n_page = (size_t)per_seq * D_HEAD, n_slot = (size_t)D_HEAD * LB_PAGE, n = N_KV * D_HEAD;
    float *host = lb_alloc(n_page + n_slot + 2 * n, sizeof *host, "the bench's tables", err), freq[D_HEAD / 2];
    if (!host) return false;
    for (int i = 0; i < D_HEAD / 2; i++) freq[i] = 1.0f / (float)(i + 1);
    lb_kv_angles(freq, D_HEAD, 1, per_seq, host, host + n_page);
    b->angles = lb_exec_alloc(ex, n_page + n_slot, sizeof *host, "the bench's tables", err);
    if (b->angles) lb_exec_put(ex, b->angles, host, (n_page + n_slot) * sizeof *host);
    bool ok = b->angles != NULL;
    if (ok && l->key == LB_KV_PER_CHANNEL_STATIC) {
        for (size_t i = 0; i < n; i++) lb_kv_static_scale(l->format->bits, -3, 3, &host[i], &host[n + i]);
        b->scales = lb_exec_alloc(ex, 2 * n, sizeof *host, "the bench's scales", err);
        if (b->scales) lb_exec_put(ex, b->scales, host, 2 * n * sizeof *host);
        ok = b->scales != NULL;
        l->k_scale = b->scales, l->k_zero = b->scales + n;
    }
    l->rope_page = b->angles, l->rope_slot = b->angles + n_page;
    free(host);
    return ok;
}

/* One page of random numbers on the host, as the reference writes it; ring_k, ring_v are the page before it was
 * packed. */
static bool page_open(lb_kv_layer *l, lb_err *err)
{
    int n = LB_PAGE * N_KV * D_HEAD, zero = 0, seq[LB_PAGE] = {0}, pos[LB_PAGE];
    float *x = lb_alloc((size_t)n, 2 * sizeof *x, "a page", err);
    l->k = lb_alloc(lb_kv_k_bytes(l), 1, "a page", err);
    l->v = lb_alloc(lb_kv_v_bytes(l), 1, "a page", err);
    l->ring_k = lb_alloc((size_t)n, 2, "a page", err);
    l->ring_v = lb_alloc((size_t)n, 2, "a page", err);
    l->ring_pages = 1;
    float *tables = lb_alloc(N_KV * D_HEAD, 2 * sizeof *tables, "scales", err);
    bool ok = x && l->k && l->v && l->ring_k && l->ring_v && tables;
    lb_rng_key key = lb_rng_key_of(1, 2, 3);
    for (int i = 0; ok && i < 2 * n; i++) x[i] = lb_rng_normal(key, (uint64_t)i);
    for (int i = 0; i < LB_PAGE; i++) pos[i] = i;
    if (ok && l->key == LB_KV_PER_CHANNEL_STATIC) {
        for (int i = 0; i < N_KV * D_HEAD; i++)
            lb_kv_static_scale(l->format->bits, -3, 3, &tables[i], &tables[N_KV * D_HEAD + i]);
        l->k_scale = tables, l->k_zero = tables + N_KV * D_HEAD;
    }
    lb_kv_write w = {.kv = *l, .map = {&zero, 1, seq, pos}, .k = x, .v = x ? x + n : NULL, .n_tok = LB_PAGE};
    if (ok) lb_kv_write_impls[0].run(&w, 0, lb_op_kv_write.units(&w), NULL);
    free(x);
    free(tables);
    return ok;
}

static void page_close(lb_kv_layer *l)
{
    free(l->k);
    free(l->v);
    free(l->ring_k);
    free(l->ring_v);
}

static void repeat(lb_exec *ex, void *to, const void *page, size_t bytes, size_t n)
{
    for (size_t p = 0; p < n; p++) lb_exec_put(ex, (char *)to + p * bytes, page, bytes);
}

static bool bench_open(bench *b, lb_exec *ex, const lb_kv_layer *how, int n_seq, int n_ctx, lb_err *err)
{
    int per_seq = (n_ctx + LB_PAGE - 1) / LB_PAGE, n_page = per_seq * n_seq, n_map = n_page + 2 * n_seq;
    lb_kv_layer shape = {.format = how->format, .n_kv = N_KV, .d_head = D_HEAD, .key = how->key, .clip = how->clip,
                         .pre_rope = how->pre_rope, .window = how->window};
    size_t k_bytes = lb_kv_k_bytes(&shape), v_bytes = lb_kv_v_bytes(&shape), n_q = (size_t)n_seq * N_HEAD * D_HEAD;
    size_t want = total_bytes / ((k_bytes + v_bytes) * (size_t)n_page) + 1, n_ring = 0;
    size_t ring_bytes = 2 * N_KV * D_HEAD * LB_PAGE;
    if (!open_shared(b, ex, &shape, per_seq, err)) return false;
    if (shape.window) {
        shape.ring_pages = lb_kv_ring_pages(shape.window, 1);
        n_ring = (size_t)(shape.ring_pages * n_seq);
    }
    lb_kv_layer page = shape;
    bool ok = page_open(&page, err);
    for (size_t i = 0; ok && i < want && i < MAX_LAYER; i++) {
        lb_kv_layer *l = &b->layer[b->n_layer++];
        *l = shape;
        l->k = lb_exec_alloc(ex, (size_t)n_page, k_bytes, "the bench's keys", err);
        l->v = l->k ? lb_exec_alloc(ex, (size_t)n_page, v_bytes, "the bench's values", err) : NULL;
        ok = l->v != NULL;
        if (ok && n_ring) {
            l->ring_k = lb_exec_alloc(ex, n_ring, ring_bytes, "the bench's window", err);
            l->ring_v = l->ring_k ? lb_exec_alloc(ex, n_ring, ring_bytes, "the bench's window", err) : NULL;
            ok = l->ring_v != NULL;
        }
        if (!ok) break;
        repeat(ex, l->k, page.k, k_bytes, (size_t)n_page);
        repeat(ex, l->v, page.v, v_bytes, (size_t)n_page);
        repeat(ex, l->ring_k, page.ring_k, ring_bytes, n_ring);
        repeat(ex, l->ring_v, page.ring_v, ring_bytes, n_ring);
    }
    page_close(&page);
    if (!ok) return false;
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

/* Bytes that one token reads of a sequence of n_ctx positions. */
static double bytes_read(const lb_kv_layer *l, int n_ctx)
{
    double sum = 0;
    for (int j = 0; j * LB_PAGE < n_ctx; j++)
        sum += !lb_kv_packed(l) || lb_kv_reads_packed(l, n_ctx - 1, j) ? (double)(lb_kv_k_bytes(l) + lb_kv_v_bytes(l))
                                                                        : 4.0 * N_KV * D_HEAD * LB_PAGE;
    return sum;
}

bool lb_bench_attn_one(lb_exec *ex, const lb_kv_layer *how, lb_bench_attn_row *row, lb_err *err)
{
    bench b = {0};
    bool ok = false;
    int n_seq = row->n_seq, per_seq = (row->n_ctx + LB_PAGE - 1) / LB_PAGE;
    if (!bench_open(&b, ex, how, n_seq, row->n_ctx, err)) goto done;
    lb_attn a = {.y = b.y, .q = b.q, .n_tok = n_seq, .n_head = N_HEAD, .scale = 0.0883883476f,
                 .map = {.pages = b.map, .max_pages = per_seq, .seq = b.map + per_seq * n_seq,
                         .pos = b.map + per_seq * n_seq + n_seq}};
    a.kv = b.layer[0];
    const lb_impl *impl = lb_op_pick(&lb_op_attn, ex, &a);
    if (!impl) {
        lb_fail(err, LB_EUNSUPPORTED, "no attention kernel for this %s cache on %s", how->format->name, lb_exec_name(ex));
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
    row->gb_s = 1e-9 * bytes_read(&b.layer[0], row->n_ctx) * n_seq / row->t_s;
    ok = true;
done:
    bench_close(&b, ex);
    return ok;
}

bool lb_bench_attn(lb_exec *ex, const lb_kv_layer *how, lb_bench_attn_row *rows, lb_err *err)
{
    static const int n_ctx[] = {512, 4096, 16384}, n_seq[] = {1, 16};
    for (int i = 0; i < LB_BENCH_ATTN_ROWS; i++) {
        rows[i] = (lb_bench_attn_row){.n_seq = n_seq[i / 3], .n_ctx = n_ctx[i % 3]};
        if (!lb_bench_attn_one(ex, how, &rows[i], err)) return false;
    }
    return true;
}
