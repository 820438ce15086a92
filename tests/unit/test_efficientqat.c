/* test_efficientqat.c – Block-AP: the block comes nearer to its unquantized self, and the codes are those of the weights
 * that it leaves. */
#include "recon_rig.h"
#include "quant/efficientqat.h"
#include "quant/grid.h"

typedef struct rig {
    lb_exec *ex;
    lb_config c;
    lb_qblock b;
    float *x;
    lb_qmat q[LB_BLOCK_LINEARS];
    lb_qmat *out[LB_BLOCK_LINEARS];
    bool sym[LB_BLOCK_LINEARS];
} rig;

enum { SEQS = 8, LEN = 16 };

static void open_rig(rig *r, int bits, bool sym, int threads)
{
    lb_err err = {0};
    *r = (rig){.ex = lb_exec_open(&(lb_exec_opt){.n_thread = threads}, &err),
               .c = {.d_model = 64, .n_head = 4, .n_kv = 2, .d_head = 16, .d_ff = 96}};
    r->b = random_block(&r->c, 11);
    r->x = outlier_inputs(&r->c, SEQS, LEN, 12);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_qlinear *l = lb_recon_linear(&r->b, (lb_block_linear)i);
        r->q[i] = (lb_qmat){.bits = bits, .n = l->n, .k = l->k, .group = 32, .scale_type = LB_BF16};
        assert_ok(lb_qmat_alloc(&r->q[i], &err), err);
        r->out[i] = i == LB_BLOCK_V ? NULL : &r->q[i]; /* one stays as it is */
        r->sym[i] = sym;
    }
}

static void close_rig(rig *r)
{
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) lb_qmat_free(&r->q[i]);
    lb_qblock_free(&r->b);
    lb_exec_close(r->ex);
    free(r->x);
}

static void train(rig *r, int epochs, lb_efficientqat_report *rep)
{
    lb_err err = {0};
    lb_recon_data data = {.x = r->x, .n_seq = SEQS, .len = LEN};
    lb_efficientqat_opt o = {.epochs = epochs, .lr = 2e-3f, .lr_grid = 2e-3f};
    assert_ok(lb_efficientqat_block(r->ex, &r->b, &data, &o, r->out, r->sym, rep, &err), err);
}

static void the_block_comes_nearer(void **state)
{
    (void)state;
    for (int sym = 0; sym < 2; sym++) {
        rig r;
        lb_efficientqat_report none, some;
        open_rig(&r, 2 + sym, sym, 1);
        train(&r, -1, &none);
        assert_true(none.end == none.start);
        close_rig(&r);
        open_rig(&r, 2 + sym, sym, 1);
        float v[4];
        memcpy(v, r.b.v.w, sizeof v);
        train(&r, 12, &some);
        assert_true(some.start == none.start);
        if (!(some.end < 0.8 * some.start)) fail_msg("from %g to %g of %g", some.start, some.end, some.power);
        assert_memory_equal(v, r.b.v.w, sizeof v);
        for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
            const lb_qlinear *l = lb_recon_linear(&r.b, (lb_block_linear)i);
            const lb_qmat *q = r.out[i];
            for (size_t g = 0; q && g < (size_t)(q->n * q->k / 32); g++) {
                lb_grid grid = {q->scales[g], q->zeros[g], (1 << q->bits) - 1};
                assert_true(q->scales[g] == lb_from_bf16(lb_to_bf16(q->scales[g])));
                if (sym) assert_int_equal(q->zeros[g], 1 << (q->bits - 1));
                for (size_t j = 32 * g; j < 32 * g + 32; j++)
                    assert_int_equal(q->codes[j], lb_grid_code(&grid, l->w[j]));
            }
        }
        close_rig(&r);
    }
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    rig a, b;
    open_rig(&a, 2, false, 1);
    open_rig(&b, 2, false, 2);
    train(&a, 2, NULL);
    train(&b, 2, NULL);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_qlinear *l = lb_recon_linear(&a.b, (lb_block_linear)i), *m = lb_recon_linear(&b.b, (lb_block_linear)i);
        assert_memory_equal(l->w, m->w, (size_t)l->n * (size_t)l->k * sizeof *l->w);
    }
    close_rig(&a);
    close_rig(&b);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    lb_err err = {0};
    rig r;
    open_rig(&r, 2, false, 1);
    lb_recon_data data = {.x = r.x, .n_seq = 1, .len = LEN};
    assert_false(lb_efficientqat_block(r.ex, &r.b, &data, &(lb_efficientqat_opt){0}, r.out, r.sym, NULL, &err));
    assert_non_null(strstr(err.msg, "less than one batch"));
    data.n_seq = SEQS;
    r.q[0].group = 48;
    assert_false(lb_efficientqat_block(r.ex, &r.b, &data, &(lb_efficientqat_opt){0}, r.out, r.sym, NULL, &err));
    assert_non_null(strstr(err.msg, "groups of 48"));
    r.q[0].group = 32;
    r.x[5] = NAN;
    assert_false(lb_efficientqat_block(r.ex, &r.b, &data, &(lb_efficientqat_opt){0}, r.out, r.sym, NULL, &err));
    assert_int_equal(err.code, LB_ENUMERIC);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_block_comes_nearer),
                                       cmocka_unit_test(threads_do_not_matter),
                                       cmocka_unit_test(bad_calls_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
