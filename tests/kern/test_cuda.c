/* test_cuda.c – every CUDA row of every operator against row 0 on fresh random inputs, in device memory. Row 0 computes
 * on the host; the row under test gets copies, outputs poisoned first, guard words around them. Skipped where this build
 * or this machine has no CUDA; LB_NEED_CUDA=1 makes that a failure. */
#include "test.h"
#include "base/rng.h"
#include "kern/attn.h"
#include "kern/elem.h"
#include "kern/matmul.h"
#include "kern/transform.h"
#include "num/fp4.h"
#include "num/hadamard.h"
#include <time.h>

enum { GUARD = 64, MAX_BUF = 64 };
static const uint32_t POISON = 0xdeadbeefu;

/* ---- random numbers: the seed is printed, LB_SEED=n repeats it ---- */
static uint64_t seed, n_drawn;
static float normal(void) { return lb_rng_normal(lb_rng_key_of(seed, 1, 0), n_drawn++); }
static int below(int n) { return (int)(lb_rng_uniform(lb_rng_key_of(seed, 2, 0), n_drawn++) * n); }
static int pick(const int *list, int n) { return list[below(n)]; }
#define PICK(...) pick((const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

/* ---- buffers: a host copy and a device copy that is an output (guarded) or an input ---- */
static lb_exec *ex;
static void *host_mem[MAX_BUF], *dev_mem[MAX_BUF];
static int n_host, n_dev;

static void *must(void *p)
{
    assert_non_null(p);
    return p;
}
static void *host(size_t bytes) { return host_mem[n_host++] = must(calloc(1, bytes ? bytes : 1)); }
static float *randoms(size_t n, float size)
{
    float *x = host(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = size * normal();
    return x;
}

/* Device copy of a host array. */
static void *dev(const void *data, size_t bytes)
{
    lb_err err = {0};
    void *p = lb_exec_alloc(ex, bytes, 1, "a test input", &err);
    assert_ok(p, err);
    lb_exec_put(ex, p, data, bytes);
    return dev_mem[n_dev++] = p;
}

/* A device array of `bytes` (a multiple of 4) that starts as `start` or poison, between guards; `shift` words move it
 * off its alignment. */
static void *dev_out(size_t bytes, const void *start, size_t shift)
{
    size_t words = bytes / 4 + 2 * GUARD;
    uint32_t *fill = host(words * 4);
    for (size_t i = 0; i < words; i++) fill[i] = POISON;
    if (start) memcpy(fill + GUARD + shift, start, bytes);
    return (uint32_t *)dev(fill, words * 4) + GUARD + shift;
}

static void dev_get(void *out, const void *p, size_t bytes, const char *row)
{
    lb_err err = {0};
    size_t words = bytes / 4;
    uint32_t *all = host((words + 2 * (GUARD - 8)) * 4);
    lb_exec_get(ex, all, (const uint32_t *)p - (GUARD - 8), (words + 2 * (GUARD - 8)) * 4);
    assert_ok(lb_exec_sync(ex, &err), err);
    for (size_t i = 0; i < GUARD - 8; i++)
        if (all[i] != POISON || all[GUARD - 8 + words + i] != POISON) fail_msg("%s wrote outside of its output", row);
    memcpy(out, all + GUARD - 8, bytes);
}

static void drop(void)
{
    while (n_host) free(host_mem[--n_host]);
    while (n_dev) lb_exec_free(ex, dev_mem[--n_dev]);
}

/* Runs the row under test on device args. */
static void run(const lb_op *op, const lb_impl *impl, const void *args)
{
    lb_err err = {0};
    if (impl->scratch) {
        assert_ok(lb_exec_reserve(ex, impl->scratch(args), &err), err);
        static char junk[1 << 20];
        memset(junk, 0xff, sizeof junk);
        if (impl->scratch(args) <= sizeof junk) lb_exec_put(ex, lb_exec_scratch(ex), junk, impl->scratch(args));
    }
    lb_op_run(op, impl, args, ex);
    assert_ok(lb_exec_sync(ex, &err), err);
}

/* |y − want| ≤ tol·size + tiny, element by element (size NULL: |want|); NaN only where NaN is wanted. */
static void near_all(const char *what, const float *y, const float *want, const double *size, double tol, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double most = tol * (size ? size[i] : fabs((double)want[i])) + 1e-37;
        bool same = isnan(want[i]) ? isnan(y[i]) : y[i] == want[i] || fabs((double)y[i] - (double)want[i]) <= most;
        if (!same)
            fail_msg("%s [%zu of %zu] = %.9g, wanted %.9g ± %.3g (LB_SEED=%llu)", what, i, n, (double)y[i],
                     (double)want[i], most, (unsigned long long)seed);
    }
}

/* ---- matmul ---- */
static lb_mat random_mat(const lb_num *num, int n, int k, size_t *bytes)
{
    lb_mat m = {.num = num, .n = n, .k = k};
    size_t nk = (size_t)n * (size_t)k;
    if (num->block) {
        size_t ng = (size_t)n * (size_t)lb_n_group(k, num->block);
        lb_fp4mat q = {num, n, k, num == &lb_num_nvfp4 ? 0.0031f : 1, host(nk), host(ng)};
        for (size_t i = 0; i < nk; i++) q.codes[i] = (uint8_t)below(16);
        for (size_t i = 0; i < ng; i++) q.scales[i] = (uint8_t)(num == &lb_num_nvfp4 ? below(80) : 115 + below(8));
        m = lb_fp4_mat(num, n, k, q.tensor_scale);
        void *data = must(aligned_alloc(64, num->size(&m)));
        host_mem[n_host++] = data;
        lb_fp4_pack(&q, data, &m);
    } else if (num->grouped) {
        int group = PICK(32, 64, 96, 128);
        if (group > k || below(4) == 0) group = k;
        size_t ng = (size_t)n * (size_t)lb_n_group(k, group);
        lb_qmat q = {num->bits, n, k, group, (lb_dtype)PICK(LB_F32, LB_F16, LB_BF16), host(nk), host(ng * 4), host(ng),
                     num->half};
        for (size_t i = 0; i < nk; i++) q.codes[i] = (uint8_t)below(1 << num->bits);
        for (size_t i = 0; i < ng; i++) {
            q.scales[i] = lb_from_bf16(lb_to_bf16(0.001f + 0.02f * fabsf(normal()))); /* exact in all three types */
            q.zeros[i] = (uint8_t)below(num->half ? 7 : 1 << num->bits);
        }
        m = lb_tile_mat(num, n, k, group, q.scale_type);
        void *data = must(aligned_alloc(64, num->size(&m)));
        host_mem[n_host++] = data;
        lb_tile_pack(&q, data, &m);
    } else {
        void *data = host(num->size(&m));
        for (size_t i = 0; i < nk; i++) lb_store_f32(data, num->dtype, i, 0.05f * normal());
        m.data = data;
    }
    *bytes = num->size(&m);
    return m;
}

/* How far y[t,r] may be off. f32 sums of K products: K/32 of them in a row and 5 more in the plain row; in any order in
 * cuBLASLt, and cut off instead of rounded in tensor cores. cuBLASLt gets x as two numbers of 16 bits: 2⁻¹⁶ and 2⁻²² of it
 * are lost; f16's subnormals are coarse by 2⁻³⁸ of the token's largest value. */
static double *matmul_bounds(const lb_matmul *a, const lb_impl *impl)
{
    int n = a->w.n, k = a->w.k;
    bool lt = strcmp(impl->name, "cublaslt") == 0;
    double *size = host((size_t)a->n_tok * (size_t)n * sizeof *size);
    float *w = host((size_t)k * sizeof *w);
    double eps = (lt ? k / 4.0 + 16 : k / 32.0 + 8) * 0x1p-24, tiny = 0;
    if (lt && a->w.num->dtype == LB_F32) eps = (k / 8.0 + 8) * 0x1p-24;
    if (lt && a->w.num->dtype == LB_BF16) eps += 0x1.02p-16;
    if (lt && a->w.num->dtype == LB_F16) eps += 0x1.02p-22, tiny = 0x1p-38;
    for (int r = 0; r < n; r++) {
        a->w.num->decode(&a->w, r, 0, k, w);
        for (int t = 0; t < a->n_tok; t++) {
            double sum = 0, sum_w = 0, top = 0;
            for (int c = 0; c < k; c++) {
                double x = fabs((double)a->x[(size_t)t * (size_t)k + (size_t)c]);
                sum += x * fabs((double)w[c]), sum_w += fabs((double)w[c]), top = fmax(top, x);
            }
            double end = 0x1p-23 * (sum + (a->bias ? fabs((double)a->bias[r]) : 0));
            size[(size_t)t * (size_t)n + (size_t)r] = eps * sum + tiny * top * sum_w + end;
        }
    }
    return size;
}

static void matmul_case(const lb_op *op, const lb_impl *impl, int round)
{
    int n_num = 0;
    while (lb_nums[n_num]) n_num++;
    int n = PICK(1, 2, 3, 7, 15, 16, 17, 33, 64, 100, 130, 323);
    int k = PICK(1, 3, 8, 17, 32, 33, 64, 96, 100, 127, 128, 256, 512, 776, 1537);
    int n_tok = PICK(1, 2, 3, 7, 8, 9, 16, 17, 33, 65), ldy = n + PICK(0, 0, 3, 16);
    size_t bytes, shift = (size_t)(below(4) == 0), sx = (size_t)n_tok * (size_t)k * 4, nt = (size_t)n_tok * (size_t)n;
    lb_mat m = random_mat(lb_nums[round % n_num], n, k, &bytes), on_gpu = m;
    float *x = randoms((size_t)n_tok * (size_t)k, 1), *bias = below(2) ? randoms((size_t)n, 1) : NULL;
    for (int t = 0; t < n_tok; t++) /* tokens of different size; single large values, as models have */
        for (int i = 0; i < k; i++)
            x[(size_t)t * (size_t)k + (size_t)i] *= (t % 5 == 4 ? 1e4f : 1) * (i % 61 == 7 ? 50.0f : 1);
    float *want = host(nt * 4), *y = host(nt * 4), *rows = host((size_t)n_tok * (size_t)ldy * 4);
    lb_matmul a = {.y = want, .x = x, .w = m, .bias = bias, .n_tok = n_tok, .ldy = n};
    op->impls[0].run(&a, 0, n, NULL);
    on_gpu.data = dev(m.data, bytes);
    lb_matmul g = {.x = dev_out(sx, x, shift), .w = on_gpu, .bias = bias ? dev(bias, (size_t)n * 4) : NULL,
                   .n_tok = n_tok, .ldy = ldy};
    if (impl->fits && !impl->fits(&g)) return;
    size_t out_bytes = (size_t)n_tok * (size_t)ldy * 4;
    g.y = dev_out(out_bytes, NULL, shift);
    run(op, impl, &g);
    dev_get(rows, g.y, out_bytes, impl->name);
    for (int t = 0; t < n_tok; t++) {
        memcpy(y + (size_t)t * (size_t)n, rows + (size_t)t * (size_t)ldy, (size_t)n * 4);
        for (int i = n; i < ldy; i++)
            if (memcmp(&rows[(size_t)t * (size_t)ldy + (size_t)i], &POISON, 4))
                fail_msg("%s wrote between the rows of y", impl->name);
    }
    char what[128];
    snprintf(what, sizeof what, "matmul %s %s n %d k %d group %d tok %d", impl->name, m.num->name, n, k, m.group,
             n_tok);
    near_all(what, y, want, matmul_bounds(&a, impl), 1, nt);
    if (strcmp(impl->name, "cuda") != 0) return;
    lb_matmul one = g;                                       /* the last token alone: the same bits */
    one.n_tok = 1, one.x = g.x + (size_t)(n_tok - 1) * (size_t)k, one.ldy = n, one.y = dev_out((size_t)n * 4, NULL, 0);
    run(op, impl, &one);
    dev_get(want, one.y, (size_t)n * 4, impl->name);
    assert_memory_equal(want, y + (size_t)(n_tok - 1) * (size_t)n, (size_t)n * 4);
}

/* ---- attention and the cache ---- */
typedef struct cache {
    lb_kv_layer l;
    lb_kv_map map;
    size_t bytes;
    int n_page, n_seq;
} cache;

/* A cache of n_seq sequences, all NaN, pages in random order; len[s] is the length of sequence s. */
static cache random_cache(int n_kv, int d_head, int n_seq, const int *len)
{
    int n_format = 0;
    while (lb_kv_formats[n_format] && lb_kv_formats[n_format]->bits >= 16) n_format++;
    lb_kv_layer l = {.format = lb_kv_formats[below(n_format)], .n_kv = n_kv, .d_head = d_head};
    cache c = {.l = l, .map = {.max_pages = 1}, .n_seq = n_seq};
    for (int s = 0; s < n_seq; s++)
        if ((len[s] + LB_PAGE - 1) / LB_PAGE > c.map.max_pages) c.map.max_pages = (len[s] + LB_PAGE - 1) / LB_PAGE;
    c.n_page = n_seq * c.map.max_pages;
    c.bytes = lb_kv_k_bytes(&c.l) * (size_t)c.n_page;
    int *pages = host((size_t)c.n_page * sizeof *pages);
    for (int i = 0; i < c.n_page; i++) pages[i] = i;
    for (int i = c.n_page - 1; i > 0; i--) {
        int j = below(i + 1), t = pages[i];
        pages[i] = pages[j], pages[j] = t;
    }
    c.map.pages = pages;
    c.l.k = memset(host(c.bytes), 0xff, c.bytes);
    c.l.v = memset(host(c.bytes), 0xff, c.bytes);
    return c;
}

/* n_tok tokens: the last positions of random sequences, in random order, distinct. */
static lb_kv_map random_tokens(cache *c, const int *len, int n_tok)
{
    int *seq = host((size_t)n_tok * sizeof *seq), *pos = host((size_t)n_tok * sizeof *pos);
    for (int t = 0; t < n_tok; t++) {
        seq[t] = below(c->n_seq);
        pos[t] = below(4) ? len[seq[t]] - 1 - t : below(len[seq[t]]);
        if (pos[t] < 0) pos[t] = len[seq[t]] - 1;
    }
    lb_kv_map m = c->map;
    m.seq = seq, m.pos = pos;
    return m;
}

static lb_kv_map map_on_gpu(const cache *c, const lb_kv_map *m, int n_tok)
{
    size_t n = (size_t)n_tok * sizeof(int);
    return (lb_kv_map){dev(m->pages, (size_t)c->n_page * sizeof(int)), m->max_pages, dev(m->seq, n), dev(m->pos, n)};
}


/* A format of few bits may have no CUDA row yet; the float formats must. */
static bool takes(const lb_impl *impl, const void *args, const cache *c)
{
    if (!impl->fits || impl->fits(args)) return true;
    const char *name = c->l.format->name;
    if (strcmp(name, "bf16") == 0 || strcmp(name, "f32") == 0)
        fail_msg("%s does not take %s of d_head %d", impl->name, name, c->l.d_head);
    return false;
}

static void attn_case(const lb_op *op, const lb_impl *impl, int round)
{
    int n_kv = PICK(1, 2, 3), per_kv = PICK(1, 2, 3, 4, 7, 8), d_head = PICK(2, 8, 24, 32, 64, 80, 128, 192, 256);
    int n_seq = PICK(1, 2, 5), len[5];
    if (round % 16 == 0) n_kv = 1, per_kv = 1, d_head = PICK(510, 2050, 4096);
    for (int s = 0; s < n_seq; s++) len[s] = PICK(1, 2, 31, 32, 33, 64, 65, 127, 129, 300);
    if (round % 16 == 1) len[0] = 2500;
    cache c = random_cache(n_kv, d_head, n_seq, len);
    int n_tok = PICK(1, 2, 5, 11), n_head = n_kv * per_kv;
    float k_size = PICK(1, 1, 1, 100);
    void *abs_v = memset(host(c.bytes), 0xff, c.bytes);
    for (int s = 0; s < n_seq; s++)
        for (int p = 0; p < len[s]; p++)
            for (int i = 0; i < n_kv * d_head; i++) {
                int page = c.map.pages[s * c.map.max_pages + p / LB_PAGE], h = i / d_head, d = i % d_head;
                float v = normal();
                lb_store_f32(c.l.k, c.l.format->dtype, lb_kv_k_at(&c.l, page, h, p % LB_PAGE, d), k_size * normal());
                lb_store_f32(c.l.v, c.l.format->dtype, lb_kv_v_at(&c.l, page, h, p % LB_PAGE, d), v);
                lb_store_f32(abs_v, c.l.format->dtype, lb_kv_v_at(&c.l, page, h, p % LB_PAGE, d), fabsf(v));
            }
    lb_kv_map map = random_tokens(&c, len, n_tok);
    size_t n = (size_t)n_tok * (size_t)n_head * (size_t)d_head;
    float *q = randoms(n, 1), *want = host(n * 4), *mag = host(n * 4), *y = host(n * 4);
    if (round % 8 == 5) q[below((int)n)] = NAN;
    lb_attn a = {want, q, c.l, map, n_tok, n_head, 1 / sqrtf((float)d_head)};
    op->impls[0].run(&a, 0, op->units(&a), NULL);
    lb_attn b = a;
    b.y = mag, b.kv.v = abs_v;
    op->impls[0].run(&b, 0, op->units(&b), NULL);
    /* As in test_attn.c: a score has d_head roundings of what is summed so far and moves its p by as much. */
    double *size = host(n * sizeof *size);
    for (int t = 0; t < n_tok; t++)
        for (int head = 0; head < n_head; head++) {
            size_t at = ((size_t)t * (size_t)n_head + (size_t)head) * (size_t)d_head;
            double most = 0;
            for (int p = 0; p <= map.pos[t]; p++) {
                int page = map.pages[map.seq[t] * map.max_pages + p / LB_PAGE];
                double s = 0;
                for (int d = 0; d < d_head; d++) {
                    size_t i = lb_kv_k_at(&c.l, page, head / per_kv, p % LB_PAGE, d);
                    s += fabs((double)q[at + (size_t)d] * (double)lb_load_f32(c.l.k, c.l.format->dtype, i));
                }
                most = fmax(most, s * (double)a.scale);
            }
            double tol = 0x1p-24 * (12 + 4 * (sqrt(d_head) * most + sqrt(map.pos[t] + 1.0)));
            for (int d = 0; d < d_head; d++) size[at + (size_t)d] = tol * (double)mag[at + (size_t)d];
        }
    lb_attn g = a;
    g.kv.k = dev(c.l.k, c.bytes), g.kv.v = dev(c.l.v, c.bytes);
    if (!takes(impl, &g, &c)) return;
    g.map = map_on_gpu(&c, &map, n_tok);
    g.q = dev(q, n * 4), g.y = dev_out(n * 4, NULL, 0);
    run(op, impl, &g);
    dev_get(y, g.y, n * 4, impl->name);
    char what[128];
    snprintf(what, sizeof what, "attn %s %s kv %d×%d d_head %d tok %d", impl->name, c.l.format->name, n_kv, per_kv,
             d_head, n_tok);
    near_all(what, y, want, size, 1, n);
    lb_attn one = g;                                         /* the last token alone: the same bits */
    size_t last = n / (size_t)n_tok;
    one.n_tok = 1, one.q += n - last, one.map.seq += n_tok - 1, one.map.pos += n_tok - 1;
    one.y = dev_out(last * 4, NULL, 0);
    run(op, impl, &one);
    dev_get(want, one.y, last * 4, impl->name);
    assert_memory_equal(want, y + n - last, last * 4);
}

static void kv_write_case(const lb_op *op, const lb_impl *impl, int round)
{
    static const float odd[] = {INFINITY, -INFINITY, -0.0f, 0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 1e-40f, 3.4e38f, NAN};
    int n_kv = PICK(1, 2, 3), d_head = PICK(2, 6, 15, 16, 64, 128, 256), len[3] = {70, 33, 1}, n_tok = PICK(1, 2, 5);
    cache c = random_cache(n_kv, d_head, 3, len);
    int seq[5] = {1, 0, 0, 2, 0}, pos[5] = {32, 31, 69, 0, below(30)};
    size_t n = (size_t)n_tok * (size_t)n_kv * (size_t)d_head;
    float *k = randoms(n, 1), *v = randoms(n, 1);
    for (size_t i = 0; i < n && i < 9; i++) k[i] = odd[(i + (size_t)round) % 9], v[i] = -k[i];
    lb_kv_map map = {c.map.pages, c.map.max_pages, seq, pos};
    lb_kv_write a = {c.l, map, k, v, n_tok}, g = a;
    g.kv.k = dev_out(c.bytes, c.l.k, 0), g.kv.v = dev_out(c.bytes, c.l.v, 0);
    op->impls[0].run(&a, 0, op->units(&a), NULL);
    if (!takes(impl, &g, &c)) return;
    g.k = dev(k, n * 4), g.v = dev(v, n * 4), g.map = map_on_gpu(&c, &map, n_tok);
    run(op, impl, &g);
    void *got = host(c.bytes);
    dev_get(got, g.kv.k, c.bytes, impl->name);
    assert_memory_equal(got, c.l.k, c.bytes);
    dev_get(got, g.kv.v, c.bytes, impl->name);
    assert_memory_equal(got, c.l.v, c.bytes);
}

/* ---- the small operators ---- */

/* Row 0 on host args, the row under test on device args; *out and *dev_y are their outputs of n floats, which start as
 * `start` (NULL: poison). */
static void compare(const lb_op *op, const lb_impl *impl, const void *args, float *out, const void *dev_args,
                    float *dev_y, size_t n, const double *size, double tol)
{
    op->impls[0].run(args, 0, op->units(args), NULL);
    assert_true(!impl->fits || impl->fits(dev_args));
    run(op, impl, dev_args);
    float *y = host(n * 4);
    dev_get(y, dev_y, n * 4, impl->name);
    near_all(op->name, y, out, size, tol, n);
}

static int width(void) { return PICK(1, 2, 7, 31, 32, 33, 64, 100, 256, 257, 1024, 3000); }
static double *constant(size_t n, double v)
{
    double *p = host(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = v;
    return p;
}

static void embed_case(const lb_op *op, const lb_impl *impl, int round)
{
    int n_num = 0, n_tok = PICK(1, 2, 9), d = width(), n_vocab = PICK(1, 17, 40);
    int *ids = host((size_t)n_tok * sizeof *ids);
    while (lb_nums[n_num]) n_num++;
    size_t bytes, n = (size_t)n_tok * (size_t)d;
    lb_mat m = random_mat(lb_nums[round % n_num], n_vocab, d, &bytes), on_gpu = m;
    for (int i = 0; i < n_tok; i++) ids[i] = below(n_vocab);
    on_gpu.data = dev(m.data, bytes);
    lb_embed a = {host(n * 4), m, ids, n_tok};
    lb_embed g = {dev_out(n * 4, NULL, 0), on_gpu, dev(ids, (size_t)n_tok * sizeof *ids), n_tok};
    compare(op, impl, &a, a.y, &g, g.y, n, NULL, 0);
}

static void rmsnorm_case(const lb_op *op, const lb_impl *impl, int round)
{
    static const float sizes[] = {1, 1.2e19f, 1e-30f, 300};  /* squares that overflow; only eps is left */
    int n_row = PICK(1, 2, 5, 33), d = width();
    size_t n = (size_t)n_row * (size_t)d;
    float *x = randoms(n, 1), *w = randoms((size_t)d, 1);
    for (int r = 0; r < n_row; r++)
        for (int i = 0; i < d; i++) x[(size_t)r * (size_t)d + (size_t)i] *= sizes[r % 4];
    if (round % 4 == 3) x[n - 1] = NAN;
    lb_rmsnorm a = {host(n * 4), x, w, n_row, d, 1e-6f}, g = {NULL, NULL, dev(w, (size_t)d * 4), n_row, d, 1e-6f};
    g.y = dev_out(n * 4, round % 2 ? x : NULL, 0);           /* in place, or not */
    g.x = round % 2 ? g.y : dev(x, n * 4);
    compare(op, impl, &a, a.y, &g, g.y, n, NULL, 0x1p-23);
}

static void rope_case(const lb_op *op, const lb_impl *impl, int round)
{
    int n_tok = PICK(1, 2, 9), n_head = PICK(1, 2, 5), d_head = PICK(2, 8, 34, 64, 128, 256);
    int *pos = host((size_t)n_tok * sizeof *pos);
    size_t n = (size_t)n_tok * (size_t)n_head * (size_t)d_head;
    float *x = randoms(n, 1), *inv_freq = host((size_t)d_head * 2);
    for (int i = 0; i < d_head / 2; i++)
        inv_freq[i] = i == 1 ? 1.57079633f : powf(1e6f, -2.0f * (float)i / (float)d_head);
    for (int t = 0; t < n_tok; t++) pos[t] = below(PICK(1, 100, 5000, 131072, 1000003));
    lb_rope a = {x, pos, inv_freq, n_tok, n_head, d_head, round % 2 ? 1 : 1.25f}, g = a;
    g.x = dev_out(n * 4, x, 0), g.pos = dev(pos, (size_t)n_tok * sizeof *pos);
    g.inv_freq = dev(inv_freq, (size_t)d_head * 2);
    /* 2 ulp of sine and cosine, each times a number below 5 */
    compare(op, impl, &a, x, &g, g.x, n, constant(n, 10), 2.5e-7);
}

static void swiglu_case(const lb_op *op, const lb_impl *impl, int round)
{
    int n_tok = PICK(1, 2, 9), d = width();
    size_t n = (size_t)n_tok * (size_t)d;
    float *gate = randoms(n, 1), *up = randoms(n, 1);
    for (size_t i = 0; i < n; i++) gate[i] *= i % 3 == 0 ? 20 : i % 7 == 0 ? 1e-20f : 1;
    if (n > 5 && round % 4 == 0) gate[0] = NAN, gate[1] = INFINITY, gate[2] = 1e30f, gate[3] = -1e30f, up[4] = NAN;
    lb_swiglu a = {host(n * 4), gate, up, n_tok, d};
    lb_swiglu g = {dev_out(n * 4, round % 2 ? gate : NULL, 0), NULL, dev(up, n * 4), n_tok, d};
    g.gate = round % 2 ? g.y : dev(gate, n * 4);             /* in place, or not */
    compare(op, impl, &a, a.y, &g, g.y, n, NULL, 8 * 0x1p-24);
}

static void add_case(const lb_op *op, const lb_impl *impl, int round)
{
    (void)round;
    int n_tok = PICK(1, 2, 9), d = width();
    size_t n = (size_t)n_tok * (size_t)d;
    lb_add a = {randoms(n, 1), randoms(n, 1), n_tok, d}, g = {dev_out(n * 4, a.x, 0), dev(a.y, n * 4), n_tok, d};
    compare(op, impl, &a, a.x, &g, g.x, n, NULL, 0);
}

static void gather_case(const lb_op *op, const lb_impl *impl, int round)
{
    (void)round;
    int n_x = PICK(1, 5, 40), n_row = PICK(1, 3, 50), d = width(), *rows = host((size_t)n_row * sizeof *rows);
    size_t n = (size_t)n_row * (size_t)d, nx = (size_t)n_x * (size_t)d;
    for (int i = 0; i < n_row; i++) rows[i] = below(n_x);
    lb_gather a = {host(n * 4), randoms(nx, 1), rows, n_row, d};
    lb_gather g = {dev_out(n * 4, NULL, 0), dev(a.x, nx * 4), dev(rows, (size_t)n_row * sizeof *rows), n_row, d};
    compare(op, impl, &a, a.y, &g, g.y, n, NULL, 0);
}

static void scatter_case(const lb_op *op, const lb_impl *impl, int round)
{
    (void)round;
    int n_y = PICK(1, 5, 40), n_row = 1 + below(n_y), d = width(), first = below(n_y);
    int *rows = host((size_t)n_row * sizeof *rows);
    size_t n = (size_t)n_y * (size_t)d, nx = (size_t)n_row * (size_t)d;
    for (int i = 0; i < n_row; i++) rows[i] = (first + i) % n_y; /* distinct */
    float *y = randoms(n, 1);
    lb_scatter a = {y, randoms(nx, 1), rows, randoms((size_t)n_row, 1), n_row, d};
    lb_scatter g = {dev_out(n * 4, y, 0), dev(a.x, nx * 4), dev(rows, (size_t)n_row * sizeof *rows),
                    dev(a.weight, (size_t)n_row * 4), n_row, d};
    compare(op, impl, &a, y, &g, g.y, n, constant(n, 32), 0x1p-24);
}

static void transform_case(const lb_op *op, const lb_impl *impl, int round)
{
    lb_transform t = {.kind = (lb_transform_kind)(round % 4)}, u;
    int n_row = PICK(1, 3, 20), p = below(9);
    t.na = PICK(1, 2, 7, 16, 32), t.nb = PICK(1, 3, 8, 48, 128), t.m = PICK(1, 1, 12, 28, 148);
    t.block = t.kind == LB_TRANSFORM_HADAMARD ? t.m << p : t.na * t.nb;
    t.k = t.kind == LB_TRANSFORM_HADAMARD ? t.block * PICK(1, 3) : t.na * t.nb;
    size_t n = (size_t)n_row * (size_t)t.k, na2 = (size_t)(t.na * t.na) * 4, nb2 = (size_t)(t.nb * t.nb) * 4;
    if (t.kind == LB_TRANSFORM_SCALE || below(2)) t.scale = randoms((size_t)t.k, 1);
    if (t.kind == LB_TRANSFORM_KRON && below(3)) t.a = randoms((size_t)(t.na * t.na), 1);
    if (t.kind == LB_TRANSFORM_KRON && below(3)) t.b = randoms((size_t)(t.nb * t.nb), 1);
    float *had = host((size_t)(t.m * t.m) * 4), *x = randoms(n, 1);
    assert_true(lb_hadamard_dense(t.m, had));
    if (t.m > 1) t.had = had;
    u = t;
    if (t.scale) u.scale = dev(t.scale, (size_t)t.k * 4);
    if (t.a) u.a = dev(t.a, na2);
    if (t.b) u.b = dev(t.b, nb2);
    if (t.had) u.had = dev(t.had, (size_t)(t.m * t.m) * 4);
    lb_transform_args a = {host(n * 4), x, t, n_row}, g = {dev_out(n * 4, below(2) ? x : NULL, 0), NULL, u, n_row};
    g.x = below(2) ? dev(x, n * 4) : g.y;
    if (g.x == g.y) lb_exec_put(ex, g.y, x, n * 4);
    /* numbers up to about 5 (with a scale, 25) in sums of na + nb or √block terms of size 1 */
    compare(op, impl, &a, a.y, &g, g.y, n, constant(n, 30.0 * sqrt(t.na * t.nb + t.block)), 4 * 0x1p-24);
}

/* ---- the walk ---- */
static const struct {
    const lb_op *op;
    void (*one)(const lb_op *, const lb_impl *, int round);
    int rounds;
} cases[] = {
    {&lb_op_matmul, matmul_case, 150},   {&lb_op_attn, attn_case, 50}, {&lb_op_kv_write, kv_write_case, 30},
    {&lb_op_embed, embed_case, 40},      {&lb_op_rmsnorm, rmsnorm_case, 40}, {&lb_op_rope, rope_case, 40},
    {&lb_op_swiglu, swiglu_case, 40},    {&lb_op_add, add_case, 20}, {&lb_op_gather, gather_case, 20},
    {&lb_op_scatter, scatter_case, 20},  {&lb_op_transform, transform_case, 60},
};

static bool open_gpu(void)
{
    lb_err err = {0};
    ex = lb_exec_open(&(lb_exec_opt){.device = "cuda"}, &err);
    if (!ex && getenv("LB_NEED_CUDA")) fail_msg("%s", err.msg);
    if (!ex) print_message("skipped: %s\n", err.msg);
    return ex != NULL;
}

static void every_row(void **state)
{
    (void)state;
    if (!open_gpu()) skip();
    print_message("%s, LB_SEED=%llu\n", lb_exec_name(ex), (unsigned long long)seed);
    int divide = getenv("LB_ROUNDS_DIV") ? atoi(getenv("LB_ROUNDS_DIV")) : 1; /* fewer rounds under a slow checker */
    for (int i = 0; lb_ops[i]; i++) {
        size_t j = 0;
        while (j < sizeof cases / sizeof *cases && cases[j].op != lb_ops[i]) j++;
        if (j == sizeof cases / sizeof *cases) fail_msg("operator %s has no case in this test", lb_ops[i]->name);
        int rows = 0;
        for (const lb_impl *impl = lb_ops[i]->impls; impl->name; impl++) {
            if (!(impl->needs & LB_CUDA)) continue;
            rows++;
            for (int r = 0; r < cases[j].rounds / divide; r++) {
                cases[j].one(lb_ops[i], impl, r);
                drop();
            }
            print_message("%-8s %-9s ok\n", lb_ops[i]->name, impl->name);
        }
        if (rows == 0) fail_msg("operator %s has no CUDA row", lb_ops[i]->name);
    }
    lb_exec_close(ex);
}

/* Errors come back as errors: a GPU that is not there, more memory than there is. */
static void errors_are_clear(void **state)
{
    (void)state;
    if (!open_gpu()) skip();
    lb_err err = {0};
    assert_null(lb_exec_open(&(lb_exec_opt){.device = "cuda:99"}, &err));
    assert_int_equal(err.code, LB_EDEVICE);
    assert_non_null(strstr(err.msg, "cuda:99"));
    assert_null(lb_exec_alloc(ex, (size_t)1 << 46, 1, "a test", &err));
    assert_int_equal(err.code, LB_ENOMEM);
    assert_non_null(strstr(err.msg, "a test"));
    assert_ok(lb_exec_sync(ex, &err), err);                  /* and leave no fault behind */
    lb_exec_close(ex);
}

/* Fresh memory is zero; what is put is what is got, in the order of the calls. */
static void memory(void **state)
{
    (void)state;
    if (!open_gpu()) skip();
    lb_err err = {0};
    enum { N = 3000001 };
    unsigned char *a = must(malloc(N)), *b = must(malloc(N));
    unsigned char *p = lb_exec_alloc(ex, N, 1, "a test", &err);
    assert_ok(p, err);
    assert_int_equal((uintptr_t)p % 64, 0);
    lb_exec_get(ex, b, p, N);
    for (int i = 0; i < N; i++) assert_int_equal(b[i], 0);
    for (int round = 0; round < 20; round++) {               /* the host buffer is reused at once */
        for (int i = 0; i < N; i++) a[i] = (unsigned char)(i * 7 + round);
        lb_exec_put(ex, p + round % 2, a, N - 1);
    }
    lb_exec_get(ex, b, p + 1, N - 1);
    assert_ok(lb_exec_sync(ex, &err), err);
    assert_memory_equal(a, b, N - 1);
    lb_exec_free(ex, p);
    lb_exec_close(ex);
    free(a);
    free(b);
}

int main(void)
{
    seed = getenv("LB_SEED") ? strtoull(getenv("LB_SEED"), NULL, 10) : (uint64_t)time(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory), cmocka_unit_test(errors_are_clear), cmocka_unit_test(every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
