/* kern/x86/limits_amx.c – multiplying as fast as tiles of bf16 can. */
#include "kern/x86/limits_x86.h"
#include "kern/x86/amx.h"

double lb_limit_bf16_amx(int64_t n)
{
    _Alignas(64) uint16_t some[2 * AMX_BYTES / 2];
    float sum[32 * 32];
    for (int i = 0; i < AMX_BYTES; i++) some[i] = (uint16_t)(0x3f80 | (i * 79 & 0x7f) | (i & 1) << 15); /* ±1…2 */
    amx_open();
    amx_load_a(some), amx_load_b(some);
    amx_zero();
    for (int64_t i = 0; i < n; i++) amx_bf16();
    amx_store(sum, 128);
    amx_close();
    __asm__ volatile("" : : "r"(sum) : "memory");
    return 4.0 * 2 * 16 * 16 * 32 * (double)n;
}
