/* test_ct.c – against files written by the compressed-tensors and safetensors packages (README.md): our reading of each
 * weight is what they dequantize to, our packing and our files are theirs byte for byte. */
#define _DEFAULT_SOURCE
#include "test.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/ct.h"
#include <unistd.h>

#define DATA "tests/golden/data/"

static lb_store *open_store(const char *path)
{
    lb_err e = {0};
    lb_store *s = lb_store_open(path, &e);
    if (!s) fail_msg("%s", e.msg);
    return s;
}

static lb_ct_config *open_config(const char *path)
{
    lb_err e = {0};
    json_t *v = lb_json_load(path, &e);
    lb_ct_config *c = v ? lb_ct_config_parse(json_object_get(v, "quantization_config"), path, &e) : NULL;
    if (!c) fail_msg("%s", e.msg);
    json_decref(v);
    return c;
}

static bool module_of(const lb_tensor *t, char out[256])
{
    const char *end = strstr(t->name, ".weight_packed");
    if (!end) return false;
    snprintf(out, 256, "%.*s", (int)(end - t->name), t->name);
    return true;
}

/* Reads a module, packs it again and compares the bytes with the file's. The caller frees *q. */
static void read_and_pack(const lb_store *s, const lb_ct_config *c, const char *module, lb_qmat *q)
{
    lb_err e = {0};
    char name[300];
    snprintf(name, sizeof name, "%s.weight_shape", module);
    int64_t shape[2];
    memcpy(shape, lb_store_find(s, name)->data, sizeof shape);
    const lb_ct_scheme *sch;
    assert_ok(lb_ct_config_find(c, module, "Linear", &sch, &e), e);
    assert_non_null(sch);
    assert_ok(lb_ct_unpack(s, module, sch, (int)shape[0], (int)shape[1], q, &e), e);
    lb_ct_part part[LB_CT_MAX_PARTS];
    int n = lb_ct_parts(sch, q->n, q->k, q->scale_type, part);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s.%s", module, part[i].suffix);
        const lb_tensor *t = lb_store_find(s, name);
        assert_non_null(t);
        assert_int_equal(t->dtype, part[i].dtype);
        assert_ok(lb_tensor_check_shape(t, part[i].shape, part[i].rank, "lowbit", &e), e);
        assert_int_equal(t->size_bytes, part[i].size_bytes);
        uint8_t *bytes = malloc(part[i].size_bytes);
        assert_ok(lb_ct_pack(q, sch, i, bytes, &e), e);
        assert_memory_equal(bytes, t->data, t->size_bytes);
        free(bytes);
    }
}

static void weights_are_what_they_dequantize_to(void **state)
{
    (void)state;
    lb_store *s = open_store(DATA "ct/model.safetensors"), *want = open_store(DATA "ct/dequantized.safetensors");
    lb_ct_config *c = open_config(DATA "ct/config.json");
    int n = 0;
    for (size_t i = 0; i < lb_store_count(s); i++) {
        char module[256], name[300];
        if (!module_of(lb_store_at(s, i), module)) continue;
        lb_qmat q;
        read_and_pack(s, c, module, &q);
        int bits = 0; /* the name says what it is: model.w3g32a */
        assert_int_equal(sscanf(strrchr(module, '.'), ".w%d", &bits), 1);
        assert_int_equal(q.bits, bits);
        assert_int_equal(q.half, module[strlen(module) - 1] == 'h');
        snprintf(name, sizeof name, "%s.weight", module);
        const lb_tensor *t = lb_store_find(want, name);
        if (!t) t = lb_store_find(want, module);
        assert_non_null(t);
        assert_int_equal(t->dtype, LB_F32);
        assert_int_equal(t->size_bytes, (size_t)q.n * (size_t)q.k * 4);
        int G = lb_n_group(q.k, q.group);
        lb_mat m = lb_tile_mat(lb_qmat_num(&q), q.n, q.k, q.group, q.scale_type);
        lb_err e = {0};
        void *tiles = lb_alloc(m.num->size(&m), 1, "tiles", &e);
        assert_non_null(tiles);
        lb_tile_pack(&q, tiles, &m);
        float *row = malloc((size_t)q.k * sizeof *row);
        for (int r = 0; r < q.n; r++) {
            m.num->decode(&m, r, 0, q.k, row);
            for (int k = 0; k < q.k; k++) {
                size_t g = (size_t)(r * G + k / q.group), at = (size_t)r * (size_t)q.k + (size_t)k;
                float w = lb_int_value(q.scales[g], q.codes[at], q.zeros[g], q.half),
                      theirs = lb_load_f32(t->data, LB_F32, at);
                if (w != theirs || row[k] != theirs)
                    fail_msg("%s [%d,%d]: %g and %g, theirs %g", module, r, k, w, row[k], theirs);
            }
        }
        free(row);
        free(tiles);
        lb_qmat_free(&q);
        n++;
    }
    assert_int_equal(n, 27);
    lb_ct_config_free(c);
    lb_store_close(want);
    lb_store_close(s);
}

static void packed_models_are_read(void **state)
{
    (void)state;
    static const char *const models[] = {"qwen3-ct-w3g32", "qwen2-ct-mixed", "qwen3-ct-w2g32h"};
    for (int k = 0; k < 3; k++) {
        char path[256];
        snprintf(path, sizeof path, DATA "models/%s/config.json", models[k]);
        lb_ct_config *c = open_config(path);
        *strrchr(path, '/') = 0;
        lb_store *s = open_store(path);
        int n = 0;
        for (size_t i = 0; i < lb_store_count(s); i++) {
            char module[256];
            if (!module_of(lb_store_at(s, i), module)) continue;
            lb_qmat q;
            read_and_pack(s, c, module, &q);
            assert_int_equal(q.bits, k == 0 ? 3 : k == 2 ? 2 : strstr(module, "self_attn") ? 4 : 8);
            lb_qmat_free(&q);
            n++;
        }
        assert_int_equal(n, 2 * 7);
        const lb_ct_scheme *sch;
        lb_err e = {0};
        assert_ok(lb_ct_config_find(c, "lm_head", "Linear", &sch, &e), e);
        assert_null(sch);
        lb_ct_config_free(c);
        lb_store_close(s);
    }
}

/* A file of the safetensors package, read and written again, is the same file. */
static void rewritten_files_are_the_same_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {
        DATA "ct/model.safetensors",
        DATA "models/qwen3-ct-w3g32/model.safetensors",
        DATA "models/llama-f16/model.safetensors",
        DATA "models/qwen3_moe/model.safetensors",
        ABACUS_DIR "/model.safetensors",
    };
    char dir[] = "/tmp/lowbit-rewrite-XXXXXX";
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lb_err e = {0};
        lb_store *s = open_store(files[i]);
        lb_st_writer *w = lb_st_writer_open(dir, 0, &e);
        assert_non_null(w);
        for (size_t j = 0; j < lb_store_count(s); j++) {
            const lb_tensor *t = lb_store_at(s, j);
            assert_ok(lb_st_writer_declare(w, t->name, t->dtype, t->rank, t->shape, &e), e);
        }
        assert_ok(lb_st_writer_begin(w, &e), e);
        for (size_t j = lb_store_count(s); j-- > 0;) {
            const lb_tensor *t = lb_store_at(s, j);
            assert_ok(lb_st_writer_put(w, t->name, t->data, t->size_bytes, &e), e);
        }
        assert_ok(lb_st_writer_commit(w, &e), e);
        lb_st_writer_close(w);
        lb_store_close(s);
        char *path = lb_path_join(dir, "model.safetensors", &e);
        lb_map a, b;
        assert_ok(lb_map_open(&a, files[i], &e), e);
        assert_ok(lb_map_open(&b, path, &e), e);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.p, b.p, a.size);
        lb_map_close(&a);
        lb_map_close(&b);
        unlink(path);
        free(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_what_they_dequantize_to), cmocka_unit_test(packed_models_are_read),
        cmocka_unit_test(rewritten_files_are_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
