/* base/cpu.c – the CPUID probe. */
#define _GNU_SOURCE
#include "base/cpu.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

static uint64_t xgetbv0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* Linux gives the 8 KiB of tile registers to processes that ask for them (arch_prctl(2)), this one and its children. */
static bool may_use_tiles(uint64_t os)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return (os & 0x60000) == 0x60000 && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

unsigned lb_cpu_probe(void)
{
    unsigned a, b, c, d, mask = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (!(c & bit_OSXSAVE) || !(c & bit_AVX)) return 0;
    uint64_t os = xgetbv0();
    bool fma_f16c = (c & bit_FMA) && (c & bit_F16C);
    if ((os & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (fma_f16c && (b & bit_AVX2) && (b & bit_BMI2)) mask |= LB_AVX2;
    unsigned f = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((mask & LB_AVX2) && (os & 0xe0) == 0xe0 && (b & f) == f && (c & bit_AVX512VNNI)) mask |= LB_AVX512;
    unsigned tiles = 1u << 22 | 1u << 24 | 1u << 25; /* AMX-BF16, AMX-TILE, AMX-INT8 */
    bool amx = (d & tiles) == tiles;
    if ((mask & LB_AVX512) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5)) mask |= LB_AVX512_BF16;
    if ((mask & LB_AVX512_BF16) && amx && may_use_tiles(os)) mask |= LB_AMX;
    return mask;
}
#else
unsigned lb_cpu_probe(void) { return 0; }
#endif

static const struct { const char *name; unsigned mask; } levels[] = {
    {"ref", 0},
    {"avx2", LB_AVX2},
    {"avx512", LB_AVX2 | LB_AVX512},
    {"avx512bf16", LB_AVX2 | LB_AVX512 | LB_AVX512_BF16},
    {"amx", LB_AVX2 | LB_AVX512 | LB_AMX},
};

bool lb_cpu_mask(const char *isa, unsigned *mask, lb_err *err)
{
    unsigned have = lb_cpu_probe();
    *mask = have & ~(unsigned)LB_AVX512_BF16;
    if (!isa || !*isa || strcmp(isa, "auto") == 0) return true;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (strcmp(isa, levels[i].name) != 0) continue;
        if ((levels[i].mask & have) != levels[i].mask)
            return lb_fail(err, LB_EUNSUPPORTED, "--isa=%s: this processor stops at %s", isa, lb_cpu_level_name(have));
        *mask = levels[i].mask;
        return true;
    }
    return lb_fail(err, LB_EUSAGE, "--isa=%s is unknown; there are auto, ref, avx2, avx512, avx512bf16 and amx",
                   isa);
}

const char *lb_cpu_level_name(unsigned mask)
{
    size_t i = sizeof levels / sizeof *levels - 1;
    while ((levels[i].mask & mask) != levels[i].mask) i--; /* ref needs nothing */
    return levels[i].name;
}

int lb_cpu_count(void)
{
    cpu_set_t s;
    if (sched_getaffinity(0, sizeof s, &s) == 0 && CPU_COUNT(&s) > 0) return CPU_COUNT(&s);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

const char *lb_cpu_model(void)
{
    static char name[128];
    if (name[0]) return name;
    snprintf(name, sizeof name, "unknown processor");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return name;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!colon) continue;
        colon[strcspn(colon, "\n")] = 0;
        snprintf(name, sizeof name, "%.120s", colon + 2);
        break;
    }
    fclose(f);
    return name;
}

double lb_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
