/* test_recon.c – training one block against others on the same inputs: AutoRound's package, FlatQuant's formulas in PyTorch.
 * The fixture and what made it: tools/make_recon_fixtures.py. */
#include "recon_rig.h"
#include "base/json.h"
#include "quant/autoround.h"
#include "quant/flatquant.h"

#define DIR "tests/golden/data/models/qwen3"

typedef struct fixture {
    json_t *j;
    lb_exec *ex;
    lb_model *m;
    lb_qblock b;
    float *x;                /* [n_seq, len, d_model]: embeddings of the ids */
    int n_seq, len;
} fixture;

static fixture open_fixture(void)
{
    lb_err err = {0};
    fixture f = {.j = json_load_file("tests/golden/data/recon.json", 0, NULL), .ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err)};
    assert_non_null(f.j);
    f.m = lb_model_open(DIR, f.ex, &err);
    assert_ok(f.m, err);
    assert_ok(lb_qblock_load(&f.b, &f.m->cfg, f.m->store, 0, &err), err);
    json_t *ids = json_object_get(f.j, "ids");
    const lb_tensor *e = lb_store_find(f.m->store, "model.embed_tokens.weight");
    int d = f.m->cfg.d_model;
    f.n_seq = (int)json_array_size(ids), f.len = (int)json_array_size(json_array_get(ids, 0));
    f.x = malloc((size_t)f.n_seq * (size_t)f.len * (size_t)d * sizeof *f.x);
    for (int i = 0; i < f.n_seq * f.len; i++) {
        json_int_t id = json_integer_value(json_array_get(json_array_get(ids, (size_t)(i / f.len)), (size_t)(i % f.len)));
        for (int j = 0; j < d; j++) f.x[i * d + j] = lb_load_f32(e->data, e->dtype, (size_t)id * (size_t)d + (size_t)j);
    }
    return f;
}

static void close_fixture(fixture *f)
{
    lb_qblock_free(&f->b);
    lb_model_close(f->m);
    lb_exec_close(f->ex);
    json_decref(f->j);
    free(f->x);
}

/* From full ranges, as the package starts, and from the clip search, which is better at 2 bits. */
static void autoround_gets_where_the_package_gets(void **state)
{
    (void)state;
    lb_err err = {0};
    fixture f = open_fixture();
    json_t *a = json_object_get(f.j, "autoround");
    double theirs = json_number_value(json_object_get(a, "end")), ends[2];
    for (int clip = 0; clip < 2; clip++) {
        lb_autoround_linear lin[LB_BLOCK_LINEARS] = {{0}};
        lb_qmat q[LB_BLOCK_LINEARS];
        lb_autoround_report rep;
        for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
            const lb_qlinear *l = lb_recon_linear(&f.b, (lb_block_linear)i);
            q[i] = (lb_qmat){.bits = (int)json_integer_value(json_object_get(a, "bits")), .n = l->n, .k = l->k,
                             .group = (int)json_integer_value(json_object_get(a, "group")), .scale_type = LB_F16};
            assert_ok(lb_qmat_alloc(&q[i], &err), err);
            lin[i].out = &q[i];
        }
        lb_recon_data data = {.x = f.x, .n_seq = f.n_seq, .len = f.len};
        assert_ok(lb_autoround_block(f.ex, &f.b, &data, &(lb_autoround_opt){.clip_mse = clip}, lin, &rep, &err), err);
        ends[clip] = rep.end;
        for (int i = 0; i < LB_BLOCK_LINEARS; i++) lb_qmat_free(&q[i]);
    }
    close_fixture(&f);
    if (!(ends[0] <= theirs && ends[1] <= ends[0])) fail_msg("the package %g, ours %g and %g", theirs, ends[0], ends[1]);
}

static void flatquant_gets_where_the_formulas_get(void **state)
{
    (void)state;
    lb_err err = {0};
    fixture f = open_fixture();
    json_t *q = json_object_get(f.j, "flatquant"), *outliers = json_object_get(q, "outliers"), *ends = json_object_get(q, "ends");
    double theirs = INFINITY, rtn = json_number_value(json_object_get(q, "rtn"));
    for (size_t i = 0; i < json_array_size(ends); i++) theirs = fmin(theirs, json_number_value(json_array_get(ends, i)));
    for (size_t i = 0; i < json_array_size(outliers); i++) {
        json_t *o = json_array_get(outliers, i);
        int channel = (int)json_integer_value(json_array_get(o, 0));
        for (int t = 0; t < f.n_seq * f.len; t++)
            f.x[t * f.m->cfg.d_model + channel] *= (float)json_number_value(json_array_get(o, 1));
    }
    lb_flatquant_opt o = {.a_bits = 4, .k_bits = 4, .v_bits = 4, .learn_kv_clip = true};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) o.w_bits[i] = 4;
    lb_flatquant_report rep = {0};
    lb_recon_data data = {.x = f.x, .n_seq = f.n_seq, .len = f.len};
    assert_ok(lb_flatquant_block(f.ex, &f.b, &data, &o, &rep, &err), err);
    if (!(fabs(rep.rtn - rtn) < 0.005 * rtn)) fail_msg("nearest: theirs %g, ours %g", rtn, rep.rtn);
    if (!(rep.end <= 1.01 * theirs)) fail_msg("the formulas' best of %zu seeds %g, ours %g", json_array_size(ends), theirs, rep.end);
    lb_flatquant_report_free(&rep);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(autoround_gets_where_the_package_gets),
        cmocka_unit_test(flatquant_gets_where_the_formulas_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
