/* kern/x86/amx.h – tile registers: eight of 16 rows × 64 bytes, four that add up and two for each operand.
 *
 * C[16,16] of 32-bit lanes += A[16 rows of 64 bytes] · B, where row r of B holds what the r-th 32 bits of A's rows meet: two
 * bf16 numbers, or four bytes, for each of 16 columns. Two tiles of A and two of B make four products:
 *
 *              B6    B7
 *         A4   C0    C1
 *         A5   C2    C3
 *
 * Registers are named by constants, so all of this is inlined. Tile intrinsics are statements: some compilers' are asm. */
#ifndef LB_KERN_X86_AMX_H
#define LB_KERN_X86_AMX_H
#include <immintrin.h>
#include <stdint.h>

enum { AMX_BYTES = 1024 };       /* of a full tile */

/* What was stored before is there for tile loads after: gcc 12 does not know that these read memory. */
static inline __attribute__((always_inline)) void amx_fence(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* The lines of the two tiles of A and the 32-bit columns of the two of B, and so of the four sums; 1…16. Before a thread's
 * first tile instruction, with amx_close after its last. */
static inline void amx_open_as(int lines0, int lines1, int columns0, int columns1)
{
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    _Static_assert(sizeof c == 64, "the layout of LDTILECFG");
    for (int i = 0; i < 8; i++) {
        c.rows[i] = (uint8_t)(i > 5 ? 16 : i == 5 || i == 2 || i == 3 ? lines1 : lines0);
        c.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? 64 : 4 * (i & 1 ? columns1 : columns0));
    }
    amx_fence(&c);
    _tile_loadconfig(&c);
}
static inline void amx_open(void) { amx_open_as(16, 16, 16, 16); }
static inline void amx_close(void) { _tile_release(); }

static inline __attribute__((always_inline)) void amx_zero(void)
{
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
}
/* Two tiles one after the other. */
static inline __attribute__((always_inline)) void amx_load_a(const void *p)
{
    amx_fence(p);
    _tile_loadd(4, p, 64); _tile_loadd(5, (const char *)p + AMX_BYTES, 64);
}
static inline __attribute__((always_inline)) void amx_load_b(const void *p)
{
    amx_fence(p);
    _tile_loadd(6, p, 64); _tile_loadd(7, (const char *)p + AMX_BYTES, 64);
}
static inline __attribute__((always_inline)) void amx_bf16(void)
{
    _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7);
}
/* Signed bytes of A, signed or unsigned ones of B. */
static inline __attribute__((always_inline)) void amx_int8(void)
{
    _tile_dpbssd(0, 4, 6); _tile_dpbssd(1, 4, 7); _tile_dpbssd(2, 5, 6); _tile_dpbssd(3, 5, 7);
}
static inline __attribute__((always_inline)) void amx_int8_uint8(void)
{
    _tile_dpbsud(0, 4, 6); _tile_dpbsud(1, 4, 7); _tile_dpbsud(2, 5, 6); _tile_dpbsud(3, 5, 7);
}
/* The four sums as 32 rows of 32 numbers of 32 bits, a row every `stride` bytes. */
static inline __attribute__((always_inline)) void amx_store(void *c, size_t stride)
{
    char *p = c;
    _tile_stored(0, p, stride); _tile_stored(1, p + 64, stride);
    p += 16 * stride;
    _tile_stored(2, p, stride); _tile_stored(3, p + 64, stride);
}
#endif
