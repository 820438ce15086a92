/* train/student.h – the model that is trained as it will run: f32 master weights, and every quantizer of the packed model
 * on the tape.
 *
 *     w → Q_w(w)      codes and scales as the packed file will have them, to the bit
 *     x → Q_a(T·x)    inputs of linear layers: the online transform of their site, then the activation quantizer
 *     k, v → Q_kv     keys after RoPE and their transform, values: per token and head
 *
 * Straight-through gradients throughout (model/grad.h). A student starts from a model folder, or from what a
 * post-training method made of it with --save-latent: its latent weights, scales, transforms and clips (arXiv:2601.14888,
 * section 3). Exporting goes through quant/quantize.h, so the output is what `lowbit quantize` writes, read back and
 * compared. One thread drives a student. */
#ifndef LB_TRAIN_STUDENT_H
#define LB_TRAIN_STUDENT_H
#include "model/model_grad.h"
#include "train/ckpt.h"
#include "train/recipe.h"

typedef struct lb_student lb_student;

typedef struct lb_student_opt {      /* zero means default in every field */
    const char *model_dir;           /* the full-precision model */
    const char *start_dir;           /* made from it, with latent.safetensors; NULL: the model's own weights */
    const lb_config *scratch; /* weights drawn anew in this shape (the model's), from seed; NULL: as the files say */
    uint64_t seed;
    unsigned train;                  /* LB_TRAIN_… of all stages together */
    lb_compute compute;              /* of linear layers and the head */
    bool keep;                       /* activations of a step are kept instead of computed again (model/model_grad.h) */
    size_t max_bytes;                /* of a step on the tape; 0: no limit */
    int d_teacher;                   /* width of the teacher's hidden states; 0: no such teacher */
} lb_student_opt;

/* Memory of a stage's steps over documents of the given lengths (begin [n_doc+1]), before anything is loaded, with the
 * quantizers of its scheme; the online transforms that a start may bring are not in it. */
bool lb_student_plan(const lb_config *c, lb_exec *ex, const lb_train_stage *st, const lb_model_grad_opt *opt, int n_doc,
                     const int *begin, lb_model_plan *out, lb_err *err);

/* LB_EUNSUPPORTED for what has no gradient: block floats, caches other than per token and head after RoPE. */
lb_student *lb_student_open(const lb_student_opt *o, lb_exec *ex, lb_err *err);
/* Another one from the same files, at the same stage: for copying values into. */
lb_student *lb_student_twin(const lb_student *s, lb_err *err);
void lb_student_close(lb_student *s);            /* NULL is fine */
lb_model_grad *lb_student_model(lb_student *s);

/* Quantizers as a stage wants them from now on. Scales that are static or learned come from the start folder if that has
 * them for the same scheme, else from the range of the weights as they are now. A stage that says what the one before said
 * goes on with its quantizers. */
bool lb_student_stage(lb_student *s, const lb_train_stage *st, lb_err *err);

/* The weight of a linear layer (expert −1: dense) as a forward pass has it now: rounded. out [n,k] host. */
bool lb_student_rounded(lb_student *s, int layer, int expert, lb_block_linear which, float *out, lb_err *err);

/* What the stage trains, and everything that it may have changed. */
typedef struct lb_student_param {
    char name[96];                   /* unique: "model.layers.0.mlp.up_proj.weight", "….scale" */
    lb_param *p;
    double lr;                       /* peak rate by the stage; 0: not trained now */
    float lo, hi;                    /* limits of its values; lo == hi: none */
    bool decays;                     /* weight decay is for matrices of the model */
} lb_student_param;
/* All of them, in a fixed order; good until the next stage. */
const lb_student_param *lb_student_params(const lb_student *s, size_t *n);

/* Writes the model as it is now, quantized and packed, under out_dir, which may exist: it is replaced. `name` is who made
 * it, for its record. */
bool lb_student_export(lb_student *s, const char *out_dir, const char *name, lb_err *err);
/* Writes the latent weights and quantizers as a start folder beside an export: what another run can start from. */
bool lb_student_save_latent(lb_student *s, const char *out_dir, lb_err *err);
#endif
