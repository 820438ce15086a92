/* kern/cuda/weight.cuh – one element of a weight matrix in any number format, read on the device.
 *
 * The tile layout is that of num/tile.h; a test compares with its decoder. */
#ifndef LB_KERN_CUDA_WEIGHT_CUH
#define LB_KERN_CUDA_WEIGHT_CUH
#include "kern/cuda/cuda_util.cuh"
extern "C" {
#include "num/tile.h"
}

/* lb_mat for kernels: no host pointers. */
struct weight {
    const uint8_t *data;
    int n, k, group;
    lb_dtype scale_type;
    size_t zeros_at, codes_at, group_bytes, block_bytes;
    float tensor_scale;
};

static inline weight weight_of(const lb_mat *m)
{
    weight w = {(const uint8_t *)m->data, m->n, m->k, m->group, m->scale_type, 0, 0, 0, 0, m->tensor_scale};
    lb_tile_layout l;
    if (!m->num->grouped || !lb_tile_layout_of(m, &l)) return w;
    w.zeros_at = l.zeros_at, w.codes_at = l.codes_at, w.group_bytes = l.group_bytes, w.block_bytes = l.block_bytes;
    return w;
}

/* T: float, bf16 or f16. */
template <typename T> struct dense {
    __device__ static float at(const weight &w, int row, int col)
    {
        return load(((const T *)w.data)[(size_t)row * w.k + col]);
    }
};

/* The code of (row r of the block, column c of the group). Byte 4r+j of a 64-byte vector holds columns ≡ j mod 4. */
template <int BITS> __device__ static inline int code_at(const uint8_t *codes, int r, int c)
{
    int lane = 4 * r + (c & 3);
    if (BITS == 8) return codes[(size_t)(c / 4) * 64 + lane];
    if (BITS == 4) return codes[(size_t)(c / 8) * 64 + lane] >> (4 * (c / 4 & 1)) & 15;
    if (BITS == 2) return codes[(size_t)(c / 16) * 64 + lane] >> (2 * (c / 4 & 3)) & 3;
    const uint8_t *three = codes + (size_t)(c / 32) * 192 + lane;
    int low = three[(c / 16 & 1) * 64] >> (2 * (c / 4 & 3)) & 3;
    return low | (three[128] >> (c / 4 & 7) & 1) << 2;
}

template <int BITS, bool HALF = false> struct tiled {
    __device__ static float at(const weight &w, int row, int col)
    {
        const uint8_t *block = w.data + (size_t)(row / LB_TILE_ROWS) * w.block_bytes;
        int r = row % LB_TILE_ROWS, g = col / w.group, slot = g * LB_TILE_ROWS + r;
        float scale = w.scale_type == LB_F32    ? ((const float *)block)[slot]
                      : w.scale_type == LB_BF16 ? load(((const bf16 *)block)[slot])
                                                : load(((const f16 *)block)[slot]);
        int code = code_at<BITS>(block + w.codes_at + (size_t)g * w.group_bytes, r, col - g * w.group);
        int zero = block[w.zeros_at + slot];
        return HALF ? scale * (0.5f * (float)(2 * code - zero)) : scale * (float)(code - zero);
    }
};

/* Block floats (num/fp4.h): E8M0 or E4M3 scales, E2M1 codes; columns of a row follow each other as in int4. */
struct fp4 {
    __device__ static float scale(const weight &w, int byte)
    {
        if (w.scale_type == LB_F8_E8M0)
            return byte == 255 ? NAN : __uint_as_float(byte ? (unsigned)byte << 23 : 0x00400000u);
        int exp = byte >> 3 & 15, man = byte & 7;
        float s = exp ? __uint_as_float((unsigned)(exp + 120) << 23 | (unsigned)man << 20) : man * 0x1p-9f;
        return w.tensor_scale * ((byte & 127) == 127 ? NAN : byte & 128 ? -s : s);
    }
    __device__ static float at(const weight &w, int row, int col)
    {
        const uint8_t *block = w.data + (size_t)(row / LB_TILE_ROWS) * w.block_bytes;
        int r = row % LB_TILE_ROWS, code = code_at<4>(block + w.codes_at, r, col), m = code & 7;
        float half = m < 4 ? m : m < 6 ? 2 * m - 4 : 4 * m - 16; /* 0 1 2 3 4 6 8 12: twice the value */
        return scale(w, block[col / w.group * LB_TILE_ROWS + r]) * (code & 8 ? -0.5f * half : 0.5f * half);
    }
};

/* Calls f(format) with the format of m: one instance of a kernel for each. */
template <typename F> static inline void weight_dispatch(const lb_num *num, F f)
{
    if (num->block) {
        f(fp4());
        return;
    }
    if (num->grouped) {
        switch (num->bits) {
        case 8: f(tiled<8>()); return;
        case 4: f(tiled<4>()); return;
        case 3: f(tiled<3>()); return;
        default: num->half ? f(tiled<2, true>()) : f(tiled<2>()); return;
        }
    }
    switch (num->dtype) {
    case LB_F32: f(dense<float>()); return;
    case LB_BF16: f(dense<bf16>()); return;
    default: f(dense<f16>()); return;
    }
}
#endif
