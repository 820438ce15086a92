/* num/num.h – number formats: how a weight matrix lies in memory and what its bits mean.
 *
 * A format is one row of nums.def. Float formats (bf16, f16, f32) are row-major, exactly as a safetensors file holds
 * them, so that a mapped file is used in place. Integer formats (int2, int3, int4, int8) hold a code per weight with a
 * scale and a zero point per group of `group` consecutive columns of a row, w = scale · (code − zero), in the tile
 * layout of num/tile.h, which is what the kernels stream. int2h is int2 with zero points in halves, 0, ½, 1 … 3: with
 * 1½ the four levels −1½, −½, ½, 1½ are balanced and have no zero among them (arXiv:2502.02631). Block floats (mxfp4, nvfp4; num/fp4.h) hold 4-bit floats with
 * an 8-bit scale per block of a fixed number of columns, in the same layout. */
#ifndef LB_NUM_NUM_H
#define LB_NUM_NUM_H
#include "base/err.h"
#include "num/dtype.h"

typedef struct lb_num lb_num;

/* A weight matrix W[n,k], y = x · Wᵀ: n output features (rows), k input features (columns). */
typedef struct lb_mat {
    const lb_num *num;
    int n, k;
    int group;               /* columns per scale; 0 for float formats; == k for one scale a row */
    lb_dtype scale_type;     /* integer formats: LB_BF16, LB_F16 or LB_F32; block floats: LB_F8_E8M0 or LB_F8_E4M3 */
    const void *data;        /* borrowed from the model's mapping or arena, or device memory */
    float tensor_scale;      /* block floats: multiplies every scale; 1 for mxfp4 */
} lb_mat;

struct lb_num {
    const char *name;        /* "bf16", "int4" */
    int bits;                /* per weight, scales not counted */
    bool grouped;            /* tile layout: integers and block floats */
    bool half;               /* integers: zero points are stored as twice what they are */
    int block;               /* block floats: columns per scale; 0: not one */
    lb_dtype dtype;          /* of the elements, float formats only; of block floats' scales */
    size_t (*size)(const lb_mat *m);                                     /* bytes of m->data; SIZE_MAX on overflow */
    void (*decode)(const lb_mat *m, int row, int k0, int k1, float *out);/* out[0…k1−k0) = W[row, k0…k1) in f32 */
};

extern const lb_num *const lb_nums[];            /* NULL-terminated */
const lb_num *lb_num_find(const char *name);     /* NULL if there is none */
const lb_num *lb_num_of_dtype(lb_dtype t);       /* the float format of that type, or NULL */
const lb_num *lb_num_of_bits(int bits);          /* the format of 2, 3, 4 or 8 bits with whole zero points, or NULL */
/* Average bits per weight with scales, zero points and padding. */
double lb_mat_bpw(const lb_mat *m);
#endif
