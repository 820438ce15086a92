/* kern/x86/solve_avx2.c – the avx2 rows of the tables of kern/clip.c and kern/gptq_step.c. */
#include "kern/x86/solve_x86.h"
#include "kern/x86/outer_avx2.h"

ALWAYS vf s_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
ALWAYS vf s_sign(vf x, vf y) { return _mm256_or_ps(x, _mm256_and_ps(y, _mm256_set1_ps(-0.0f))); } /* x ≥ 0 */
ALWAYS bool s_any_lt(vf a, vf b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)) != 0; }
ALWAYS vf s_if_lt(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
ALWAYS vf s_guess(vf y)
{
    vi fifth = _mm256_cvttps_epi32(_mm256_cvtepi32_ps(_mm256_castps_si256(y)) * v_set1(0.2f));
    return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(LB_FIFTH_GUESS), fifth));
}
ALWAYS void s_store_u8(uint8_t *p, vf x)
{
    vi i = _mm256_cvtps_epi32(x);
    __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(h, h));
}
#include "kern/x86/solve.inc"

void lb_clip_avx2(const void *args, int u0, int u1, lb_exec *ex) { (void)ex; clip(args, u0, u1); }
void lb_gptq_step_avx2(const void *args, int u0, int u1, lb_exec *ex) { (void)ex; gptq_step(args, u0, u1); }
void lb_gptq_update_avx2(const void *args, int u0, int u1, lb_exec *ex) { (void)ex; gptq_update(args, u0, u1); }
