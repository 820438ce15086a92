/* base/rng.c – Philox4x32-10. */
#include "base/rng.h"
#include <math.h>

uint64_t lb_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

lb_rng_key lb_rng_key_of(uint64_t seed, uint64_t problem, uint64_t sample)
{
    uint64_t s = lb_mix64(problem ^ lb_mix64(sample));
    return (lb_rng_key){.k = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .stream = {(uint32_t)s, (uint32_t)(s >> 32)}};
}

void lb_rng_block(lb_rng_key key, uint64_t position, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)position, c1 = (uint32_t)(position >> 32), c2 = key.stream[0], c3 = key.stream[1];
    uint32_t k0 = key.k[0], k1 = key.k[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b, c3 = (uint32_t)a, c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

double lb_rng_uniform(lb_rng_key key, uint64_t position)
{
    uint32_t w[4];
    lb_rng_block(key, position, w);
    return (double)(((uint64_t)w[0] << 32 | w[1]) >> 11) * 0x1p-53;
}

float lb_rng_normal(lb_rng_key key, uint64_t position)
{
    uint32_t w[4];
    lb_rng_block(key, position, w);
    double u = ((double)w[0] + 0.5) * 0x1p-32, v = (double)w[1] * 0x1p-32;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}
