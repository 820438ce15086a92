/* train/student_impl.h – what the files of the student share. */
#ifndef LB_TRAIN_STUDENT_IMPL_H
#define LB_TRAIN_STUDENT_IMPL_H
#include "model/kv.h"
#include "model/online.h"
#include "quant/scheme.h"
#include "store/ct_config.h"
#include "store/store.h"
#include "train/student.h"

/* The quantizer of one weight. Ranges: nothing; clips: logits of the factors of both ends; grids: scale and zero. All
 * [n, groups]; the balanced grid has no zero to keep. */
typedef struct lb_wquant {
    char module[96];
    lb_param *w;                     /* borrowed from the model */
    lb_param a, b;                   /* hi and lo logits, or scale and zero; empty with ranges */
    int n_group;                     /* of a row */
} lb_wquant;

/* Rows before a linear layer reads them, or heads after RoPE. */
typedef struct lb_site_grad {
    lb_transform_kind kind;          /* as the files have it */
    int k, na, nb;                   /* rows of na·nb numbers, k numbers in all */
    lb_param scale, a, b;            /* [1,k], [na,na], [nb,nb]; empty: identity. A Hadamard matrix is a, b frozen */
    lb_param c_hi, c_lo;             /* [1,1] logits of the activation clip; empty: clip */
    float clip[2];                   /* lo, hi factors; 0: 1 */
} lb_site_grad;

typedef struct lb_student_layer {
    lb_student *s;
    lb_site_grad site[LB_N_SITE];
    lb_wquant *dense[LB_BLOCK_LINEARS];  /* NULL where there is none; into s->quant */
    lb_wquant *experts;              /* [n_expert·3]: gate, up, down */
} lb_student_layer;

struct lb_student {
    lb_student_opt o;
    char *model_dir, *start_dir;     /* owned copies */
    lb_exec *ex;
    lb_model_grad *m;                /* owned */
    const lb_config *cfg;
    lb_student_layer *layers;        /* [n_layer], owned */
    lb_wquant *quant;                /* [n_quant], owned */
    size_t n_quant;
    bool transforms;                 /* there are online transforms */
    lb_kv_spec kv;
    lb_online online;                /* as the start folder has it */
    lb_store *start;                 /* owned; NULL without a start folder */
    lb_ct_config *ct;                /* owned; how its weights are packed */
    lb_dtype scale_type;             /* of the checkpoint: scales are rounded to it */
    /* the stage */
    lb_train_stage stage;
    bool staged;
    lb_student_param *params;        /* [n_param], owned */
    size_t n_param;
};

/* Opens the start folder and takes over what it has: latent weights, floats, transforms, clips. */
bool lb_student_take_start(lb_student *s, lb_err *err);
/* Scales and zero points of the start folder for q, if it has them for that scheme; *found tells. */
bool lb_student_start_grid(lb_student *s, lb_wquant *q, const lb_scheme *scheme, bool *found, lb_err *err);
float lb_student_clip(const lb_student *s, const lb_param *logit);   /* σ of a [1,1], as the tape computes it */
#endif
