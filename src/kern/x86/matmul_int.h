/* kern/x86/matmul_int.h – weight formats as the integer kernels see them. */
#ifndef LB_KERN_X86_MATMUL_INT_H
#define LB_KERN_X86_MATMUL_INT_H
#include "kern/x86/matmul_x86.h"
#include "num/tile.h"

#define INLINE static inline __attribute__((always_inline))

/* Integers of 2, 3, 4 and 8 bits are formats 2, 3, 4 and 8. Codes of int2h are doubled, or the sums of them where that is
 * less work, so that their zero points, which are stored doubled, are whole numbers; scales count half. Block floats are 4-bit codes that a
 * table turns into integers: 12 + twice the E2M1 value, an unsigned byte with zero point 12; scales count half. */
enum { INT2H = 12, MXFP4 = 32, NVFP4 = 16 };
INLINE int format_of(const lb_mat *m) { return m->num->block ? m->num->block : m->num->half ? INT2H : m->num->bits; }
INLINE int bits_of(int format) { return format >= NVFP4 ? 4 : format == INT2H ? 2 : format; }

_Alignas(16) static const uint8_t e2m1_code[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
static const uint8_t e2m1_zeros[LB_TILE_ROWS] = {12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12};
#endif
