/* student_rig.h – what tests of students share: a folder's packed weights against the numbers on the tape. */
#ifndef LB_TESTS_STUDENT_RIG_H
#define LB_TESTS_STUDENT_RIG_H
#include "test.h"
#include "quant/plan.h"
#include "store/ct.h"
#include "train/student.h"

/* Every weight of a dense layer of the student, rounded as its stage has it, is to the bit what `packed` holds of it.
 */
static inline void assert_layer_is_packed(lb_student *s, const lb_store *packed, const lb_scheme *scheme, int layer,
                                          const char *what)
{
    static const char *const modules[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                          "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                          "mlp.down_proj"};
    lb_err err = {0};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        lb_param *p = lb_model_grad_linear(lb_student_model(s), layer, -1, (lb_block_linear)i);
        const lb_ct_scheme ct = lb_plan_ct(scheme, p->k);
        size_t n = (size_t)p->n * (size_t)p->k, different = 0;
        float *w = malloc(n * sizeof *w);
        char name[96];
        lb_qmat q;
        snprintf(name, sizeof name, "model.layers.%d.%s", layer, modules[i]);
        assert_ok(lb_student_rounded(s, layer, -1, (lb_block_linear)i, w, &err), err);
        assert_ok(lb_ct_unpack(packed, name, &ct, p->n, p->k, &q, &err), err);
        size_t groups = (size_t)lb_n_group(q.k, q.group);
        for (size_t at = 0; at < n; at++) {
            size_t g = at / (size_t)q.k * groups + at % (size_t)q.k / (size_t)q.group;
            different += lb_int_value(q.scales[g], q.codes[at], q.zeros[g], q.half) != w[at];
        }
        if (different) fail_msg("%s: %s: %zu of %zu weights differ", what, name, different, n);
        lb_qmat_free(&q);
        free(w);
    }
}
#endif
