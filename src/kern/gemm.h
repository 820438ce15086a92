/* kern/gemm.h – C = op(A)·op(B) of f32 matrices, one or a batch: what training multiplies with.
 *
 * Unit: a block of LB_GEMM_ROWS rows × LB_GEMM_COLS columns of one C. For each element the order of additions is fixed
 * by k alone (blocks of columns, each summed from zero, are added up in order), so neither the number of
 * threads nor the neighbours of a row change its bits. */
#ifndef LB_KERN_GEMM_H
#define LB_KERN_GEMM_H
#include "kern/op.h"

enum { LB_GEMM_ROWS = 32, LB_GEMM_COLS = 128, LB_GEMM_K = 512 };

/* What a product may do to its operands before it multiplies them; sums are f32 whatever it is. A row that gains
 * nothing by it multiplies f32. On tiles of bf16 (AMX) an operand becomes the sum of 3, 2 or 1 bf16 numbers: 24, 16 or
 * 8 bits of it, at 6, 3 or 1 products. */
typedef enum lb_compute {
    LB_COMPUTE_F32,          /* nothing that f32 would not do: all 24 bits of an operand count */
    LB_COMPUTE_BF16X2,       /* keep 16 bits: relative error of an operand ≤ 2⁻¹⁶ */
    LB_COMPUTE_BF16,         /* round to bf16: ≤ 2⁻⁸ */
} lb_compute;
extern const char *const lb_compute_names[];     /* "f32", "bf16x2", "bf16", NULL */

typedef struct lb_gemm {
    float *c;                /* [m,n] */
    const float *a;          /* [m,k]; [k,m] if ta */
    const float *b;          /* [k,n]; [n,k] if tb */
    const float *bias;       /* [n], added to each row; or NULL */
    int m, n, k;
    int lda, ldb, ldc;       /* floats from one row in memory to the next; 0: rows are dense */
    bool ta, tb;
    bool add;                /* C += instead of C = */
    int n_batch;             /* 0 means 1 */
    size_t step_a, step_b, step_c;   /* floats from one matrix of the batch to the next; 0: the same one for all */
    bool sum;                /* one C: the products of the batch are added up in order */
    lb_compute compute;
} lb_gemm;

extern const lb_op lb_op_gemm;

static inline int lb_gemm_lda(const lb_gemm *g) { return g->lda ? g->lda : g->ta ? g->m : g->k; }
static inline int lb_gemm_ldb(const lb_gemm *g) { return g->ldb ? g->ldb : g->tb ? g->k : g->n; }
static inline int lb_gemm_ldc(const lb_gemm *g) { return g->ldc ? g->ldc : g->n; }
static inline int lb_gemm_batch(const lb_gemm *g) { return g->n_batch ? g->n_batch : 1; }

/* Which block a unit is: neighbours share columns, so that a packed panel of B serves all of a thread's rows. */
typedef struct lb_gemm_block {
    int batch, row, n_row, col, n_col;
} lb_gemm_block;
lb_gemm_block lb_gemm_block_of(const lb_gemm *g, int unit);
/* The block of *unit with the rows of the units behind it, before unit1, that have the same columns; *unit moves past
 * them. */
lb_gemm_block lb_gemm_strip(const lb_gemm *g, int *unit, int unit1);
#endif
