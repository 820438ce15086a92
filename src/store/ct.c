/* ct.c – packing and unpacking of b-bit streams, with every shape checked before a byte is read. */
#include "store/ct.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bits ---- */

/* Eight b-bit numbers side by side ↔ eight bytes, by halving: 8b bits → 2 × 4b → 4 × 2b → 8 × b. For b = 2, 3, 4, 8. */
static inline uint64_t spread(uint64_t v, unsigned b)
{
    v = (v | v << (32 - 4 * b)) & ((((uint64_t)1 << 4 * b) - 1) * 0x0000000100000001u);
    v = (v | v << (16 - 2 * b)) & ((((uint64_t)1 << 2 * b) - 1) * 0x0001000100010001u);
    return (v | v << (8 - b)) & ((((uint64_t)1 << b) - 1) * 0x0101010101010101u);
}

static inline uint64_t gather(uint64_t v, unsigned b)
{
    v = (v | v >> (8 - b)) & ((((uint64_t)1 << 2 * b) - 1) * 0x0001000100010001u);
    v = (v | v >> (16 - 2 * b)) & ((((uint64_t)1 << 4 * b) - 1) * 0x0000000100000001u);
    return b == 8 ? v : (v | v >> (32 - 4 * b)) & (((uint64_t)1 << (8 * b & 63)) - 1);
}

static inline void unpack_row(const uint8_t *p, unsigned b, size_t n, uint8_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8, p += b) {
        memcpy(&v, p, b);
        v = spread(v, b);
        memcpy(out + i, &v, 8);
        v = 0;
    }
    if (i == n) return;
    memcpy(&v, p, ((n - i) * b + 7) / 8);
    v = spread(v, b);
    memcpy(out + i, &v, n - i);
}

static inline void pack_row(const uint8_t *in, unsigned b, size_t n, uint8_t *p)
{
    uint64_t v;
    size_t i = 0;
    for (; i + 8 <= n; i += 8, p += b) {
        memcpy(&v, in + i, 8);
        v = gather(v, b);
        memcpy(p, &v, b);
    }
    if (i == n) return;
    v = 0;
    memcpy(&v, in + i, n - i);
    v = gather(v, b);
    memcpy(p, &v, ((n - i) * b + 7) / 8);
}

/* The loops above with b known to the compiler. */
static void unpack_row_of(const uint8_t *p, int b, size_t n, uint8_t *out)
{
    switch (b) {
    case 2: unpack_row(p, 2, n, out); break;
    case 3: unpack_row(p, 3, n, out); break;
    case 4: unpack_row(p, 4, n, out); break;
    default: unpack_row(p, 8, n, out);
    }
}

static void pack_row_of(const uint8_t *in, int b, size_t n, uint8_t *p)
{
    switch (b) {
    case 2: pack_row(in, 2, n, p); break;
    case 3: pack_row(in, 3, n, p); break;
    case 4: pack_row(in, 4, n, p); break;
    default: pack_row(in, 8, n, p);
    }
}

static uint32_t word_at(const uint8_t *p, size_t i)
{
    uint32_t w;
    memcpy(&w, p + 4 * i, 4);
    return w;
}

/* How many words a line of n numbers takes: as one stream, or with whole numbers in each word (older writers). */
static int64_t n_word(int64_t n, int b, bool padded)
{
    int per_word = 32 / b;
    return padded ? (n + per_word - 1) / per_word : (n * b + 31) / 32;
}

/* Number i of a line whose words are `step` words apart. */
static unsigned get(const uint8_t *p, size_t step, int b, bool padded, size_t i)
{
    unsigned mask = (1u << b) - 1;
    if (padded) {
        size_t per_word = (size_t)(32 / b);
        return word_at(p, i / per_word * step) >> (i % per_word * (size_t)b) & mask;
    }
    size_t bit = i * (size_t)b, off = bit % 32;
    unsigned v = word_at(p, bit / 32 * step) >> off;
    if (off + (size_t)b > 32) v |= word_at(p, (bit / 32 + 1) * step) << (32 - off);
    return v & mask;
}

/* ---- reading ---- */

static bool check_kind(const lb_tensor *t, lb_dtype a, lb_dtype b, lb_dtype c, const char *wanted, lb_err *err)
{
    if (t->dtype == a || t->dtype == b || t->dtype == c) return true;
    return lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' is %s, wanted %s", t->file, t->name, lb_dtype_name(t->dtype),
                   wanted);
}

static bool check_weight_shape(const lb_tensor *t, int n, int k, lb_err *err)
{
    if (!check_kind(t, LB_I64, LB_I32, LB_I64, "I64", err)) return false;
    if (!lb_tensor_check_shape(t, (int64_t[]){2}, 1, "the layout", err)) return false;
    int64_t got[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        int32_t v;
        if (t->dtype == LB_I64) memcpy(&got[i], t->data + 8 * i, 8);
        else memcpy(&v, t->data + 4 * i, 4), got[i] = v;
    }
    if (got[0] == n && got[1] == k) return true;
    char text[LB_SHAPE_TEXT];
    return lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' says %s, config.json wants [%d,%d]", t->file, t->name,
                   lb_shape_text(got, 2, text), n, k);
}

/* Shapes of codes and zero points; *padded says which of the two packings they have. */
static bool check_packing(const lb_ct_tensors *t, const lb_ct_scheme *sch, int n, int k, int n_group, bool *padded,
                          lb_err *err)
{
    char who[64];
    snprintf(who, sizeof who, "a weight [%d,%d] of %d bits", n, k, sch->bits);
    const lb_tensor *z = sch->symmetric || sch->format == LB_CT_HALF ? NULL : t->zero;
    if (!check_kind(t->packed, LB_I32, LB_I32, LB_I32, "I32", err) ||
        (z && !check_kind(z, LB_I32, LB_I32, LB_I32, "I32", err)))
        return false;
    int64_t cols = t->packed->rank == 2 ? t->packed->shape[1] : -1, rows = z && z->rank == 2 ? z->shape[0] : -1;
    *padded = cols == n_word(k, sch->bits, true) &&
              (cols != n_word(k, sch->bits, false) ||
               (rows == n_word(n, sch->bits, true) && rows != n_word(n, sch->bits, false)));
    if (!lb_tensor_check_shape(t->packed, (int64_t[]){n, n_word(k, sch->bits, *padded)}, 2, who, err)) return false;
    return !z || lb_tensor_check_shape(z, (int64_t[]){n_word(n, sch->bits, *padded), n_group}, 2, who, err);
}

static bool check_scale(const lb_tensor *t, int n, int n_group, lb_err *err)
{
    if (!check_kind(t, LB_BF16, LB_F16, LB_F32, "BF16, F16 or F32", err)) return false;
    bool flat = n_group == 1 && t->rank == 1; /* [n] for [n,1] */
    return lb_tensor_check_shape(t, (int64_t[]){n, n_group}, flat ? 1 : 2, "the layout", err) &&
           lb_tensor_need_finite(t, err);
}

static bool check_no_zero(const lb_tensor *z, lb_err *err)
{
    for (size_t i = 0; z && i < z->size_bytes; i++)
        if (z->data[i])
            return lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' holds zero points, but the scheme is symmetric",
                           z->file, z->name);
    return true;
}

static float float_at(const lb_tensor *t, size_t i)
{
    return t->dtype == LB_F8_E4M3 ? lb_from_e4m3(t->data[i]) : lb_load_f32(t->data, t->dtype, i);
}

/* Float zero points, each a half of a whole number among the codes. */
static bool check_half(const lb_tensor *z, int n, int n_group, lb_err *err)
{
    if (z->dtype != LB_F8_E4M3 && !check_kind(z, LB_BF16, LB_F16, LB_F32, "F8_E4M3, BF16, F16 or F32", err)) return false;
    if (!lb_tensor_check_shape(z, (int64_t[]){n, n_group}, 2, "the layout", err)) return false;
    for (size_t i = 0; i < (size_t)n * (size_t)n_group; i++) {
        float v = float_at(z, i);
        if (v >= -2 && v <= 1 && 2 * v == (float)(int)(2 * v)) continue;
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s: tensor '%.200s' holds %g at %zu; lowbit reads zero points of 2-bit weights that are -2, -1.5 "
                       "… 1", z->file, z->name, (double)v, i);
    }
    return true;
}

bool lb_ct_unpack_tensors(const lb_ct_tensors *t, const lb_ct_scheme *sch, int n, int k, lb_qmat *q, lb_err *err)
{
    memset(q, 0, sizeof *q);
    if (n <= 0 || k <= 0) return lb_fail(err, LB_EFORMAT, "a weight of shape [%d,%d]", n, k);
    int group = sch->group && sch->group < k ? sch->group : k, g = lb_n_group(k, group);
    if (group != k && group % LB_TILE_COLS)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s: tensor '%.200s' has groups of %d columns; lowbit reads multiples of %d, or one group a row",
                       t->packed->file, t->packed->name, group, LB_TILE_COLS);
    bool padded, half = sch->format == LB_CT_HALF;
    if (!check_weight_shape(t->shape, n, k, err) || !check_packing(t, sch, n, k, g, &padded, err) ||
        !check_scale(t->scale, n, g, err) || (sch->symmetric && !check_no_zero(t->zero, err)) ||
        (half && !check_half(t->zero, n, g, err)))
        return false;

    *q = (lb_qmat){.bits = sch->bits, .n = n, .k = k, .group = group, .scale_type = t->scale->dtype, .half = half};
    if (!lb_qmat_alloc(q, err)) return false;
    size_t row_bytes = 4 * (size_t)t->packed->shape[1], G = (size_t)g;
    for (size_t r = 0; r < (size_t)n; r++) {
        const uint8_t *p = t->packed->data + r * row_bytes;
        uint8_t *codes = q->codes + r * (size_t)k;
        if (!padded) unpack_row_of(p, sch->bits, (size_t)k, codes);
        for (size_t i = 0; padded && i < (size_t)k; i++) codes[i] = (uint8_t)get(p, 1, sch->bits, true, i);
    }
    for (size_t i = 0; i < (size_t)n * G; i++) q->scales[i] = lb_load_f32(t->scale->data, t->scale->dtype, i);
    if (sch->symmetric) memset(q->zeros, 1 << (sch->bits - 1), (size_t)n * G);
    for (size_t i = 0; half && i < (size_t)n * G; i++) q->zeros[i] = (uint8_t)(int)(2 * (float_at(t->zero, i) + 2));
    for (size_t i = 0; !half && !sch->symmetric && i < (size_t)n * G; i++)
        q->zeros[i] = (uint8_t)get(t->zero->data + 4 * (i % G), G, sch->bits, padded, i / G);
    return true;
}

enum { NAME_BYTES = 4200 };      /* longer than any name a file may have */

static bool part_name(char out[NAME_BYTES], const char *module, const char *suffix)
{
    return snprintf(out, NAME_BYTES, "%s.%s", module, suffix) < NAME_BYTES;
}

/* MODULE.SUFFIX; a missing one clears *ok if it is needed. */
static const lb_tensor *part_of(const lb_store *s, const char *module, const char *suffix, bool need, bool *ok,
                                lb_err *err)
{
    char name[NAME_BYTES];
    const lb_tensor *t = part_name(name, module, suffix) ? lb_store_find(s, name) : NULL;
    if (!t && need) *ok = lb_fail(err, LB_EFORMAT, "%s: there is no tensor '%.300s'", lb_store_path(s), name);
    return t;
}

bool lb_ct_unpack(const lb_store *s, const char *module, const lb_ct_scheme *sch, int n, int k, lb_qmat *q, lb_err *err)
{
    bool ok = true;
    memset(q, 0, sizeof *q);
    lb_ct_tensors t = {0};
    t.packed = part_of(s, module, "weight_packed", true, &ok, err);
    if (ok) t.scale = part_of(s, module, "weight_scale", true, &ok, err);
    if (ok) t.shape = part_of(s, module, "weight_shape", true, &ok, err);
    if (ok) t.zero = part_of(s, module, "weight_zero_point", !sch->symmetric, &ok, err);
    if (ok && part_of(s, module, "weight_g_idx", false, &ok, err))
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s: '%.300s' has a weight_g_idx (actorder \"group\"), which lowbit does not read",
                       lb_store_path(s), module);
    return ok && lb_ct_unpack_tensors(&t, sch, n, k, q, err);
}

/* ---- writing ---- */

enum { PACKED, SCALE, SHAPE, ZERO };

int lb_ct_parts(const lb_ct_scheme *sch, int n, int k, lb_dtype scale_type, lb_ct_part out[LB_CT_MAX_PARTS])
{
    int g = sch->group && sch->group < k ? lb_n_group(k, sch->group) : 1, b = sch->bits;
    out[PACKED] = (lb_ct_part){"weight_packed", LB_I32, 2, {n, n_word(k, b, false)}, 0};
    out[SCALE] = (lb_ct_part){"weight_scale", scale_type, 2, {n, g}, 0};
    out[SHAPE] = (lb_ct_part){"weight_shape", LB_I64, 1, {2, 1}, 0};
    out[ZERO] = (lb_ct_part){"weight_zero_point", LB_I32, 2, {n_word(n, b, false), g}, 0};
    if (sch->format == LB_CT_HALF) out[ZERO] = (lb_ct_part){"weight_zero_point", LB_F8_E4M3, 2, {n, g}, 0};
    for (int i = 0; i < LB_CT_MAX_PARTS; i++)
        out[i].size_bytes = (size_t)out[i].shape[0] * (size_t)out[i].shape[1] * lb_dtype_bytes(out[i].dtype);
    return sch->symmetric ? ZERO : ZERO + 1;
}

static bool check_meant(const lb_qmat *q, const lb_ct_scheme *sch, lb_err *err)
{
    int group = sch->group && sch->group < q->k ? sch->group : q->k;
    bool half = sch->format == LB_CT_HALF;
    if (q->bits == sch->bits && q->group == group && q->half == half) return true;
    if (q->half != half)
        return lb_fail(err, LB_EFAIL, "a weight with %s zero points in a scheme of %s ones", q->half ? "half" : "whole",
                       half ? "half" : "whole");
    return lb_fail(err, LB_EFAIL,
                   "a weight of %d bits in groups of %d does not fit a scheme of %d bits in groups of %d", q->bits,
                   q->group, sch->bits, group);
}

static bool pack_scales(const lb_qmat *q, size_t n, uint8_t *out, lb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        lb_store_f32(out, q->scale_type, i, q->scales[i]);
        if (lb_load_f32(out, q->scale_type, i) != q->scales[i]) /* also a NaN */
            return lb_fail(err, LB_EFAIL, "scale %zu is %.9g, which %s cannot hold exactly", i, (double)q->scales[i],
                           lb_dtype_name(q->scale_type));
    }
    return true;
}

static void pack_zeros(const lb_qmat *q, size_t G, size_t size_bytes, uint8_t *out)
{
    memset(out, 0, size_bytes);
    for (size_t r = 0; r < (size_t)q->n; r++)
        for (size_t j = 0; j < G; j++) {
            size_t bit = r * (size_t)q->bits, off = bit % 32, at = bit / 32;
            uint64_t v = (uint64_t)q->zeros[r * G + j] << off;
            for (; v; v >>= 32, at++) {
                uint32_t w = word_at(out, at * G + j) | (uint32_t)v;
                memcpy(out + 4 * (at * G + j), &w, 4);
            }
        }
}

bool lb_ct_pack(const lb_qmat *q, const lb_ct_scheme *sch, int i, uint8_t *out, lb_err *err)
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n_part = lb_ct_parts(sch, q->n, q->k, q->scale_type, part);
    size_t G = (size_t)part[SCALE].shape[1], n_scale = (size_t)q->n * G;
    if (!check_meant(q, sch, err)) return false;
    if (i < 0 || i >= n_part) return lb_fail(err, LB_EFAIL, "there is no part %d of %d", i, n_part);
    if (i == SCALE) return pack_scales(q, n_scale, out, err);
    if (i == SHAPE) {
        int64_t shape[2] = {q->n, q->k};
        memcpy(out, shape, sizeof shape);
    } else if (i == ZERO && q->half) {
        for (size_t j = 0; j < n_scale; j++) out[j] = lb_to_e4m3(0.5f * (float)q->zeros[j] - 2);
    } else if (i == ZERO) {
        pack_zeros(q, G, part[ZERO].size_bytes, out);
    } else {
        for (size_t j = 0; sch->symmetric && j < n_scale; j++)
            if (q->zeros[j] != 1 << (q->bits - 1))
                return lb_fail(err, LB_EFAIL, "zero point %zu is %d in a symmetric scheme of %d bits", j, q->zeros[j],
                               q->bits);
        size_t row_bytes = 4 * (size_t)part[PACKED].shape[1];
        memset(out, 0, part[PACKED].size_bytes);
        for (size_t r = 0; r < (size_t)q->n; r++)
            pack_row_of(q->codes + r * (size_t)q->k, q->bits, (size_t)q->k, out + r * row_bytes);
    }
    return true;
}

bool lb_ct_declare(lb_st_writer *w, const char *module, const lb_ct_scheme *sch, int n, int k, lb_dtype scale_type,
                   lb_err *err)
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n_part = lb_ct_parts(sch, n, k, scale_type, part);
    for (int i = 0; i < n_part; i++) {
        char name[NAME_BYTES];
        if (!part_name(name, module, part[i].suffix))
            return lb_fail(err, LB_EFAIL, "a module name of %zu bytes", strlen(module));
        if (!lb_st_writer_declare(w, name, part[i].dtype, part[i].rank, part[i].shape, err)) return false;
    }
    return true;
}

bool lb_ct_write(lb_st_writer *w, const char *module, const lb_ct_scheme *sch, const lb_qmat *q, lb_err *err)
{
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n_part = lb_ct_parts(sch, q->n, q->k, q->scale_type, part);
    bool ok = true;
    for (int i = 0; ok && i < n_part; i++) {
        char name[NAME_BYTES];
        uint8_t *bytes = lb_alloc(part[i].size_bytes, 1, "packed weights", err);
        ok = bytes && (part_name(name, module, part[i].suffix) ||
                       lb_fail(err, LB_EFAIL, "a module name of %zu bytes", strlen(module)));
        if (ok) ok = lb_ct_pack(q, sch, i, bytes, err) || lb_wrap(err, "%.200s", module);
        if (ok) ok = lb_st_writer_put(w, name, bytes, part[i].size_bytes, err);
        free(bytes);
    }
    return ok;
}
