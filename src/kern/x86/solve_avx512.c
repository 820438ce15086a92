/* kern/x86/solve_avx512.c – the avx512 rows of the tables of kern/clip.c and kern/gptq_step.c. */
#include "kern/x86/solve_x86.h"
#include "kern/x86/outer_avx512.h"

ALWAYS vf s_abs(vf x) { return _mm512_abs_ps(x); }
ALWAYS vf s_sign(vf x, vf y) { return _mm512_or_ps(x, _mm512_and_ps(y, _mm512_set1_ps(-0.0f))); } /* x ≥ 0 */
ALWAYS bool s_any_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) != 0; }
ALWAYS vf s_if_lt(vf a, vf b, vf x, vf y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x); }
ALWAYS vf s_guess(vf y)
{
    vi fifth = _mm512_cvttps_epi32(_mm512_cvtepi32_ps(_mm512_castps_si512(y)) * v_set1(0.2f));
    return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(LB_FIFTH_GUESS), fifth));
}
ALWAYS void s_store_u8(uint8_t *p, vf x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}
#include "kern/x86/solve.inc"

void lb_clip_avx512(const void *args, int u0, int u1, lb_exec *ex) { (void)ex; clip(args, u0, u1); }
void lb_gptq_step_avx512(const void *args, int u0, int u1, lb_exec *ex) { (void)ex; gptq_step(args, u0, u1); }
void lb_gptq_update_avx512(const void *args, int u0, int u1, lb_exec *ex) { (void)ex; gptq_update(args, u0, u1); }
