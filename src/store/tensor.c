/* tensor.c – questions about one tensor: its shape in words, whether it is what was wanted, whether it is finite. */
#include "store/store.h"
#include <stdio.h>

char *lb_shape_text(const int64_t *shape, int rank, char out[LB_SHAPE_TEXT])
{
    size_t n = 0;
    out[n++] = '[';
    for (int i = 0; i < rank; i++) /* 8 dimensions of at most 20 characters always fit */
        n += (size_t)snprintf(out + n, LB_SHAPE_TEXT - n, "%s%lld", i ? "," : "", (long long)shape[i]);
    out[n++] = ']';
    out[n] = 0;
    return out;
}

bool lb_tensor_check_shape(const lb_tensor *t, const int64_t *shape, int rank, const char *who, lb_err *err)
{
    bool same = t->rank == rank;
    for (int i = 0; same && i < rank; i++) same = t->shape[i] == shape[i];
    if (same) return true;
    char got[LB_SHAPE_TEXT], want[LB_SHAPE_TEXT];
    return lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' is %s, %s wants %s", t->file, t->name,
                   lb_shape_text(t->shape, t->rank, got), who, lb_shape_text(shape, rank, want));
}

/* A float is not finite when all bits of its exponent are set. The block result is an OR without a branch, so that it
 * vectorizes; only a block that has one is looked at element by element. memcpy, because the bytes of a tensor have no
 * C type. */
#define DEFINE_FIRST_BAD(name, type, exponent) \
    static size_t name(const uint8_t *p, size_t n) \
    { \
        enum { BLOCK = 1024 }; \
        for (size_t at = 0; at < n; at += BLOCK) { \
            size_t m = n - at < BLOCK ? n - at : BLOCK; \
            type x[BLOCK], any = 0; \
            memcpy(x, p + at * sizeof *x, m * sizeof *x); \
            for (size_t i = 0; i < m; i++) any |= (type)((x[i] & (exponent)) == (exponent)); \
            if (!any) continue; \
            for (size_t i = 0; i < m; i++) \
                if ((x[i] & (exponent)) == (exponent)) return at + i; \
        } \
        return n; \
    }
DEFINE_FIRST_BAD(first_bad_f64, uint64_t, 0x7ff0000000000000u)
DEFINE_FIRST_BAD(first_bad_f32, uint32_t, 0x7f800000u)
DEFINE_FIRST_BAD(first_bad_bf16, uint16_t, 0x7f80)
DEFINE_FIRST_BAD(first_bad_f16, uint16_t, 0x7c00)

bool lb_tensor_check_finite(const lb_tensor *t, size_t *index)
{
    size_t n = t->size_bytes / lb_dtype_bytes(t->dtype), at = n;
    switch (t->dtype) {
    case LB_F64: at = first_bad_f64(t->data, n); break;
    case LB_F32: at = first_bad_f32(t->data, n); break;
    case LB_BF16: at = first_bad_bf16(t->data, n); break;
    case LB_F16: at = first_bad_f16(t->data, n); break;
    default: break;
    }
    if (index && at < n) *index = at;
    return at == n;
}

bool lb_tensor_need_finite(const lb_tensor *t, lb_err *err)
{
    size_t at;
    if (lb_tensor_check_finite(t, &at)) return true;
    int64_t where[LB_MAX_RANK];
    size_t rest = at;
    for (int i = t->rank - 1; i >= 0; i--) {
        where[i] = (int64_t)(rest % (size_t)t->shape[i]);
        rest /= (size_t)t->shape[i];
    }
    uint64_t bits = 0;
    size_t size = lb_dtype_bytes(t->dtype);
    memcpy(&bits, t->data + at * size, size);
    static const uint64_t mantissa[LB_N_DTYPE] = {
        [LB_F64] = 0xfffffffffffffu, [LB_F32] = 0x7fffff, [LB_BF16] = 0x7f, [LB_F16] = 0x3ff};
    char text[LB_SHAPE_TEXT];
    return lb_fail(err, LB_ENUMERIC, "%s: tensor '%.200s' holds %s at %s", t->file, t->name,
                   bits & mantissa[t->dtype] ? "a NaN" : "an infinity", lb_shape_text(where, t->rank, text));
}
