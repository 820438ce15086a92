/* kern/x86/gemm_amx.c – the amx row of kern/gemm.c's table: f32 matrices multiplied in bf16 tiles.
 *
 * An f32 number is, exactly, the sum of three bf16 numbers: its upper 8 bits, the next 8, the last 8. Products of two
 * such sums, added up in f32, are as good as those of f32, if the six largest of the nine are taken: what is left out
 * is below the last bit of an f32 product. With two numbers (the second one rounded) three products give 16 bits; with
 * one, bf16. lb_gemm.compute says how many there are: `parts`.
 *
 * Both operands are packed as slabs: 32 lines (rows of A, columns of B) × 32 columns of k, each part two tiles of 16
 * lines. In A's tiles a row is a line; in B's a row is a pair of k (kern/x86/amx.h):
 *
 *     A   scratch  [m/32][k/32][part][half][16 lines][32 k]          once per call, by prep
 *     B   panel    [columns/32][k/32 of a block][part][half][16 pairs of k][16 lines][2]     stays in L2
 *
 * Lines and columns past the end are zeros. */
#include "kern/x86/amx.h"
#include "kern/x86/gemm_x86.h"
#include "kern/x86/gemm_avx512.h"

enum {
    SLAB = 32,                                   /* lines and columns of a slab */
    TILE = 512,                                  /* bf16 numbers of a tile */
    BLOCK_ONE = 1024, BLOCK_MORE = 512,          /* columns of a block of k, for one part and for more */
    PANEL = LB_GEMM_COLS * BLOCK_MORE * 3,       /* numbers of the largest panel */
};
_Static_assert((int)LB_GEMM_ROWS == (int)SLAB && (int)LB_GEMM_COLS % SLAB == 0, "units are whole slabs");
_Static_assert((int)LB_GEMM_COLS * (int)BLOCK_ONE <= (int)PANEL, "a panel of one part fits as well");

ALWAYS int min_int(int a, int b) { return a < b ? a : b; }
ALWAYS int slabs(int n) { return (n + SLAB - 1) / SLAB; }
static int parts_of(const lb_gemm *g) { return 3 - (int)g->compute; }
static size_t slab_size(int parts) { return (size_t)parts * 2 * TILE; }

/* ---- packing ---- */
/* Takes the upper 8 bits off x; the last part rounds instead (to nearest, and three parts leave nothing to round). */
ALWAYS vi upper(vf x) { return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32((int)0xffff0000u)); }

/* Part `part` of 32 numbers as pairs of neighbours, and what is left of them. */
ALWAYS vi take_row(vf *a, vf *b, bool last)
{
    if (last) return (vi)_mm512_cvtne2ps_pbh(*b, *a);
    static const uint16_t odd[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                     33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    vi ua = upper(*a), ub = upper(*b);
    *a -= _mm512_castsi512_ps(ua), *b -= _mm512_castsi512_ps(ub);
    return _mm512_permutex2var_epi16(ua, _mm512_loadu_si512(odd), ub);
}

/* The same of 16 numbers a and the 16 below them: lane i is the pair a[i], b[i]. */
ALWAYS vi take_pairs(vf *a, vf *b, bool last)
{
    if (last) {
        vi ra = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(*a)),
           rb = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(*b));
        return _mm512_or_si512(ra, _mm512_slli_epi32(rb, 16));
    }
    vi ua = upper(*a), ub = upper(*b);
    *a -= _mm512_castsi512_ps(ua), *b -= _mm512_castsi512_ps(ub);
    return _mm512_or_si512(_mm512_srli_epi32(ua, 16), ub);
}

/* One tile of every part: n_line ≤ 16 lines, n ≤ 32 columns of k of x, where neighbours in memory are columns (`along`)
 * or lines. As it is read a vector is a line, or a pair of k; `turn`: the tile has it the other way round. */
ALWAYS void pack_tile(const float *x, size_t ld, int n_line, int n, bool along, bool turn, int parts, uint16_t *out)
{
    vf q[3][16];
    for (int i = 0; i < 16; i++) {
        vf a = v_zero(), b = v_zero();
        if (along && i < n_line) {
            const float *p = x + (size_t)i * ld;
            a = n >= 16 ? v_load(p) : v_load_n(p, n);
            if (n > 16) b = n == 32 ? v_load(p + 16) : v_load_n(p + 16, n - 16);
        } else if (!along) {
            const float *p = x + (size_t)(2 * i) * ld;
            if (2 * i < n) a = n_line == 16 ? v_load(p) : v_load_n(p, n_line);
            if (2 * i + 1 < n) b = n_line == 16 ? v_load(p + ld) : v_load_n(p + ld, n_line);
        }
#pragma GCC unroll 3
        for (int s = 0; s < parts; s++)
            q[s][i] =
                _mm512_castsi512_ps(along ? take_row(&a, &b, s + 1 == parts) : take_pairs(&a, &b, s + 1 == parts));
    }
#pragma GCC unroll 3
    for (int s = 0; s < parts; s++) {
        if (turn) v_transpose(q[s]);
        for (int i = 0; i < 16; i++) _mm512_store_ps(out + (size_t)s * 2 * TILE + (size_t)i * 32, q[s][i]);
    }
}

ALWAYS void pack_slabs(const float *x, size_t ld, int n_line, int k, bool along, bool turn, int parts, uint16_t *out)
{
    for (int k0 = 0; k0 < k; k0 += SLAB, out += slab_size(parts))
        for (int h = 0; h < 2; h++) {
            int n = n_line - 16 * h < 0 ? 0 : min_int(16, n_line - 16 * h);
            size_t line = (size_t)(16 * h), column = (size_t)k0;
            const float *p = n == 0 ? x : along ? x + line * ld + column : x + column * ld + line;
            pack_tile(p, ld, n, min_int(SLAB, k - k0), along, turn, parts, out + h * TILE);
        }
}

/* Up to 32 lines, k columns of them, as slabs. */
static void pack(const float *x, size_t ld, int n_line, int k, bool along, bool turn, int parts, uint16_t *out)
{
#define PACK(A, T, P) if (along == A && turn == T && parts == P) pack_slabs(x, ld, n_line, k, A, T, P, out)
    PACK(true, false, 1); PACK(true, false, 2); PACK(true, false, 3);
    PACK(true, true, 1); PACK(true, true, 2); PACK(true, true, 3);
    PACK(false, false, 1); PACK(false, false, 2); PACK(false, false, 3);
    PACK(false, true, 1); PACK(false, true, 2); PACK(false, true, 3);
#undef PACK
}

bool lb_gemm_amx_fits(const void *args)
{
    const lb_gemm *g = args;
    /* Not by m: what comes of a row must not depend on how many there are. */
    return lb_gemm_batch(g) == 1 && g->n >= 16 && g->k >= 16;
}

size_t lb_gemm_amx_scratch(const void *args)
{
    const lb_gemm *g = args;
    return (size_t)slabs(g->m) * (size_t)slabs(g->k) * slab_size(parts_of(g)) * sizeof(uint16_t);
}

void lb_gemm_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    const lb_gemm *g = args;
    size_t ld = (size_t)lb_gemm_lda(g), size = (size_t)slabs(g->k) * slab_size(parts_of(g));
    uint16_t *out = lb_exec_scratch(ex);
    for (int u = unit0; u < unit1; u++) {
        size_t i = (size_t)u * SLAB;
        pack(g->a + (g->ta ? i : i * ld), ld, min_int(SLAB, g->m - (int)i), g->k, !g->ta, g->ta, parts_of(g),
             out + (size_t)u * size);
    }
}

/* ---- multiplying ---- */
/* c [32][32], rows ldc apart, = a slab of A times one of B, `steps` of them in a row. Neighbouring products share an
 * operand. */
ALWAYS void product(const uint16_t *a, const uint16_t *b, int steps, int parts, float *c, size_t ldc)
{
    amx_zero();
    for (int i = 0; i < steps; i++, a += slab_size(parts), b += slab_size(parts)) {
#define A(PART) amx_load_a(a + (PART) * 2 * TILE)
#define B(PART) amx_load_b(b + (PART) * 2 * TILE)
        if (parts == 3) {
            A(0), B(2), amx_bf16();
            B(1), amx_bf16();
            A(1), amx_bf16();
            B(0), amx_bf16();
            A(2), amx_bf16();
            A(0), amx_bf16();
        } else if (parts == 2) {
            A(0), B(1), amx_bf16();
            B(0), amx_bf16();
            A(1), amx_bf16();
        } else {
            A(0), B(0), amx_bf16();
        }
#undef A
#undef B
    }
    amx_store(c, ldc * sizeof(float));
}

/* What of a block of C, up to 32 × 32, is done with its sums. */
typedef struct place {
    float *c;
    const float *bias;           /* NULL: none, or not yet */
    size_t ldc;
    int n_row, n_col;
    bool add;
} place;

/* Its rows lie far apart: on their way while the product is made. */
static void fetch(const place *p)
{
    for (int i = 0; i < p->n_row; i++)
        for (int j = 0; j < p->n_col; j += VW) __builtin_prefetch(p->c + (size_t)i * p->ldc + j, 1);
}

static void put(const place *p, const float *sum)
{
    for (int i = 0; i < p->n_row; i++)
        for (int j = 0; j < p->n_col; j += VW) {
            int n = min_int(VW, p->n_col - j);
            float *c = p->c + (size_t)i * p->ldc + j;
            vf x = v_load(sum + i * SLAB + j);
            if (p->add) x = (n == VW ? v_load(c) : v_load_n(c, n)) + x;
            if (p->bias) x += n == VW ? v_load(p->bias + j) : v_load_n(p->bias + j, n);
            if (n == VW) v_store(c, x);
            else v_store_n(c, x, n);
        }
}

/* A strip of C. */
static void gemm_rows(const lb_gemm *g, const lb_gemm_block *at, int parts, const uint16_t *a,
                      uint16_t *panel)
{
    _Alignas(64) float sum[SLAB * SLAB];
    size_t ldb = (size_t)lb_gemm_ldb(g), ldc = (size_t)lb_gemm_ldc(g), slab = slab_size(parts);
    int block = parts == 1 ? BLOCK_ONE : BLOCK_MORE;
    for (int k0 = 0; k0 < g->k; k0 += block) {
        int k = min_int(block, g->k - k0), steps = slabs(k);
        for (int j = 0; j < at->n_col; j += SLAB) {
            size_t col = (size_t)(at->col + j), row = (size_t)k0;
            pack(g->b + (g->tb ? col * ldb + row : row * ldb + col), ldb, min_int(SLAB, at->n_col - j), k, g->tb, g->tb,
                 parts, panel + (size_t)(j / SLAB) * (size_t)steps * slab);
        }
        for (int i = 0; i < at->n_row; i += SLAB) {
            size_t row = (size_t)(at->row + i) / SLAB;
            const uint16_t *from = a + (row * (size_t)slabs(g->k) + (size_t)(k0 / SLAB)) * slab;
            for (int j = 0; j < at->n_col; j += SLAB) {
                const uint16_t *b = panel + (size_t)(j / SLAB) * (size_t)steps * slab;
                place p = {.c = g->c + (size_t)(at->row + i) * ldc + at->col + j, .ldc = ldc,
                           .n_row = min_int(SLAB, at->n_row - i), .n_col = min_int(SLAB, at->n_col - j),
                           .add = g->add || k0 > 0, .bias = g->bias && k0 + k == g->k ? g->bias + at->col + j : NULL};
                bool straight = p.n_row == SLAB && p.n_col == SLAB && !p.add && !p.bias;
                float *c = straight ? p.c : sum;
                size_t to = straight ? ldc : SLAB;
                fetch(&p);
                if (parts == 3) product(from, b, steps, 3, c, to);
                else if (parts == 2) product(from, b, steps, 2, c, to);
                else product(from, b, steps, 1, c, to);
                if (!straight) put(&p, sum);
            }
        }
    }
}

void lb_gemm_amx(const void *args, int unit0, int unit1, lb_exec *ex)
{
    _Alignas(64) uint16_t panel[PANEL];
    const lb_gemm *g = args;
    amx_open();
    for (int u = unit0; u < unit1;) {
        lb_gemm_block at = lb_gemm_strip(g, &u, unit1);
        gemm_rows(g, &at, parts_of(g), lb_exec_scratch(ex), panel);
    }
    amx_close();
}
