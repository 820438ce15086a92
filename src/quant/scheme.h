/* quant/scheme.h – schemes as the studies write them: w4a16kv16, w3g128, w2g64s.
 *
 *     w BITS [a BITS] [kv BITS] [g GROUP] [s|a]
 *
 * BITS of the weights is 2, 3, 4 or 8, or 16 for none; GROUP is a multiple of 32, or −1 for one group a row; s means
 * symmetric, a asymmetric. Defaults: a16, kv16, g128, asymmetric. Upper case is accepted. */
#ifndef LB_QUANT_SCHEME_H
#define LB_QUANT_SCHEME_H
#include "base/err.h"

typedef struct lb_scheme {
    int w_bits;                  /* 2, 3, 4, 8, or 16: not quantized */
    int group;                   /* columns per scale; −1: the whole row */
    bool sym;
} lb_scheme;

enum { LB_SCHEME_TEXT = 24 };

/* LB_EUSAGE for what is not a scheme; LB_EUNSUPPORTED for activation or KV bits other than 16, which no method here
 * does. */
bool lb_scheme_parse(const char *text, lb_scheme *out, lb_err *err);
/* "w3g128", "w4g-1s": the shortest form that parses back to the same. */
void lb_scheme_text(const lb_scheme *s, char out[LB_SCHEME_TEXT]);
#endif
