/* kern/chol.h – the inverse of the Cholesky factor of a symmetric positive definite matrix, in f64. CPU only.
 *
 * A = L·Lᵀ; wanted is L⁻¹. Both come out of one elimination of [A | 1] by blocks of rows, in place: the upper triangle
 * holds what is left of A, the lower one what has become of the identity. 2/3·n³ operations, half of what factor,
 * inverse and factor of the inverse take. Every element sees its terms in order by FMA, so that threads and vector width
 * change no bit. (Not LAPACK: its threads are not ours to split, and its bits depend on them and on the processor.) */
#ifndef LB_KERN_CHOL_H
#define LB_KERN_CHOL_H
#include "kern/op.h"

enum { LB_CHOL_PANEL = 24, LB_CHOL_BLOCK = 4 * LB_CHOL_PANEL };

/* Rows and columns that a matrix of n takes: n rounded up to whole panels. */
static inline int lb_chol_ld(int n) { return (n + LB_CHOL_PANEL - 1) / LB_CHOL_PANEL * LB_CHOL_PANEL; }
/* Doubles of scratch memory for it. */
static inline size_t lb_chol_scratch(int n) { return (size_t)lb_chol_ld(n) * LB_CHOL_BLOCK; }

/* a       [ld,ld] with ld = lb_chol_ld(n); the upper triangle of its first n rows and columns is A. On return the lower
 *         triangle is L⁻¹; everything else is overwritten.
 * scratch lb_chol_scratch(n) doubles, 64-byte aligned as a is
 * Returns −1, or the row whose pivot is not a positive number: A is not positive definite (or holds a NaN), and a is
 * spoilt. ex is a CPU. */
int lb_chol_inverse(lb_exec *ex, double *a, int n, double *scratch);

/* One block of the elimination, panels [first, first+n_panel) of rows. Unit: a panel.
 *   stage 0: of columns   packed[q] = T·a[block, q], T = −`t`; what belongs to L⁻¹ goes back to a
 *   stage 1: of rows after the block   a[p, q] −= packed[p]ᵀ·packed[q], q below the end of the block and from p on */
typedef struct lb_chol_step {
    double *a;                   /* [ld,ld] */
    double *packed;              /* [ld/PANEL][rows of the block][PANEL] */
    const double *t;             /* [n_panel][rows of the block][PANEL]: column panels of −Tᵀ, T the inverse of the
                                    block's own factor (lower triangular) */
    int ld, first, n_panel, stage;
} lb_chol_step;

extern const lb_op lb_op_chol;
/* The panel of unit u of stage 1: taken from both ends in turn, because late rows have less of A left. */
static inline int lb_chol_row_panel(const lb_chol_step *s, int u)
{
    int begin = s->first + s->n_panel, last = s->ld / LB_CHOL_PANEL - 1;
    return u & 1 ? last - u / 2 : begin + u / 2;
}
#endif
