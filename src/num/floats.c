/* num/floats.c – row-major bf16, f16 and f32. */
#include "base/mem.h"
#include "num/num.h"

static size_t size(const lb_mat *m)
{
    size_t n;
    lb_size_mul((size_t)m->n, (size_t)m->k, &n);
    lb_size_mul(n, lb_dtype_bytes(m->num->dtype), &n);
    return n;
}

static void decode(const lb_mat *m, int row, int k0, int k1, float *out)
{
    for (int k = k0; k < k1; k++)
        out[k - k0] = lb_load_f32(m->data, m->num->dtype, (size_t)row * (size_t)m->k + (size_t)k);
}

const lb_num lb_num_f32 = {.name = "f32", .bits = 32, .dtype = LB_F32, .size = size, .decode = decode};
const lb_num lb_num_f16 = {.name = "f16", .bits = 16, .dtype = LB_F16, .size = size, .decode = decode};
const lb_num lb_num_bf16 = {.name = "bf16", .bits = 16, .dtype = LB_BF16, .size = size, .decode = decode};
