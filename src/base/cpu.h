/* base/cpu.h – what the processor can do, and what the user lets it do.
 *
 * CPU levels are few and mean generations. The probe checks CPUID and what the operating system enabled (XGETBV). */
#ifndef LB_BASE_CPU_H
#define LB_BASE_CPU_H
#include "base/err.h"

/* Bits of `needs` in the operator tables. A level includes those below it. */
enum {
    LB_AVX2 = 1 << 0,        /* AVX2, FMA, F16C, BMI2 */
    LB_AVX512 = 1 << 1,      /* AVX-512 F, BW, DQ, VL, VNNI */
    LB_AVX512_BF16 = 1 << 2, /* AVX512_BF16 */
    LB_AMX = 1 << 3,         /* AMX tiles of bf16 and int8, with AVX-512 and AVX512_BF16; Linux gave leave to use them */
    LB_CUDA = 1 << 8,        /* runs on a CUDA stream; never set by the CPU probe */
};

unsigned lb_cpu_probe(void);                                            /* mask of the CPU bits above */
/* "ref", "avx2", "avx512", "avx512bf16", "amx": the mask of levels up to that one. NULL or "auto": what the processor
 * has, without avx512bf16, which is taken only by name (and is no part of amx): its dots round activations to bf16
 * (logits of a tiny model move by 1 %), and on Sapphire Rapids they run at 0.55 times the speed of the f32 ones in
 * prefill; where vdpbf16ps issues twice a cycle (Zen 5) it is meant to be faster. LB_EUSAGE for an unknown name,
 * LB_EUNSUPPORTED for one that this processor lacks. */
bool lb_cpu_mask(const char *isa, unsigned *mask, lb_err *err);
const char *lb_cpu_level_name(unsigned mask);                           /* the highest level in mask */
int lb_cpu_count(void);                                                 /* processors this process may use */
const char *lb_cpu_model(void);                                         /* "Intel(R) Xeon(R) …"; static storage */
double lb_now_s(void);                                                  /* monotonic seconds */
#endif
