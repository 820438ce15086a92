/* num/fp4.c – mxfp4 and nvfp4: encoding, packing, scalar decode. */
#include "num/fp4.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* ---- one number, one scale ---- */
static const float value[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

float lb_e2m1_value(uint8_t code) { return code & 8 ? -value[code & 7] : value[code & 7]; }

uint8_t lb_e2m1_of(float v)
{
    static const uint8_t code[13] = {0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7}; /* of twice the value */
    if (isnan(v)) return 0;
    return code[(int)fabsf(lb_e2m1_twice(v))] | (signbit(v) ? 8 : 0);
}

float lb_fp4_scale(const lb_num *num, uint8_t byte, float tensor_scale)
{
    return num->dtype == LB_F8_E8M0 ? lb_from_e8m0(byte) : tensor_scale * lb_from_e4m3(byte);
}

uint8_t lb_fp4_scale_of(const lb_num *num, float amax, float tensor_scale)
{
    if (num->dtype == LB_F8_E8M0) {
        uint32_t u;
        memcpy(&u, &amax, 4);
        int exp = (int)(u >> 23 & 255);          /* ⌊log₂ amax⌋ + 127; 0 below the normal range */
        return (uint8_t)(exp > 2 ? exp - 2 : 0);
    }
    return tensor_scale > 0 ? lb_to_e4m3(amax / (6 * tensor_scale)) : 0;
}

float lb_fp4_tensor_scale(const lb_num *num, float amax) { return num->dtype == LB_F8_E8M0 ? 1 : amax / (6 * 448); }

/* ---- blocks ---- */
static double block_error(float scale, const float *w, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double e = (scale > 0 ? (double)scale * 0.5 * (double)lb_e2m1_twice(w[i] / scale) : 0) - (double)w[i];
        sum += e * e;
    }
    return sum;
}

static float amax_of(const float *w, size_t n)
{
    float amax = 0;
    for (size_t i = 0; i < n; i++) amax = fabsf(w[i]) > amax ? fabsf(w[i]) : amax;
    return amax;
}

uint8_t lb_fp4_block_scale(const lb_num *num, float tensor_scale, bool search, const float *w, int n)
{
    int best = lb_fp4_scale_of(num, amax_of(w, (size_t)n), tensor_scale);
    if (!search) return (uint8_t)best;
    bool pow2 = num->dtype == LB_F8_E8M0;        /* an octave is 1 code of E8M0, 8 of E4M3 */
    int lo = best - (pow2 ? 1 : 8), hi = best + (pow2 ? 1 : 4), top = pow2 ? 254 : 0x7e;
    double least = block_error(lb_fp4_scale(num, (uint8_t)best, tensor_scale), w, n);
    for (int b = lo < 0 ? 0 : lo; b <= (hi < top ? hi : top); b++) {
        double e = block_error(lb_fp4_scale(num, (uint8_t)b, tensor_scale), w, n);
        if (e < least) least = e, best = b;
    }
    return (uint8_t)best;
}

bool lb_fp4_encode_row(const lb_num *num, float tensor_scale, bool search, const float *w, int k, uint8_t *codes,
                       uint8_t *scales)
{
    for (int i = 0; i < k; i++)
        if (!isfinite(w[i])) return false;
    for (int b = 0; b * num->block < k; b++) {
        int k0 = b * num->block, n = k - k0 < num->block ? k - k0 : num->block;
        scales[b] = lb_fp4_block_scale(num, tensor_scale, search, w + k0, n);
        float s = lb_fp4_scale(num, scales[b], tensor_scale);
        for (int i = 0; i < n; i++) codes[k0 + i] = s > 0 ? lb_e2m1_of(w[k0 + i] / s) : 0;
    }
    return true;
}

bool lb_fp4_encode(lb_fp4mat *q, bool search, const float *w, lb_err *err)
{
    size_t k = (size_t)q->k, g = (size_t)lb_n_group(q->k, q->num->block);
    q->tensor_scale = lb_fp4_tensor_scale(q->num, amax_of(w, (size_t)q->n * k));
    for (size_t r = 0; r < (size_t)q->n; r++) {
        const float *row = w + r * k;
        uint8_t *codes = q->codes + r * k, *scales = q->scales + r * g;
        if (lb_fp4_encode_row(q->num, q->tensor_scale, search, row, q->k, codes, scales)) continue;
        size_t c = 0;
        while (isfinite(row[c])) c++;
        return lb_fail(err, LB_EFORMAT, "weight [%zu,%zu] is %g; %s needs finite weights", r, c, (double)row[c],
                       q->num->name);
    }
    return true;
}

/* ---- matrices ---- */
bool lb_fp4mat_alloc(lb_fp4mat *q, lb_err *err)
{
    q->codes = lb_alloc((size_t)q->n, (size_t)q->k, "weight codes", err);
    q->scales = lb_alloc((size_t)q->n, (size_t)lb_n_group(q->k, q->num->block), "weight scales", err);
    if (q->codes && q->scales) return true;
    lb_fp4mat_free(q);
    return false;
}

void lb_fp4mat_free(lb_fp4mat *q)
{
    free(q->codes);
    free(q->scales);
    q->codes = q->scales = NULL;
}

void lb_fp4_decode_row(const lb_fp4mat *q, int row, float *out)
{
    const uint8_t *codes = q->codes + (size_t)row * (size_t)q->k;
    const uint8_t *scales = q->scales + (size_t)row * (size_t)lb_n_group(q->k, q->num->block);
    for (int c = 0; c < q->k; c++)
        out[c] = lb_fp4_scale(q->num, scales[c / q->num->block], q->tensor_scale) * lb_e2m1_value(codes[c]);
}

lb_mat lb_fp4_mat(const lb_num *num, int n, int k, float tensor_scale)
{
    int group = num->block < k ? num->block : k;
    return (lb_mat){.num = num, .n = n, .k = k, .group = group, .scale_type = num->dtype, .tensor_scale = tensor_scale};
}

/* Byte and shift of the code of (row r of the block, column c of the row): as int4 in num/tile.h. Groups are whole
 * vectors, so a row's columns follow each other without gaps. */
static size_t place(int r, int c, int *shift)
{
    *shift = 4 * (c / 4 & 1);
    return (size_t)(c / 8) * 64 + (size_t)(4 * r + (c & 3));
}

void lb_fp4_pack(const lb_fp4mat *q, void *out, lb_mat *m)
{
    lb_tile_layout l;
    *m = lb_fp4_mat(q->num, q->n, q->k, q->tensor_scale);
    m->data = out;
    lb_tile_layout_of(m, &l);
    memset(out, 0, (size_t)l.n_block * l.block_bytes);
    for (int row = 0; row < q->n; row++) {
        uint8_t *block = (uint8_t *)out + (size_t)(row / LB_TILE_ROWS) * l.block_bytes;
        int r = row % LB_TILE_ROWS, shift;
        for (int g = 0; g < l.n_group; g++)
            block[g * LB_TILE_ROWS + r] = q->scales[(size_t)row * (size_t)l.n_group + (size_t)g];
        for (int c = 0; c < q->k; c++) {
            uint8_t code = q->codes[(size_t)row * (size_t)q->k + (size_t)c] & 15;
            size_t at = place(r, c, &shift);
            block[l.codes_at + at] |= (uint8_t)(code << shift);
        }
    }
}

static unsigned get_code(const uint8_t *codes, int r, int c)
{
    int shift;
    size_t at = place(r, c, &shift);
    return codes[at] >> shift & 15u;
}

void lb_fp4_unpack(const lb_mat *m, lb_fp4mat *q)
{
    lb_tile_layout l;
    lb_tile_layout_of(m, &l);
    q->num = m->num, q->n = m->n, q->k = m->k, q->tensor_scale = m->tensor_scale;
    for (int row = 0; row < m->n; row++) {
        const uint8_t *block = lb_tile_block(m, &l, row / LB_TILE_ROWS);
        int r = row % LB_TILE_ROWS;
        for (int g = 0; g < l.n_group; g++)
            q->scales[(size_t)row * (size_t)l.n_group + (size_t)g] = block[g * LB_TILE_ROWS + r];
        for (int c = 0; c < m->k; c++)
            q->codes[(size_t)row * (size_t)m->k + (size_t)c] = (uint8_t)get_code(block + l.codes_at, r, c);
    }
}

static void decode(const lb_mat *m, int row, int k0, int k1, float *out)
{
    lb_tile_layout l;
    lb_tile_layout_of(m, &l);
    const uint8_t *block = lb_tile_block(m, &l, row / LB_TILE_ROWS);
    int r = row % LB_TILE_ROWS;
    for (int k = k0; k < k1; k++) {
        uint8_t byte = block[k / m->group * LB_TILE_ROWS + r];
        uint8_t code = (uint8_t)get_code(block + l.codes_at, r, k);
        out[k - k0] = lb_fp4_scale(m->num, byte, m->tensor_scale) * lb_e2m1_value(code);
    }
}

const lb_num lb_num_mxfp4 = {.name = "mxfp4", .bits = 4, .grouped = true, .block = 32, .dtype = LB_F8_E8M0,
                             .size = lb_tile_size, .decode = decode};
const lb_num lb_num_nvfp4 = {.name = "nvfp4", .bits = 4, .grouped = true, .block = 16, .dtype = LB_F8_E4M3,
                             .size = lb_tile_size, .decode = decode};
