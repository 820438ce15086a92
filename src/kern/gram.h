/* kern/gram.h – H += XᵀX: the second moment of a layer's inputs, from which GPTQ works. CPU only.
 *
 * Unit: a pair of panels of LB_GRAM_PANEL columns, the upper triangle of such pairs; each writes its block and the mirror
 * image, so that H stays exactly symmetric. The fast rows take the tokens one after the other by f32 FMA: cutting the
 * tokens into calls, the number of threads and the vector width do not change a bit. */
#ifndef LB_KERN_GRAM_H
#define LB_KERN_GRAM_H
#include "kern/op.h"

enum { LB_GRAM_PANEL = 48 };     /* three vectors of 16 floats, or twice three of 8 */

typedef struct lb_gram {
    float *h;                    /* [k,k] symmetric; updated */
    const float *x;              /* [n_tok,k] */
    int n_tok, k;
} lb_gram;

extern const lb_op lb_op_gram;

/* The same for any n_tok ≥ 0, in pieces that bound the scratch memory (which it reserves). ex is a CPU. LB_ENUMERIC
 * with the token and column if x holds a NaN or an infinity (then H is as it was); LB_ENOMEM. */
bool lb_gram_add(lb_exec *ex, float *h, const float *x, int n_tok, int k, lb_err *err);

static inline int lb_gram_panels(int k) { return (k + LB_GRAM_PANEL - 1) / LB_GRAM_PANEL; }
/* The pair (i ≤ j) of unit u. */
void lb_gram_pair(int unit, int *i, int *j);
/* Copies block (i,j) of panels to (j,i), transposed. */
void lb_gram_mirror(const lb_gram *a, int i, int j);
#endif
