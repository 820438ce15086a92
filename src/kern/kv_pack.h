/* kern/kv_pack.h – packed pages of the KV cache: where everything lies, and the rounding that defines the numbers.
 *
 * The slab of a (page, kv head) is one stream: scales first, then codes, each part from a multiple of 64 bytes on.
 *
 *     scales   per token: for each group of 128 components  f16 s[32], u8 z[32]     x ≈ s·(c − z)
 *              per channel, static: none (they are the layer's)                     x ≈ s·(c − z)
 *              per channel, group:  f16 s[d_head], f16 lo[d_head]                   x ≈ s·c + lo
 *     codes    tiles of 8 rows × 32 columns. Keys: a row is a component, a column a slot; tiles in order of components.
 *              Values: a row is a slot, a column a component; four tiles (32 slots) for each 32 components.
 *
 * A tile has four fields of 64 codes: field 2·(column / 16) + row / 4 has its codes in order of columns, and the four
 * rows of a column side by side. So as bytes a field is what integer dots take (16 columns × 4 rows), and as words a
 * shift and a mask make 16 columns of a row, in 16 lanes or in twice 8:
 *
 *     8 bits   byte i of 64 bytes per field              4 bits   the low, then the high nibble of 64 bytes per two fields
 *     2 bits   bits 2f, 2f+1 of 64 bytes                 3 bits   the two low bits so, then a u64 per field: the high bits
 *
 * Rows and columns beyond d_head are zero codes. */
#ifndef LB_KERN_KV_PACK_H
#define LB_KERN_KV_PACK_H
#include "kern/attn.h"

enum {
    LB_KV_GROUP = 128,               /* components of a token that share a scale */
    LB_KV_GROUP_BYTES = 3 * LB_PAGE, /* f16 s[LB_PAGE], u8 z[LB_PAGE] */
    LB_KV_TILE = 8,                  /* rows of a tile; it has LB_PAGE columns */
};

static inline size_t lb_kv_tile_bytes(int bits) { return (size_t)bits * 32; }
static inline int lb_kv_groups(int d_head) { return (d_head + LB_KV_GROUP - 1) / LB_KV_GROUP; }
static inline size_t lb_kv_up64(size_t n) { return (n + 63) / 64 * 64; }
/* Where the codes of a slab begin. */
static inline size_t lb_kv_v_codes(const lb_kv_layer *l)
{
    return lb_kv_up64((size_t)lb_kv_groups(l->d_head) * LB_KV_GROUP_BYTES);
}
static inline size_t lb_kv_k_codes(const lb_kv_layer *l)
{
    if (l->key == LB_KV_PER_TOKEN) return lb_kv_v_codes(l);
    return l->key == LB_KV_PER_CHANNEL_GROUP ? lb_kv_up64(4 * (size_t)l->d_head) : 0;
}
/* Bytes of a slab. */
static inline size_t lb_kv_k_slab(const lb_kv_layer *l)
{
    size_t n = (size_t)((l->d_head + LB_KV_TILE - 1) / LB_KV_TILE) * lb_kv_tile_bytes(l->format->bits);
    return lb_kv_k_codes(l) + lb_kv_up64(n);
}
static inline size_t lb_kv_v_slab(const lb_kv_layer *l)
{
    size_t n = (size_t)((l->d_head + 31) / 32 * (LB_PAGE / LB_KV_TILE)) * lb_kv_tile_bytes(l->format->bits);
    return lb_kv_v_codes(l) + lb_kv_up64(n);
}
static inline uint8_t *lb_kv_k_slab_at(const lb_kv_layer *l, int page, int h)
{
    return (uint8_t *)l->k + ((size_t)page * (size_t)l->n_kv + (size_t)h) * lb_kv_k_slab(l);
}
static inline uint8_t *lb_kv_v_slab_at(const lb_kv_layer *l, int page, int h)
{
    return (uint8_t *)l->v + ((size_t)page * (size_t)l->n_kv + (size_t)h) * lb_kv_v_slab(l);
}
/* The tile of codes that holds component d of a key, or (slot, d) of a value; the row in it is d % 8 and slot % 8, the
 * column slot and d % 32. */
static inline uint8_t *lb_kv_k_tile(const lb_kv_layer *l, uint8_t *slab, int d)
{
    return slab + lb_kv_k_codes(l) + (size_t)(d / LB_KV_TILE) * lb_kv_tile_bytes(l->format->bits);
}
static inline uint8_t *lb_kv_v_tile(const lb_kv_layer *l, uint8_t *slab, int slot, int d)
{
    size_t i = (size_t)(d / 32 * (LB_PAGE / LB_KV_TILE) + slot / LB_KV_TILE);
    return slab + lb_kv_v_codes(l) + i * lb_kv_tile_bytes(l->format->bits);
}
/* s and z of a group of a per-token slab. */
static inline uint16_t *lb_kv_s(uint8_t *slab, int group)
{
    return (uint16_t *)(void *)(slab + (size_t)group * LB_KV_GROUP_BYTES);
}
static inline uint8_t *lb_kv_z(uint8_t *slab, int group)
{
    return slab + (size_t)group * LB_KV_GROUP_BYTES + 2 * LB_PAGE;
}

int lb_kv_code_get(int bits, const uint8_t *tile, int row, int col);
void lb_kv_code_put(int bits, uint8_t *tile, int row, int col, int code);
/* A whole row of a tile. */
void lb_kv_row_put(int bits, uint8_t *tile, int row, const uint8_t codes[LB_PAGE]);

/* ---- the rounding ---- */

/* Per token: s is the smallest f16 ≥ (hi − lo)/(2^bits − 1), so that codes reach from lo to hi, z = round(−lo/s); lo ≤
 * 0 ≤ hi are the ends of the range (with 0 in it), already clipped. 65504 is the largest s: beyond it numbers saturate.
 * An end that is no number makes s NaN, and so every number of the group. */
void lb_kv_token_scale(int bits, float lo, float hi, uint16_t *s, uint8_t *z);
/* Per channel in a page: lo rounded down to f16, s up. The range need not hold 0. */
void lb_kv_group_scale(int bits, float lo, float hi, uint16_t *s, uint16_t *lo16);
/* Per channel, static, in f32: range widened to hold 0; s = (hi − lo)/(2^bits − 1), z = round(−lo/s); lo = hi = 0
 * counts as −1…1. False if the ends are no finite numbers in order. */
bool lb_kv_static_scale(int bits, float lo, float hi, float *s, float *z);

/* How a row of the table rounds; all agree to the bit. Ties to even, f32 arithmetic; codes saturate. */
typedef struct lb_kv_rounder {
    /* codes[0…n) = clamp(round(x/s) + z), n ≤ 128; s and z from the range of x, times clip. Not finite: codes 0. */
    void (*token)(int bits, float clip, const float *x, int n, uint16_t *s, uint8_t *z, uint8_t *codes);
    /* codes[i] = clamp(round(x[i]/s[i]) + z[i]); NaN: 0 */
    void (*fixed)(int bits, const float *x, const float *s, const float *z, int n, uint8_t *codes);
    /* codes[i] = clamp(round((x[i] − lo)/s)) of one component of a page; not finite: as token */
    void (*group)(int bits, const uint16_t x_bf16[LB_PAGE], uint16_t *s, uint16_t *lo, uint8_t codes[LB_PAGE]);
} lb_kv_rounder;
extern const lb_kv_rounder lb_kv_rounder_ref;

/* lb_kv_write into packed pages, kv heads [h0,h1). */
void lb_kv_pack_write(const lb_kv_write *a, int h0, int h1, const lb_kv_rounder *by);
#endif
