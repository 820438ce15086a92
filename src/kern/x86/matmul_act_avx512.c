/* kern/x86/matmul_act_avx512.c – integer weights, quantized activations as one signed byte, code − 2^(bits−1). */
#include "kern/x86/matmul_int_avx512.h"

#define ACT 1
#define OFFSET 1
enum { PLANES = 1 };

static int32_t sum_word(const int16_t *q, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) sum += q[i];
    return (int32_t)((uint32_t)(-(sum & 127) & 0xffff) | (uint32_t)-(sum >> 7) << 16);
}

static void words(const int16_t *q, int n, int32_t *out)
{
    int8_t *to = (int8_t *)out;
    for (int i = 0; i < n; i++) to[i] = (int8_t)q[i];
}

/* offset · Σ(code − zero) over n columns in the same way: halves lo and hi of the sum C = lo + 128·hi, and a word of
 * −offset and −128·offset. |C| ≤ 255·1024. */
INLINE vi vi_ones(void) { return _mm512_set1_epi8(1); }
INLINE vi vi_row_sum(vi codes, vi zeros, int n)
{
    vi zero = _mm512_and_si512(zeros, _mm512_set1_epi32(255));
    vi c = _mm512_sub_epi32(codes, _mm512_mullo_epi32(zero, _mm512_set1_epi32(n)));
    return _mm512_or_si512(_mm512_and_si512(c, _mm512_set1_epi32(127)), _mm512_slli_epi32(_mm512_srai_epi32(c, 7), 16));
}
static int32_t offset_word(int offset)
{
    return (int32_t)((uint32_t)(-offset & 0xffff) | (uint32_t)(-128 * offset) << 16);
}

#include "kern/x86/matmul_int.inc"

size_t lb_matmul_act_avx512_scratch(const void *args) { return split_bytes(args); }
void lb_matmul_act_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    split(args, unit0, lb_matmul_prep_end(args, unit1), lb_exec_scratch(ex));
}
void lb_matmul_act_avx512(const void *args, int row0, int row1, lb_exec *ex)
{
    matmul_int(args, row0, row1, lb_exec_scratch(ex));
}
