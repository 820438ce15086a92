/* num/tile.h – the layout in which integer weights and block floats are executed.
 *
 * Rows are taken in blocks of 16, so that one 512-bit vector holds the same column of 16 rows and no horizontal sum is
 * ever needed. A row block is one contiguous, 64-byte aligned piece:
 *
 *     scales  [G][16]  of scale_type        G = number of groups in a row; padded to 64 bytes
 *     zeros   [G][16]  uint8                padded to 64 bytes; integers only; int2h: twice the zero point
 *     codes   for each group: its columns, padded to a multiple of 32 (nvfp4: 16) with columns of code 0, which meet
 *             x = 0
 *
 * Codes come in steps of 64-byte vectors; byte 4r+j of a vector belongs to row r (0…15):
 *
 *     int8   one vector per 4 columns:    byte 4r+j = column 4s+j
 *     int4, mxfp4, nvfp4
 *            one vector per 8 columns:    low nibble = column 8s+j, high nibble = column 8s+4+j
 *     int2, int2h
 *            one vector per 16 columns:   bits 2t…2t+1 = column 16s+4t+j, t = 0…3
 *     int3   three vectors per 32 columns: two int2 vectors hold the low two bits of columns 32s…32s+15 and
 *            32s+16…32s+31, then one vector holds the high bits: bit t = column 32s+4t+j, t = 0…7
 *
 * so a shift and a mask give four consecutive columns of 16 rows: the operand of vpdpbusd. Rows beyond n have scale
 * 0. */
#ifndef LB_NUM_TILE_H
#define LB_NUM_TILE_H
#include "num/num.h"

enum { LB_TILE_ROWS = 16, LB_TILE_COLS = 32 };

/* Plain form: what quantizers make and what files hold. */
typedef struct lb_qmat {
    int bits;                /* 2, 3, 4 or 8 */
    int n, k, group;         /* group divides into ceil(k/group) groups a row; the last may be shorter */
    lb_dtype scale_type;     /* in which the scales are stored; every scale is exactly representable in it */
    uint8_t *codes;          /* [n,k], each 0 … 2^bits−1 */
    float *scales;           /* [n,G] */
    uint8_t *zeros;          /* [n,G], each 0 … 2^bits−1; with `half` twice the zero points, 0 … 2·(2^bits−1) */
    bool half;               /* int2h: 2 bits only */
} lb_qmat;

/* Arrays for q->{bits,n,k,group}, zeroed and owned by q; false with LB_ENOMEM (and nothing to free). */
bool lb_qmat_alloc(lb_qmat *q, lb_err *err);
void lb_qmat_free(lb_qmat *q);

static inline int lb_n_group(int k, int group) { return (k + group - 1) / group; }
/* scale · (code − zero) as the packed form has it: the difference is exact, so it is rounded once. */
static inline float lb_int_value(float scale, int code, int zero, bool half)
{
    return half ? scale * (0.5f * (float)(2 * code - zero)) : scale * (float)(code - zero);
}
extern const lb_num lb_num_int2h;
/* The format that q packs to. */
static inline const lb_num *lb_qmat_num(const lb_qmat *q)
{
    return q->half ? &lb_num_int2h : lb_num_of_bits(q->bits);
}
/* Columns to a multiple of which groups are padded: what a kernel takes in one step. */
static inline int lb_tile_unit(const lb_num *num) { return num->block == 16 ? 16 : LB_TILE_COLS; }

/* Where things lie in a row block; offsets and sizes in bytes. */
typedef struct lb_tile_layout {
    int n_group, n_block;
    size_t scale_bytes;      /* of one scale */
    size_t zeros_at, codes_at, block_bytes;
    size_t group_bytes;      /* codes of a full group (the last group may have fewer) */
} lb_tile_layout;

/* False (and zeros) if the size overflows. */
bool lb_tile_layout_of(const lb_mat *m, lb_tile_layout *out);
size_t lb_tile_size(const lb_mat *m);            /* lb_num.size of every format in this layout */
/* Row-block pointers. */
static inline const uint8_t *lb_tile_block(const lb_mat *m, const lb_tile_layout *l, int block)
{
    return (const uint8_t *)m->data + (size_t)block * l->block_bytes;
}

/* Packs q into out (num->size bytes, 64-byte aligned, owned by the caller) and describes it in *m. m's fields other
 * than data are set here; group must be a multiple of 32 or cover the whole row. */
void lb_tile_pack(const lb_qmat *q, void *out, lb_mat *m);
/* The inverse. q's arrays are the caller's, of the sizes above. */
void lb_tile_unpack(const lb_mat *m, lb_qmat *q);
/* What a matrix of an integer format is, data NULL: for sizes. */
lb_mat lb_tile_mat(const lb_num *num, int n, int k, int group, lb_dtype scale_type);
#endif
