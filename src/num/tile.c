/* num/tile.c – int2, int2h, int3, int4 and int8 groups: packing, unpacking, scalar decode. */
#include "num/tile.h"
#include "base/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t align64(size_t n) { return (n + 63) & ~(size_t)63; }
static int pad_cols(int k, int unit) { return (k + unit - 1) / unit * unit; }

bool lb_tile_layout_of(const lb_mat *m, lb_tile_layout *l)
{
    memset(l, 0, sizeof *l);
    if (m->n <= 0 || m->k <= 0 || m->group <= 0 || m->group > m->k) return false;
    int g = lb_n_group(m->k, m->group), last = m->k - (g - 1) * m->group, unit = lb_tile_unit(m->num);
    size_t per_col = (size_t)(LB_TILE_ROWS * m->num->bits / 8);     /* 2, 3 … never a fraction: 16 rows */
    l->n_group = g;
    l->n_block = (m->n + LB_TILE_ROWS - 1) / LB_TILE_ROWS;
    l->scale_bytes = lb_dtype_bytes(m->scale_type);
    l->zeros_at = align64((size_t)g * LB_TILE_ROWS * l->scale_bytes);
    l->codes_at = l->zeros_at + (m->num->block ? 0 : align64((size_t)g * LB_TILE_ROWS));
    l->group_bytes = (size_t)pad_cols(m->group, unit) * per_col;
    l->block_bytes = l->codes_at + (size_t)(g - 1) * l->group_bytes + (size_t)pad_cols(last, unit) * per_col;
    l->block_bytes = align64(l->block_bytes);
    return true;
}

size_t lb_tile_size(const lb_mat *m)
{
    lb_tile_layout l;
    size_t n;
    if (!lb_tile_layout_of(m, &l)) return SIZE_MAX;
    lb_size_mul((size_t)l.n_block, l.block_bytes, &n);
    return n;
}

bool lb_qmat_alloc(lb_qmat *q, lb_err *err)
{
    size_t n = (size_t)q->n, g = (size_t)lb_n_group(q->k, q->group), ng;
    q->codes = lb_alloc(n, (size_t)q->k, "weight codes", err);
    lb_size_mul(n, g, &ng);
    q->scales = lb_alloc(ng, sizeof *q->scales, "weight scales", err);
    q->zeros = lb_alloc(ng, 1, "weight zero points", err);
    if (q->codes && q->scales && q->zeros) return true;
    lb_qmat_free(q);
    return false;
}

void lb_qmat_free(lb_qmat *q)
{
    free(q->codes);
    free(q->scales);
    free(q->zeros);
    q->codes = q->zeros = NULL;
    q->scales = NULL;
}

/* Byte and bit of the code of (row r of the block, column c of the group), relative to the group's codes. For int3 this
 * is the place of the low two bits; the high bit is found by high_bit(). */
static void place(int bits, int r, int c, size_t *byte, int *bit)
{
    int j = c & 3, lane = 4 * r + j;
    switch (bits) {
    case 8: *byte = (size_t)(c / 4) * 64 + (size_t)lane, *bit = 0; break;
    case 4: *byte = (size_t)(c / 8) * 64 + (size_t)lane, *bit = 4 * (c / 4 & 1); break;
    case 2: *byte = (size_t)(c / 16) * 64 + (size_t)lane, *bit = 2 * (c / 4 & 3); break;
    default: *byte = (size_t)(c / 32) * 192 + (size_t)(c / 16 & 1) * 64 + (size_t)lane, *bit = 2 * (c / 4 & 3);
    }
}

static void high_bit(int r, int c, size_t *byte, int *bit)
{
    *byte = (size_t)(c / 32) * 192 + 128 + (size_t)(4 * r + (c & 3));
    *bit = c / 4 & 7;
}

static unsigned get_code(const uint8_t *codes, int bits, int r, int c)
{
    size_t at;
    int bit;
    place(bits, r, c, &at, &bit);
    if (bits != 3) return codes[at] >> bit & ((1u << bits) - 1);
    unsigned low = codes[at] >> bit & 3u;
    high_bit(r, c, &at, &bit);
    return low | (codes[at] >> bit & 1u) << 2;
}

static void put_code(uint8_t *codes, int bits, int r, int c, unsigned code)
{
    size_t at;
    int bit;
    place(bits, r, c, &at, &bit);
    codes[at] |= (uint8_t)((bits == 3 ? code & 3 : code) << bit);
    if (bits != 3) return;
    high_bit(r, c, &at, &bit);
    codes[at] |= (uint8_t)(code >> 2 << bit);
}

lb_mat lb_tile_mat(const lb_num *num, int n, int k, int group, lb_dtype scale_type)
{
    return (lb_mat){.num = num, .n = n, .k = k, .group = group, .scale_type = scale_type};
}

void lb_tile_pack(const lb_qmat *q, void *out, lb_mat *m)
{
    assert(q->group == q->k || q->group % LB_TILE_COLS == 0);
    *m = lb_tile_mat(lb_qmat_num(q), q->n, q->k, q->group, q->scale_type);
    m->data = out;
    lb_tile_layout l;
    lb_tile_layout_of(m, &l);
    memset(out, 0, (size_t)l.n_block * l.block_bytes);
    for (int row = 0; row < q->n; row++) {
        uint8_t *block = (uint8_t *)out + (size_t)(row / LB_TILE_ROWS) * l.block_bytes;
        int r = row % LB_TILE_ROWS;
        for (int g = 0; g < l.n_group; g++) {
            size_t i = (size_t)row * (size_t)l.n_group + (size_t)g, slot = (size_t)(g * LB_TILE_ROWS + r);
            lb_store_f32(block, q->scale_type, slot, q->scales[i]);
            block[l.zeros_at + slot] = q->zeros[i];
            uint8_t *codes = block + l.codes_at + (size_t)g * l.group_bytes;
            int k0 = g * q->group, k1 = k0 + q->group < q->k ? k0 + q->group : q->k;
            for (int k = k0; k < k1; k++)
                put_code(codes, q->bits, r, k - k0, q->codes[(size_t)row * (size_t)q->k + (size_t)k]);
        }
    }
}

void lb_tile_unpack(const lb_mat *m, lb_qmat *q)
{
    lb_tile_layout l;
    lb_tile_layout_of(m, &l);
    q->bits = m->num->bits, q->half = m->num->half, q->n = m->n, q->k = m->k, q->group = m->group, q->scale_type = m->scale_type;
    for (int row = 0; row < m->n; row++) {
        const uint8_t *block = lb_tile_block(m, &l, row / LB_TILE_ROWS);
        int r = row % LB_TILE_ROWS;
        for (int g = 0; g < l.n_group; g++) {
            size_t i = (size_t)row * (size_t)l.n_group + (size_t)g, slot = (size_t)(g * LB_TILE_ROWS + r);
            q->scales[i] = lb_load_f32(block, m->scale_type, slot);
            q->zeros[i] = block[l.zeros_at + slot];
            const uint8_t *codes = block + l.codes_at + (size_t)g * l.group_bytes;
            int k0 = g * m->group, k1 = k0 + m->group < m->k ? k0 + m->group : m->k;
            for (int k = k0; k < k1; k++)
                q->codes[(size_t)row * (size_t)m->k + (size_t)k] = (uint8_t)get_code(codes, q->bits, r, k - k0);
        }
    }
}

static void decode(const lb_mat *m, int row, int k0, int k1, float *out)
{
    lb_tile_layout l;
    lb_tile_layout_of(m, &l);
    const uint8_t *block = lb_tile_block(m, &l, row / LB_TILE_ROWS);
    int r = row % LB_TILE_ROWS;
    for (int k = k0; k < k1; k++) {
        int g = k / m->group;
        size_t slot = (size_t)(g * LB_TILE_ROWS + r);
        unsigned code = get_code(block + l.codes_at + (size_t)g * l.group_bytes, m->num->bits, r, k - g * m->group);
        float scale = lb_load_f32(block, m->scale_type, slot);
        out[k - k0] = lb_int_value(scale, (int)code, block[l.zeros_at + slot], m->num->half);
    }
}

const lb_num lb_num_int8 = {.name = "int8", .bits = 8, .grouped = true, .size = lb_tile_size, .decode = decode};
const lb_num lb_num_int4 = {.name = "int4", .bits = 4, .grouped = true, .size = lb_tile_size, .decode = decode};
const lb_num lb_num_int3 = {.name = "int3", .bits = 3, .grouped = true, .size = lb_tile_size, .decode = decode};
const lb_num lb_num_int2 = {.name = "int2", .bits = 2, .grouped = true, .size = lb_tile_size, .decode = decode};
const lb_num lb_num_int2h = {
    .name = "int2h", .bits = 2, .grouped = true, .half = true, .size = lb_tile_size, .decode = decode};
