/* kern/kv_pack.c – packing tokens into pages. */
#include "kern/kv_pack.h"
#include <math.h>

size_t lb_kv_k_bytes(const lb_kv_layer *l)
{
    size_t each = lb_kv_packed(l) ? lb_kv_k_slab(l) : (size_t)l->d_head * LB_PAGE * lb_dtype_bytes(l->format->dtype);
    return (size_t)l->n_kv * each;
}
size_t lb_kv_v_bytes(const lb_kv_layer *l)
{
    size_t each = lb_kv_packed(l) ? lb_kv_v_slab(l) : (size_t)l->d_head * LB_PAGE * lb_dtype_bytes(l->format->dtype);
    return (size_t)l->n_kv * each;
}

void lb_kv_angles(const float *inv_freq, int d_head, float mscale, int n_page, float *page, float *slot)
{
    int half = d_head / 2;
    for (int j = 0; j < n_page; j++)
        for (int i = 0; i < half; i++) {
            double angle = (double)j * LB_PAGE * (double)inv_freq[i];
            page[(size_t)j * (size_t)d_head + (size_t)i] = (float)cos(angle);
            page[(size_t)j * (size_t)d_head + (size_t)(half + i)] = (float)sin(angle);
        }
    for (int i = 0; i < half; i++)
        for (int s = 0; s < LB_PAGE; s++) {
            double angle = s * (double)inv_freq[i];
            slot[(size_t)i * 2 * LB_PAGE + (size_t)s] = (float)(cos(angle) * (double)mscale);
            slot[(size_t)i * 2 * LB_PAGE + LB_PAGE + (size_t)s] = (float)(sin(angle) * (double)mscale);
        }
}

/* ---- codes ---- */
typedef struct spot {
    int byte, shift;         /* of the code, or of its two low bits */
    int high, high_shift;    /* 3 bits: of the high one */
} spot;

static spot spot_of(int bits, int row, int col)
{
    int f = col / 16 * 2 + row / 4, i = col % 16 * 4 + row % 4;
    spot s = {.high = 64 + 8 * f + i / 8, .high_shift = i % 8};
    if (bits == 8) s.byte = 64 * f + i;
    else if (bits == 4) s.byte = f / 2 * 64 + i, s.shift = f % 2 * 4;
    else s.byte = i, s.shift = 2 * f;
    return s;
}

int lb_kv_code_get(int bits, const uint8_t *tile, int row, int col)
{
    spot s = spot_of(bits, row, col);
    int b = bits == 3 ? 2 : bits, code = tile[s.byte] >> s.shift & ((1 << b) - 1);
    return bits == 3 ? code | (tile[s.high] >> s.high_shift & 1) << 2 : code;
}

void lb_kv_code_put(int bits, uint8_t *tile, int row, int col, int code)
{
    spot s = spot_of(bits, row, col);
    int mask = (1 << (bits == 3 ? 2 : bits)) - 1;
    tile[s.byte] = (uint8_t)((tile[s.byte] & ~(mask << s.shift)) | (code & mask) << s.shift);
    if (bits == 3)
        tile[s.high] = (uint8_t)((tile[s.high] & ~(1 << s.high_shift)) | (code >> 2 & 1) << s.high_shift);
}

void lb_kv_row_put(int bits, uint8_t *tile, int row, const uint8_t codes[LB_PAGE])
{
    for (int c = 0; c < LB_PAGE; c++) lb_kv_code_put(bits, tile, row, c, codes[c]);
}

/* ---- scales ---- */
enum { F16_MAX = 0x7bff, F16_ONE = 0x3c00, F16_NAN = 0x7e00 };

/* The smallest f16 ≥ x > 0, at most 65504. */
static uint16_t f16_up(float x)
{
    uint16_t h = lb_to_f16(x);
    if (h > F16_MAX) return F16_MAX;
    return lb_from_f16(h) < x && h < F16_MAX ? (uint16_t)(h + 1) : h;
}

/* The largest f16 ≤ x, within ±65504. */
static uint16_t f16_down(float x)
{
    uint16_t h = lb_to_f16(x);
    if ((h & 0x7fff) > F16_MAX) return (uint16_t)((h & 0x8000) | F16_MAX);
    if (lb_from_f16(h) <= x) return h;
    if ((h & 0x7fff) == 0) return 0x8001;
    return h & 0x8000 ? (h == (0x8000 | F16_MAX) ? h : (uint16_t)(h + 1)) : (uint16_t)(h - 1);
}

void lb_kv_token_scale(int bits, float lo, float hi, uint16_t *s, uint8_t *z)
{
    float most = (float)((1 << bits) - 1);
    *s = F16_NAN, *z = 0;
    if (!isfinite(lo) || !isfinite(hi)) return;
    float range = (float)(((double)hi - (double)lo) / (double)most); /* hi − lo may be beyond f32 */
    *s = range > 0 ? f16_up(range) : F16_ONE;
    *z = (uint8_t)fminf(rintf(-lo / lb_from_f16(*s)), most);
}

void lb_kv_group_scale(int bits, float lo, float hi, uint16_t *s, uint16_t *lo16)
{
    float most = (float)((1 << bits) - 1);
    *s = F16_NAN, *lo16 = 0;
    if (!isfinite(lo) || !isfinite(hi)) return;
    *lo16 = f16_down(lo);
    float range = (float)(((double)hi - (double)lb_from_f16(*lo16)) / (double)most);
    *s = range > 0 ? f16_up(range) : F16_ONE;
}

bool lb_kv_static_scale(int bits, float lo, float hi, float *s, float *z)
{
    float most = (float)((1 << bits) - 1);
    if (!isfinite(lo) || !isfinite(hi) || lo > hi) return false;
    lo = fminf(lo, 0), hi = fmaxf(hi, 0);
    if (lo == 0 && hi == 0) lo = -1, hi = 1;
    *s = (float)(((double)hi - (double)lo) / (double)most);
    if (*s <= 0 || !isfinite(*s)) return false;
    *z = fminf(rintf(-lo / *s), most);
    return true;
}

/* ---- rounding, as it is defined ---- */
static uint8_t code_of(int bits, float x)
{
    float most = (float)((1 << bits) - 1);
    return x > 0 ? (uint8_t)(x < most ? x : most) : 0; /* NaN: 0 */
}

static void fixed_ref(int bits, const float *x, const float *s, const float *z, int n, uint8_t *codes)
{
    for (int i = 0; i < n; i++) codes[i] = code_of(bits, rintf(x[i] / s[i]) + z[i]);
}

static void token_ref(int bits, float clip, const float *x, int n, uint16_t *s, uint8_t *z, uint8_t *codes)
{
    float lo = 0, hi = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        finite &= isfinite(x[i]) != 0;
        lo = fminf(lo, x[i]), hi = fmaxf(hi, x[i]);
    }
    lb_kv_token_scale(bits, finite ? lo * clip : NAN, hi * clip, s, z);
    float scale = lb_from_f16(*s);
    for (int i = 0; i < n; i++) codes[i] = finite ? code_of(bits, rintf(x[i] / scale) + (float)*z) : 0;
}

static void group_ref(int bits, const uint16_t x_bf16[LB_PAGE], uint16_t *s, uint16_t *lo16, uint8_t codes[LB_PAGE])
{
    float x[LB_PAGE], lo = INFINITY, hi = -INFINITY;
    bool finite = true;
    for (int i = 0; i < LB_PAGE; i++) {
        x[i] = lb_from_bf16(x_bf16[i]);
        finite &= isfinite(x[i]) != 0;
        lo = fminf(lo, x[i]), hi = fmaxf(hi, x[i]);
    }
    lb_kv_group_scale(bits, finite ? lo : NAN, hi, s, lo16);
    float scale = lb_from_f16(*s), from = lb_from_f16(*lo16);
    for (int i = 0; i < LB_PAGE; i++) codes[i] = finite ? code_of(bits, rintf((x[i] - from) / scale)) : 0;
}

const lb_kv_rounder lb_kv_rounder_ref = {token_ref, fixed_ref, group_ref};

/* ---- writing ---- */
static float clip_of(const lb_kv_layer *l) { return l->clip > 0 ? l->clip : 1; }

/* d_head numbers of one token into slot of a per-token slab of values, or of keys. */
static void put_token(const lb_kv_layer *l, uint8_t *slab, bool keys, int slot, const float *x, const lb_kv_rounder *by)
{
    int bits = l->format->bits;
    for (int g = 0; g < lb_kv_groups(l->d_head); g++) {
        int d0 = g * LB_KV_GROUP, n = l->d_head - d0 < LB_KV_GROUP ? l->d_head - d0 : LB_KV_GROUP;
        uint8_t codes[LB_KV_GROUP] = {0};
        by->token(bits, clip_of(l), x + d0, n, &lb_kv_s(slab, g)[slot], &lb_kv_z(slab, g)[slot], codes);
        if (keys)
            for (int d = 0; d < n; d++)
                lb_kv_code_put(bits, lb_kv_k_tile(l, slab, d0 + d), (d0 + d) % LB_KV_TILE, slot, codes[d]);
        else
            for (int d = 0; d < n; d += 32)
                lb_kv_row_put(bits, lb_kv_v_tile(l, slab, slot, d0 + d), slot % LB_KV_TILE, codes + d);
    }
}

static void put_static(const lb_kv_layer *l, uint8_t *slab, int h, int slot, const float *k, const lb_kv_rounder *by)
{
    int bits = l->format->bits;
    for (int d0 = 0; d0 < l->d_head; d0 += LB_KV_GROUP) {
        int n = l->d_head - d0 < LB_KV_GROUP ? l->d_head - d0 : LB_KV_GROUP, at = h * l->d_head + d0;
        uint8_t codes[LB_KV_GROUP];
        by->fixed(bits, k + d0, l->k_scale + at, l->k_zero + at, n, codes);
        for (int d = 0; d < n; d++)
            lb_kv_code_put(bits, lb_kv_k_tile(l, slab, d0 + d), (d0 + d) % LB_KV_TILE, slot, codes[d]);
    }
}

/* A page of the ring that is full, into its packed page. */
static void put_page(const lb_kv_layer *l, int page, int ring, int h, const lb_kv_rounder *by)
{
    int bits = l->format->bits, d_head = l->d_head;
    uint8_t *k = lb_kv_k_slab_at(l, page, h), *v = lb_kv_v_slab_at(l, page, h), codes[LB_PAGE];
    uint16_t *s = (uint16_t *)(void *)k, *lo = s + d_head;
    const uint16_t *from = (const uint16_t *)l->ring_k + lb_kv_k_at(l, ring, h, 0, 0);
    for (int d = 0; d < d_head; d++) {
        by->group(bits, from + (size_t)d * LB_PAGE, &s[d], &lo[d], codes);
        lb_kv_row_put(bits, lb_kv_k_tile(l, k, d), d % LB_KV_TILE, codes);
    }
    for (int slot = 0; slot < LB_PAGE; slot++)
        for (int g = 0; g < lb_kv_groups(d_head); g++) {
            int d0 = g * LB_KV_GROUP, n = d_head - d0 < LB_KV_GROUP ? d_head - d0 : LB_KV_GROUP;
            float x[LB_KV_GROUP];
            uint8_t c[LB_KV_GROUP] = {0};
            const uint16_t *row = (const uint16_t *)l->ring_v + lb_kv_v_at(l, ring, h, slot, d0);
            for (int d = 0; d < n; d++) x[d] = lb_from_bf16(row[d]);
            by->token(bits, clip_of(l), x, n, &lb_kv_s(v, g)[slot], &lb_kv_z(v, g)[slot], c);
            for (int d = 0; d < n; d += 32)
                lb_kv_row_put(bits, lb_kv_v_tile(l, v, slot, d0 + d), slot % LB_KV_TILE, c + d);
        }
}

static void put_ring(const lb_kv_layer *l, int ring, int h, int slot, const float *k, const float *v)
{
    uint16_t *to = (uint16_t *)l->ring_k + lb_kv_k_at(l, ring, h, slot, 0);
    for (int d = 0; d < l->d_head; d++) to[(size_t)d * LB_PAGE] = lb_to_bf16(k[d]);
    to = (uint16_t *)l->ring_v + lb_kv_v_at(l, ring, h, slot, 0);
    for (int d = 0; d < l->d_head; d++) to[d] = lb_to_bf16(v[d]);
}

void lb_kv_pack_write(const lb_kv_write *a, int h0, int h1, const lb_kv_rounder *by)
{
    const lb_kv_layer *l = &a->kv;
    for (int h = h0; h < h1; h++)
        for (int t = 0; t < a->n_tok; t++) {
            int pos = a->map.pos[t], seq = a->map.seq[t], j = pos / LB_PAGE, slot = pos % LB_PAGE;
            int page = a->map.pages[(size_t)seq * (size_t)a->map.max_pages + (size_t)j];
            size_t at = ((size_t)t * (size_t)l->n_kv + (size_t)h) * (size_t)l->d_head;
            if (l->key == LB_KV_PER_CHANNEL_GROUP) {
                int ring = seq * l->ring_pages + j % l->ring_pages;
                put_ring(l, ring, h, slot, a->k + at, a->v + at);
                if (slot == LB_PAGE - 1) put_page(l, page, ring, h, by);
                continue;
            }
            uint8_t *k = lb_kv_k_slab_at(l, page, h);
            if (l->key == LB_KV_PER_TOKEN) put_token(l, k, true, slot, a->k + at, by);
            else put_static(l, k, h, slot, a->k + at, by);
            put_token(l, lb_kv_v_slab_at(l, page, h), false, slot, a->v + at, by);
        }
}
