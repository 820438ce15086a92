/* quant/scheme.h – schemes as the studies write them: w4a16kv16, w3g128, w2g64s, w8a8kv8, w4a4kv4, mxfp4, nvfp4a4kv4.
 *
 *     w BITS [a BITS] [kv BITS] [g GROUP] [s|a|h]        integers
 *     mxfp4 | nvfp4 [a 4|16] [kv BITS]                   E2M1 in blocks of 32 or 16
 *
 * BITS of the weights is 2, 3, 4 or 8, or 16 for none; of activations 4, 8 or 16; of the KV cache 2, 3, 4, 8 or 16.
 * GROUP is a multiple of 32, or −1 for one group a row; s means symmetric, a asymmetric, h (2 bits only) balanced with
 * half-integer codes: ±½ and ±1½ times the scale, ParetoQ's stretched grid (arXiv:2502.02631). Defaults: a16, kv16; g128
 * asymmetric for weights alone, g-1 symmetric where activations are quantized as well. Upper case is accepted. */
#ifndef LB_QUANT_SCHEME_H
#define LB_QUANT_SCHEME_H
#include "base/err.h"

typedef enum lb_wformat { LB_W_INT, LB_W_MXFP4, LB_W_NVFP4 } lb_wformat;

typedef struct lb_scheme {
    lb_wformat format;           /* of the weights; of activations too where they have 4 bits and this is no integer */
    int w_bits;                  /* 2, 3, 4, 8, or 16: not quantized */
    int a_bits, kv_bits;         /* 16: not quantized */
    int group;                   /* columns per scale; −1: the whole row */
    bool sym;
    bool half;                   /* 2 bits: zero point 1½; sym is false then */
} lb_scheme;

enum { LB_SCHEME_TEXT = 32 };

/* LB_EUSAGE for what is not a scheme. */
bool lb_scheme_parse(const char *text, lb_scheme *out, lb_err *err);
/* "w3g128", "w4g-1s", "w4a4kv4": the shortest form that parses back to the same. */
void lb_scheme_text(const lb_scheme *s, char out[LB_SCHEME_TEXT]);
#endif
