/* num/hadamard.c – constructions of Hadamard matrices, and their products with host arrays. */
#include "num/hadamard.h"
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MAX_M = LB_HADAMARD_MAX_M, WIDE = 64 };

/* ---- Paley ---- */

/* GF(q) as far as Paley needs it: q = p or p². An element a + b√r (r no square mod p; b = 0 if q = p) has number
 * a + p·b. chi: 1 for squares, −1 for what is none, 0 for 0. */
typedef struct field {
    int q, p;
    int8_t chi[MAX_M];
} field;

static bool is_odd_prime(int n)
{
    for (int d = 3; d * d <= n; d += 2)
        if (n % d == 0) return false;
    return n > 2 && n % 2;
}

static bool field_init(field *f, int q)
{
    int p = q;
    for (int d = 3; d * d <= q; d += 2)
        if (d * d == q) p = d;
    if (q >= MAX_M || !is_odd_prime(p)) return false;
    *f = (field){.q = q, .p = p};
    bool square[MAX_M] = {false};
    for (int a = 1; a < p; a++) square[a * a % p] = true;
    int r = 1;
    while (q > p && square[r]) r++;
    memset(f->chi, -1, (size_t)q);
    for (int x = 1; x < q; x++) {
        int a = x % p, b = x / p;
        f->chi[(a * a + r * b * b) % p + p * (2 * a * b % p)] = 1;
    }
    f->chi[0] = 0;
    return true;
}

static int chi_of_difference(const field *f, int x, int y)
{
    int p = f->p, a = x % p - y % p, b = x / p - y / p;
    return f->chi[(a < 0 ? a + p : a) + p * (b < 0 ? b + p : b)];
}

/* Entry (i,j) of the conference matrix of order q+1: zero diagonal, a border of ones, chi(i − j) inside. It is
 * symmetric for q ≡ 1 and skew for q ≡ 3 (mod 4), where the first column is negative. */
static int conference(const field *f, int i, int j)
{
    if (i == j) return 0;
    if (i == 0) return 1;
    if (j == 0) return f->q % 4 == 1 ? 1 : -1;
    return chi_of_difference(f, i - 1, j - 1);
}

/* I: m = q+1, q ≡ 3 (mod 4): H = I + C. */
static bool paley1(int m, int8_t *h)
{
    field f;
    if ((m - 1) % 4 != 3 || !field_init(&f, m - 1)) return false;
    for (int i = 0; h && i < m; i++)
        for (int j = 0; j < m; j++) h[i * m + j] = (int8_t)((i == j) + conference(&f, i, j));
    return true;
}

/* II: m = 2(q+1), q ≡ 1 (mod 4): H = C ⊗ [1 1; 1 −1] + I ⊗ [1 −1; −1 −1]. */
static bool paley2(int m, int8_t *h)
{
    static const int8_t of_c[2][2] = {{1, 1}, {1, -1}}, of_i[2][2] = {{1, -1}, {-1, -1}};
    field f;
    if (m % 2 || (m / 2 - 1) % 4 != 1 || !field_init(&f, m / 2 - 1)) return false;
    for (int i = 0; h && i < m; i++)
        for (int j = 0; j < m; j++) {
            int c = conference(&f, i / 2, j / 2);
            h[i * m + j] = (int8_t)(c ? c * of_c[i % 2][j % 2] : of_i[i % 2][j % 2]);
        }
    return true;
}

/* ---- Williamson ---- */

/* First rows of symmetric circulant A, B, C, D of order n with A² + B² + C² + D² = 4n·I, found by search: pairs by
 * their autocorrelations, matched with the pairs whose autocorrelations are the negative. Each row is given to its
 * middle. */
typedef struct quadruple {
    int n;
    const char *row[4];
} quadruple;

static const quadruple quadruples[] = {
    {23,
     {"+--+-+-+++++", "+--++-+-+-++",
      "+++---++--++", "+--+--+++---"}},
    {29,
     {"+--+-++---+++++", "+-+-++---+--+++",
      "+++-++-++++---+", "+-+-+----++-++-"}},
    {39,
     {"+---+---+-++-++----+", "++--+++-+--++-+-----",
      "+-++------++--+-+-++", "+---+--++++----+-+-+"}},
    {43,
     {"+---++--++++-+-+++-++-", "++---++++-+--+--++----",
      "+++-+-++--+-+-++++-+--", "++-++++++----+-+--++-+"}},
};

static bool williamson(int m, int8_t *h)
{
    static const int8_t block[4][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
    static const int8_t sign[4][4] = {{1, 1, 1, 1}, {-1, 1, -1, 1}, {-1, 1, 1, -1}, {-1, -1, 1, 1}};
    for (size_t q = 0; q < sizeof quadruples / sizeof *quadruples; q++) {
        int n = quadruples[q].n;
        if (4 * n != m) continue;
        for (int i = 0; h && i < m; i++)
            for (int j = 0; j < m; j++) {
                int bi = i / n, bj = j / n, lag = (j % n - i % n + n) % n;
                char c = quadruples[q].row[block[bi][bj]][lag <= n / 2 ? lag : n - lag];
                h[i * m + j] = (int8_t)(c == '+' ? sign[bi][bj] : -sign[bi][bj]);
            }
        return true;
    }
    return false;
}

/* The matrix of order m = 4·odd, or with h NULL only whether there is one. */
static bool dense_part(int m, int8_t *h) { return paley1(m, h) || paley2(m, h) || williamson(m, h); }

/* ---- public ---- */

bool lb_hadamard_split(int n, int *m, int *log2p)
{
    if (n < 1) return false;
    int twos = __builtin_ctz((unsigned)n), odd = n >> twos;
    if (odd > 1 && (twos < 2 || odd > MAX_M / 4 || !dense_part(4 * odd, NULL))) return false;
    *m = odd > 1 ? 4 * odd : 1;
    *log2p = odd > 1 ? twos - 2 : twos;
    return true;
}

bool lb_hadamard_dense(int n, float *out)
{
    int8_t h[MAX_M * MAX_M] = {1};
    int m, p;
    if (!lb_hadamard_split(n, &m, &p)) return false;
    if (m > 1) dense_part(m, h);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int odd_bits = __builtin_parity((unsigned)(i & j) & ((1u << p) - 1));
            int v = h[(i >> p) * m + (j >> p)];
            out[(size_t)i * (size_t)n + (size_t)j] = (float)(odd_bits ? -v : v);
        }
    return true;
}

/* Butterflies over the first index of x[n, width], n = 2^p, rows ld apart. */
static void butterflies(float *x, int n, size_t width, size_t ld)
{
    for (int h = 1; h < n; h *= 2)
        for (int i = 0; i < n; i++) {
            if (i & h) continue;
            float *a = x + (size_t)i * ld, *b = a + (size_t)h * ld;
            for (size_t c = 0; c < width; c++) {
                float u = a[c], v = b[c];
                a[c] = u + v;
                b[c] = u - v;
            }
        }
}

/* One row of 2^p: the strides below 8 are written out so that the compiler keeps them in registers. */
static void butterflies_row(float *x, int n)
{
    int done = 1;
    if (n >= 8) {
        for (int i = 0; i < n; i += 8) {
            float *v = x + i;
            float a0 = v[0] + v[1], a1 = v[0] - v[1], a2 = v[2] + v[3], a3 = v[2] - v[3];
            float a4 = v[4] + v[5], a5 = v[4] - v[5], a6 = v[6] + v[7], a7 = v[6] - v[7];
            float b0 = a0 + a2, b1 = a1 + a3, b2 = a0 - a2, b3 = a1 - a3;
            float b4 = a4 + a6, b5 = a5 + a7, b6 = a4 - a6, b7 = a5 - a7;
            v[0] = b0 + b4, v[1] = b1 + b5, v[2] = b2 + b6, v[3] = b3 + b7;
            v[4] = b0 - b4, v[5] = b1 - b5, v[6] = b2 - b6, v[7] = b3 - b7;
        }
        done = 8;
    }
    for (int h = done; h < n; h *= 2)
        for (int i = 0; i < n; i += 2 * h)
            for (int j = i; j < i + h; j++) {
                float u = x[j], v = x[j + h];
                x[j] = u + v;
                x[j + h] = u - v;
            }
}

/* x = h·x · c for x[m, width], rows ld apart. */
static void dense_product(float *x, const int8_t *h, int m, size_t width, size_t ld, float c)
{
    float in[MAX_M * WIDE], sum[WIDE];
    for (size_t w0 = 0; w0 < width; w0 += WIDE) {
        size_t w = width - w0 < WIDE ? width - w0 : WIDE;
        for (int j = 0; j < m; j++) memcpy(in + j * WIDE, x + (size_t)j * ld + w0, w * sizeof *in);
        for (int i = 0; i < m; i++) {
            memset(sum, 0, sizeof sum);
            for (int j = 0; j < m; j++) {
                float s = h[i * m + j];
                for (size_t t = 0; t < w; t++) sum[t] += s * in[(size_t)j * WIDE + t];
            }
            for (size_t t = 0; t < w; t++) x[(size_t)i * ld + w0 + t] = sum[t] * c;
        }
    }
}

void lb_hadamard_rows(float *x, int n_row, int n)
{
    int8_t h[MAX_M * MAX_M];
    int m, p;
    bool known = lb_hadamard_split(n, &m, &p);
    assert(known);
    if (!known) return;
    if (m > 1) dense_part(m, h);
    float c = (float)(1 / sqrt((double)n));
    for (int r = 0; r < n_row; r++) {
        float *row = x + (size_t)r * (size_t)n;
        for (int i = 0; i < m; i++) butterflies_row(row + (i << p), 1 << p);
        if (m > 1) dense_product(row, h, m, (size_t)1 << p, (size_t)1 << p, c);
        else for (int i = 0; i < n; i++) row[i] *= c;
    }
}

void lb_hadamard_cols(float *x, int n, int n_col, size_t ld)
{
    int8_t h[MAX_M * MAX_M];
    int m, p;
    bool known = lb_hadamard_split(n, &m, &p);
    assert(known);
    if (!known) return;
    if (m > 1) dense_part(m, h);
    float c = (float)(1 / sqrt((double)n));
    size_t block = ld << p;                      /* from one row of the dense index to the next */
    for (int c0 = 0; c0 < n_col; c0 += WIDE) {   /* columns in pieces that stay in the cache */
        size_t w = (size_t)(n_col - c0 < WIDE ? n_col - c0 : WIDE);
        for (int i = 0; i < m; i++) butterflies(x + c0 + (size_t)i * block, 1 << p, w, ld);
        for (int j = 0; j < 1 << p; j++) {
            float *col = x + c0 + (size_t)j * ld;
            if (m > 1) dense_product(col, h, m, w, block, c);
            else for (size_t t = 0; t < w; t++) col[t] *= c;
        }
    }
}
