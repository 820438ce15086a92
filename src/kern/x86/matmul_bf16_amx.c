/* kern/x86/matmul_bf16_amx.c – bf16 weights and f32 activations on AMX tiles.
 *
 * A number of x is taken as the sum of two bf16 numbers, the nearest one and the one nearest to what is left, off by at
 * most 2⁻¹⁷ of it. (A third part would make it exact for half as many products again; with two, logits of small models
 * move by 1e-5, a tenth of what 16-bit integers do for packed weights.) What an output is: for every 32 columns in their
 * order first the products with the smaller parts are added, then those with the larger, each as TDPBF16PS does it
 * (even columns and odd ones by FMA from zero, their sum to what there is); the bias comes last. Columns past the end are
 * zeros. This does not depend on how many lines or columns a tile has, or where sums are put aside, so neither do the
 * bits.
 *
 * A is weights as they lie in memory: 16 rows × 32 columns. B is tokens, turned once per call (the row's prep):
 *
 *     tokens  [tiles of 16][steps of 32 columns][PARTS][16 pairs of columns][tokens of the tile][2]
 *
 * where the last tile has as many tokens as are left. A and B make 32 rows × 32 tokens of y, turned: lanes are tokens.
 *
 *     few()   up to FEW tokens: rows one after the other, their columns to the end
 *     many()  PANEL rows × KC columns stay in L2 while CHUNK tokens pass by, whose sums are put aside for the next columns
 */
#include "kern/x86/amx.h"
#include "kern/x86/matmul_avx512.h"

enum {
    PARTS = 2,
    STEP = 32,                                   /* columns of a tile of A */
    ROWS = 32, TOKENS = 32,                      /* of four tiles of C, a cell */
    FEW = 64,
    PANEL = 256, KC = 512, CHUNK = 256,          /* 256 KiB of weights, as much of sums, 512 KiB of tokens */
};

INLINE int min_int(int a, int b) { return a < b ? a : b; }
INLINE int steps_of(int k) { return (k + STEP - 1) / STEP; }
/* Bytes of a token, at PARTS × 64 a step. */
INLINE size_t token_bytes(const lb_matmul *a) { return (size_t)steps_of(a->w.k) * PARTS * 64; }

/* ---- tokens ---- */
/* 32 numbers as pairs of neighbours, rounded to bf16, which are taken off. */
INLINE vec take_part(vec *a, vec *b)
{
    __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh(*b, *a);
    __m256i low = _mm512_castsi512_si256(pairs), high = _mm512_extracti64x4_epi64(pairs, 1);
    *a = _mm512_sub_ps(*a, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16)));
    *b = _mm512_sub_ps(*b, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16)));
    return _mm512_castsi512_ps(pairs);
}

/* Lanes t0…t1−1 of one step of a tile of `width` tokens. x is token t0; n columns. */
INLINE void turn_step(const float *x, size_t ld, int t0, int t1, int n, int width, char *out)
{
    vec q[PARTS][16];
    for (int t = 0; t < 16; t++) {
        const float *p = x + (size_t)(t - t0) * ld;
        vec a = v_zero(), b = v_zero();
        if (t >= t0 && t < t1) a = v_row(p, 4 * min_int(n, 16));
        if (t >= t0 && t < t1 && n > 16) b = v_row(p + 16, 4 * (n - 16));
#pragma GCC unroll 3
        for (int s = 0; s < PARTS; s++) q[s][t] = take_part(&a, &b);
    }
#pragma GCC unroll 3
    for (int s = 0; s < PARTS; s++, out += 64 * width) {
        v_transpose(q[s]);
        for (int i = 0; i < 16; i++) v_store_part((float *)out + i * width, q[s][i], t0, t1);
    }
}

/* One token alone lies as it is. */
INLINE void one_step(const float *x, int n, char *out)
{
    vec a = v_row(x, 4 * min_int(n, 16)), b = n > 16 ? v_row(x + 16, 4 * (n - 16)) : v_zero();
#pragma GCC unroll 3
    for (int s = 0; s < PARTS; s++) v_store((float *)(out + 64 * s), take_part(&a, &b));
}

static void turn(const lb_matmul *a, int tok0, int tok1, char *to)
{
    size_t k = (size_t)a->w.k;
    for (int tile = tok0 / 16 * 16; tile < tok1; tile += 16) {
        int t0 = tok0 > tile ? tok0 - tile : 0, t1 = min_int(16, tok1 - tile), width = min_int(16, a->n_tok - tile);
        const float *x = a->x + (size_t)(tile + t0) * k;
        char *out = to + (size_t)tile * token_bytes(a);
        for (int k0 = 0; k0 < a->w.k; k0 += STEP, out += PARTS * 64 * width) {
            int n = min_int(STEP, a->w.k - k0);
            if (width == 1) one_step(x + k0, n, out);
            else turn_step(x + k0, k, t0, t1, n, width, out);
        }
    }
}

/* ---- multiplying ---- */
/* What is fetched while tiles multiply: the rows that are read next, or two lines of two tokens of y a step. */
enum { NOTHING, NEXT, PLACE };
/* A pair of tiles of A. */
typedef struct side {
    const char *p;
    size_t line, second, step;   /* bytes from one line, tile and step to the next */
    size_t ahead;                /* bytes to the next rows */
    float *y;
    size_t ldy;
} side;

/* One or two tiles of B at a step: where, and bytes of a line. */
typedef struct tokens {
    const char *p[2];
    size_t line[2];
} tokens;

static tokens tokens_at(const lb_matmul *a, int tok, int step, const char *from)
{
    tokens t = {{NULL}, {0}};
    for (int i = 0; i < 2 && tok + 16 * i < a->n_tok; i++) {
        t.line[i] = 4 * (size_t)min_int(16, a->n_tok - tok - 16 * i);
        t.p[i] = from + (size_t)(tok + 16 * i) * token_bytes(a) + (size_t)step * PARTS * 16 * t.line[i];
    }
    return t;
}

/* Adds `steps` of them to the tiles of C; n_a and n_b say how many tiles there are. */
INLINE void products(side a, tokens b, int steps, int how, int n_a, int n_b)
{
    amx_fence(a.p);
    for (int s = 0; s < steps; s++, a.p += a.step) {
        _tile_loadd(4, a.p, a.line);
        if (n_a == 2) _tile_loadd(5, a.p + a.second, a.line);
        if (how == NEXT)
            for (int r = 0; r < 16 * n_a; r++) __builtin_prefetch(a.p + a.ahead + (size_t)r * a.line, 0, 2);
        if (how == PLACE)
            for (int t = 0; t < 2; t++, a.y += a.ldy) __builtin_prefetch(a.y, 1), __builtin_prefetch(a.y + 16, 1);
#pragma GCC unroll 3
        for (int i = PARTS - 1; i >= 0; i--) {
            _tile_loadd(6, b.p[0] + (size_t)i * 16 * b.line[0], b.line[0]);
            if (n_b == 2) _tile_loadd(7, b.p[1] + (size_t)i * 16 * b.line[1], b.line[1]);
            _tile_dpbf16ps(0, 4, 6);
            if (n_b == 2) _tile_dpbf16ps(1, 4, 7);
            if (n_a == 2) _tile_dpbf16ps(2, 5, 6);
            if (n_a == 2 && n_b == 2) _tile_dpbf16ps(3, 5, 7);
        }
        b.p[0] += PARTS * 16 * b.line[0];
        if (n_b == 2) b.p[1] += PARTS * 16 * b.line[1];
    }
}

/* Up to ROWS × TOKENS of y. */
typedef struct cell {
    int row, n_row, tok, n_tok;
} cell;

/* One step whose tiles would reach past the end of a row, or of the rows: with zeros there. */
static side padded(const lb_matmul *a, const cell *c, int k, char out[2 * AMX_BYTES])
{
    size_t ld = (size_t)a->w.k * 2;
    const char *w = (const char *)a->w.data + (size_t)c->row * ld + (size_t)k * 2;
    int n = min_int(STEP, a->w.k - k);
    for (int r = 0; r < ROWS; r++)
        v_store((float *)(out + r * 64), r < c->n_row ? v_row(w + (size_t)r * ld, 2 * n) : v_zero());
    return (side){out, 64, AMX_BYTES, 0, 0, NULL, 0};
}

/* C += columns [k0,k1) of a cell. */
INLINE void add_to(const lb_matmul *a, const cell *c, int k0, int k1, int how, const char *from, int n_a, int n_b)
{
    _Alignas(64) char copied[2 * AMX_BYTES];
    int step = k0 / STEP, whole = c->n_row % 16 ? step : k1 / STEP;
    size_t ld = (size_t)a->w.k * 2;
    side w = {(const char *)a->w.data + (size_t)c->row * ld + (size_t)k0 * 2, ld, 16 * ld, 64, ROWS * ld,
              a->y + (size_t)c->tok * (size_t)a->ldy + (size_t)c->row, (size_t)a->ldy};
    tokens b = tokens_at(a, c->tok, step, from);
    if (how == NEXT && c->row + 2 * ROWS <= a->w.n) products(w, b, whole - step, NEXT, n_a, n_b);
    else if (how == PLACE && n_a == 2 && c->n_tok == TOKENS) products(w, b, whole - step, PLACE, n_a, n_b);
    else products(w, b, whole - step, NOTHING, n_a, n_b);
    for (int s = whole; s < steps_of(k1); s++)
        products(padded(a, c, s * STEP, copied), tokens_at(a, c->tok, s, from), 1, NOTHING, n_a, n_b);
}

/* The same from sums [2][2][16][16] and back to them; not from any at column 0. */
INLINE void sums_of(const lb_matmul *a, const cell *c, int k0, int k1, int how, const char *from, float *sums,
                    int n_a, int n_b)
{
    if (k0 == 0) {
        amx_zero();
    } else {
        _tile_loadd(0, sums, 64);
        if (n_b == 2) _tile_loadd(1, sums + 256, 64);
        if (n_a == 2) _tile_loadd(2, sums + 512, 64);
        if (n_a == 2 && n_b == 2) _tile_loadd(3, sums + 768, 64);
    }
    add_to(a, c, k0, k1, how, from, n_a, n_b);
    _tile_stored(0, sums, 64);
    if (n_b == 2) _tile_stored(1, sums + 256, 64);
    if (n_a == 2) _tile_stored(2, sums + 512, 64);
    if (n_a == 2 && n_b == 2) _tile_stored(3, sums + 768, 64);
}

static void multiply(const lb_matmul *a, const cell *c, int k0, int k1, int how, const char *from, float *to)
{
    if (c->n_row > 16 && c->n_tok > 16) sums_of(a, c, k0, k1, how, from, to, 2, 2);
    else if (c->n_row > 16) sums_of(a, c, k0, k1, how, from, to, 2, 1);
    else if (c->n_tok > 16) sums_of(a, c, k0, k1, how, from, to, 1, 2);
    else sums_of(a, c, k0, k1, how, from, to, 1, 1);
}

/* Sums, turned, to y. */
static void put(const lb_matmul *a, const cell *c, const float *sums)
{
    for (int h = 0; h < c->n_row; h += 16) {
        int r = c->row + h, n = min_int(16, c->n_row - h);
        vec bias = a->bias ? v_row(a->bias + r, 4 * n) : v_zero();
        for (int i = 0; i < c->n_tok; i += 16) {
            vec v[16];
            for (int j = 0; j < 16; j++) v[j] = v_load(sums + h * 32 + i * 16 + j * 16);
            v_transpose(v);
            for (int t = 0; t < min_int(16, c->n_tok - i); t++) {
                float *y = a->y + (size_t)(c->tok + i + t) * (size_t)a->ldy + r;
                vec s = a->bias ? v_add(v[t], bias) : v[t];
                if (n == 16) v_store(y, s);
                else v_store_part(y, s, 0, n);
            }
        }
    }
}

/* The shape of tiles for so many tokens. */
static void shape(int n_tok)
{
    amx_open_as(16, 16, min_int(16, n_tok), n_tok > 16 ? min_int(16, n_tok - 16) : 16);
}

static void few(const lb_matmul *a, int row0, int row1, const char *from)
{
    _Alignas(64) float to[1024];
    int shaped = 0;
    for (int row = row0; row < row1; row += ROWS)
        for (int tok = 0; tok < a->n_tok; tok += TOKENS) {
            cell c = {row, min_int(ROWS, row1 - row), tok, min_int(TOKENS, a->n_tok - tok)};
            if (c.n_tok != shaped) shape(shaped = c.n_tok);
            multiply(a, &c, 0, a->w.k, tok == 0 ? NEXT : NOTHING, from, to);
            put(a, &c, to);
        }
}

/* Two lines of each row of a cell, i of a block of columns. */
INLINE void prefetch(const lb_matmul *a, int row, int n_row, int k, int i)
{
    const char *p = (const char *)a->w.data + ((size_t)row * (size_t)a->w.k + (size_t)(k + 64 * i)) * 2;
    for (int r = 0; k + 64 * i < a->w.k && r < n_row; r++, p += (size_t)a->w.k * 2) __builtin_prefetch(p, 0, 2);
}

/* Up to PANEL rows × CHUNK tokens. While a block of columns multiplies, the next one is fetched. */
static void many(const lb_matmul *a, int row0, int row1, int tok0, int tok1, const char *from)
{
    _Alignas(64) float to[CHUNK / TOKENS][PANEL / ROWS][1024];
    int shaped = 0;
    for (int k0 = 0; k0 < a->w.k; k0 += KC) {
        int k1 = min_int(k0 + KC, a->w.k);
        bool last = k1 == a->w.k;
        for (int i = 0; tok0 + i * TOKENS < tok1; i++)
            for (int j = 0; row0 + j * ROWS < row1; j++) {
                int row = row0 + j * ROWS, tok = tok0 + i * TOKENS;
                cell c = {row, min_int(ROWS, row1 - row), tok, min_int(TOKENS, tok1 - tok)};
                int after = last ? row + PANEL : row;
                if (c.n_tok != shaped) shape(shaped = c.n_tok);
                prefetch(a, after, min_int(ROWS, a->w.n - after), last ? 0 : k1, i);
                multiply(a, &c, k0, k1, last ? PLACE : NOTHING, from, to[i][j]);
                if (last) put(a, &c, to[i][j]);
            }
    }
}

/* ---- the row ---- */
bool lb_matmul_bf16_amx_fits(const void *args)
{
    const lb_matmul *a = args;
    return !a->w.num->grouped && a->w.num->dtype == LB_BF16;
}

/* x̂ [n_tok, K], if activations are quantized, then the tiles. */
static size_t rounded_floats(const lb_matmul *a) { return a->act.kind ? (size_t)a->n_tok * (size_t)a->w.k : 0; }

static char *tiles_of(const lb_matmul *a, lb_exec *ex)
{
    return (char *)lb_exec_scratch(ex) + (rounded_floats(a) * sizeof(float) + 63) / 64 * 64;
}

size_t lb_matmul_bf16_amx_scratch(const void *args)
{
    const lb_matmul *a = args;
    return (rounded_floats(a) * sizeof(float) + 63) / 64 * 64 + (size_t)a->n_tok * token_bytes(a);
}

void lb_matmul_bf16_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    lb_matmul a = *(const lb_matmul *)args;
    size_t k = (size_t)a.w.k;
    float *rounded = lb_exec_scratch(ex);
    char *to = tiles_of(&a, ex);
    unit1 = lb_matmul_prep_end(&a, unit1);
    for (int t = unit0; a.act.kind && t < unit1; t++)
        lb_act_fake_quant(&a.act, a.x + (size_t)t * k, a.w.k, rounded + (size_t)t * k);
    if (a.act.kind) a.x = rounded;
    turn(&a, unit0, unit1, to);
}

void lb_matmul_bf16_amx(const void *args, int row0, int row1, lb_exec *ex)
{
    const lb_matmul *a = args;
    const char *from = tiles_of(a, ex);
    if (row0 >= row1) return;
    if (a->n_tok <= FEW) few(a, row0, row1, from);
    else
        for (int tok = 0; tok < a->n_tok; tok += CHUNK)
            for (int row = row0; row < row1; row += PANEL)
                many(a, row, min_int(row1, row + PANEL), tok, min_int(a->n_tok, tok + CHUNK), from);
    amx_close();
}
