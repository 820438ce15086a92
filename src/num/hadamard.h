/* num/hadamard.h – Hadamard matrices: ±1 with rows at right angles, H·Hᵀ = n·I.
 *
 * Order n = m·2^p is the Kronecker product of a dense matrix of order m and Sylvester's of order 2^p:
 *     T = (H_m ⊗ S_{2^p}) / √n,    x as X[m, 2^p]:  T·x = H_m · X · S / √n
 * so that most of the work is butterflies. m is 1, or 4·odd ≤ LB_HADAMARD_MAX_M. The dense ones come from Paley's
 * constructions I and II over GF(q), q an odd prime or the square of one, and from Williamson quadruples for 92, 116,
 * 156 and 172: every 4·odd up to 256 but 188 and 236. T is orthonormal, and symmetric only where m is 1.
 * Source: Paley, "On orthogonal matrices" (1933); Williamson, "Hadamard's determinant theorem …" (1944). */
#ifndef LB_NUM_HADAMARD_H
#define LB_NUM_HADAMARD_H
#include <stdbool.h>
#include <stddef.h>

enum { LB_HADAMARD_MAX_M = 256 };

/* n = *m · 2^*log2p with a dense matrix of order *m known here (1: none needed). False if there is none: n is not 1, 2
 * or a multiple of 4, or its odd part has no construction. */
bool lb_hadamard_split(int n, int *m, int *log2p);
/* out[n,n] = H_m ⊗ S_{2^p}, entries ±1, for any n that splits; false, and nothing written, otherwise. */
bool lb_hadamard_dense(int n, float *out);

/* x[r,:] = T·x[r,:] for each row of n numbers, in place, in f32. n must split. */
void lb_hadamard_rows(float *x, int n_row, int n);
/* The same along the other index: X = T·X for X[n, n_col] with rows ld floats apart, in place. A column's result does
 * not depend on the others, so threads may share the columns. */
void lb_hadamard_cols(float *x, int n, int n_col, size_t ld);
#endif
