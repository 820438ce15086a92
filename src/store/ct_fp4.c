/* store/ct_fp4.c – nibbles and scales of block floats. */
#include "store/ct_fp4.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const lb_num *lb_ct_fp4_num(const lb_ct_scheme *s)
{
    return s->format == LB_CT_MXFP4 ? &lb_num_mxfp4 : s->format == LB_CT_NVFP4 ? &lb_num_nvfp4 : NULL;
}

float lb_ct_fp4_tensor_scale(const lb_num *num, float amax)
{
    float t = lb_fp4_tensor_scale(num, amax), global = 1 / t;
    if (num == &lb_num_mxfp4) return t;
    return isfinite(global) && global > 0 ? 1 / global : 1; /* of nothing but zeros, or as good as */
}

static bool check(const lb_tensor *t, lb_dtype a, lb_dtype b, int rank, const int64_t *shape, lb_err *err)
{
    if (!lb_tensor_check_shape(t, shape, rank, "the layout", err)) return false;
    return t->dtype == a || t->dtype == b ||
           lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' is %s, wanted %s", t->file, t->name, lb_dtype_name(t->dtype),
                   lb_dtype_name(a));
}

static bool check_scales(const lb_fp4mat *q, const lb_tensor *t, lb_err *err)
{
    size_t n = (size_t)q->n * (size_t)lb_n_group(q->k, q->num->block);
    for (size_t i = 0; i < n; i++) {
        float s = lb_fp4_scale(q->num, q->scales[i], q->tensor_scale);
        if (isfinite(6 * s) && s >= 0) continue; /* 6: the largest code */
        return lb_fail(err, LB_ENUMERIC, "%s: tensor '%.200s' holds %g at %zu; a scale is a number from 0 on whose codes "
                       "are finite", t->file, t->name, (double)s, i);
    }
    return true;
}

bool lb_ct_fp4_unpack_tensors(const lb_ct_fp4_tensors *in, const lb_ct_scheme *sch, int n, int k, lb_fp4mat *q, lb_err *err)
{
    const lb_num *num = lb_ct_fp4_num(sch);
    bool nv = num == &lb_num_nvfp4;
    *q = (lb_fp4mat){.num = num, .n = n, .k = k, .tensor_scale = 1};
    if (n < 1 || k < 1 || k % num->block != 0)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: tensor '%.200s' has rows of %d columns, no multiple of %s's block of %d",
                       in->packed->file, in->packed->name, k, num->name, num->block);
    int64_t codes[2] = {n, k / 2}, scales[2] = {n, k / num->block}, one[1] = {1};
    if (!check(in->packed, LB_U8, LB_U8, 2, codes, err) ||
        !check(in->scale, nv ? LB_F8_E4M3 : LB_U8, nv ? LB_F8_E4M3 : LB_F8_E8M0, 2, scales, err))
        return false;
    if (nv) {
        const lb_tensor *g = in->global;
        if (!check(g, LB_F32, LB_F32, 1, one, err)) return false;
        q->tensor_scale = 1 / lb_load_f32(g->data, LB_F32, 0);
        if (!isfinite(q->tensor_scale) || q->tensor_scale <= 0)
            return lb_fail(err, LB_ENUMERIC, "%s: tensor '%.200s' is no positive number", g->file, g->name);
    }
    if (!lb_fp4mat_alloc(q, err)) return false;
    for (size_t i = 0; i < in->packed->size_bytes; i++) {
        q->codes[2 * i] = in->packed->data[i] & 15;
        q->codes[2 * i + 1] = in->packed->data[i] >> 4;
    }
    memcpy(q->scales, in->scale->data, in->scale->size_bytes);
    if (check_scales(q, in->scale, err)) return true;
    lb_fp4mat_free(q);
    return false;
}

bool lb_ct_fp4_unpack(const lb_store *s, const char *module, const lb_ct_scheme *sch, int n, int k, lb_fp4mat *q,
                      lb_err *err)
{
    static const char *const part[] = {"weight_packed", "weight_scale", "weight_global_scale"};
    const lb_tensor *t[3] = {0};
    for (int i = 0; i < (sch->format == LB_CT_NVFP4 ? 3 : 2); i++) {
        char name[640];
        snprintf(name, sizeof name, "%s.%s", module, part[i]);
        if (!(t[i] = lb_store_need(s, name, err))) return false;
    }
    return lb_ct_fp4_unpack_tensors(&(lb_ct_fp4_tensors){t[0], t[1], t[2]}, sch, n, k, q, err);
}

int lb_ct_fp4_parts(const lb_ct_scheme *sch, int n, int k, lb_ct_part out[LB_CT_MAX_PARTS])
{
    const lb_num *num = lb_ct_fp4_num(sch);
    bool nv = num == &lb_num_nvfp4;
    out[0] = (lb_ct_part){"weight_packed", LB_U8, 2, {n, k / 2}, (size_t)n * (size_t)(k / 2)};
    out[1] = (lb_ct_part){"weight_scale", nv ? LB_F8_E4M3 : LB_U8, 2, {n, k / num->block},
                          (size_t)n * (size_t)(k / num->block)};
    out[2] = (lb_ct_part){"weight_global_scale", LB_F32, 1, {1, 0}, sizeof(float)};
    return nv ? 3 : 2;
}

void lb_ct_fp4_pack(const lb_fp4mat *q, int i, uint8_t *out)
{
    size_t n = (size_t)q->n * (size_t)q->k, g = (size_t)q->n * (size_t)(q->k / q->num->block);
    float global = 1 / q->tensor_scale;
    if (i == 1) memcpy(out, q->scales, g);
    if (i == 2) memcpy(out, &global, sizeof global);
    for (size_t j = 0; i == 0 && j < n / 2; j++) out[j] = (uint8_t)(q->codes[2 * j] | q->codes[2 * j + 1] << 4);
}
