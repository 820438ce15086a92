/* test_folder.c – writing: shards and their index, whole or not at all, the files around the weights, config.json as
 * text. */
#define _DEFAULT_SOURCE
#include "test.h"
#include "base/buf.h"
#include "base/file.h"
#include "store/folder.h"
#include "store/safetensors.h"
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/lowbit-folder-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static const char *in_dir(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static int n_files(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Tensors a, b, … in several types, one of them empty; written in pieces, backwards. */
enum { N = 9 };
static const lb_dtype types[N] = {LB_BF16, LB_F32, LB_U8, LB_I64, LB_BF16, LB_F16, LB_I32, LB_U8, LB_F64};
static const int64_t shapes[N][2] = {{7, 3}, {5, 5}, {1, 9}, {2, 1}, {40, 10}, {0, 3}, {3, 3}, {100, 30}, {1, 1}};

static void write_all(lb_st_writer *w)
{
    lb_err e = {0};
    char name[16];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "t.%c\"\xc3\xa9", 'a' + i);
        assert_ok(lb_st_writer_declare(w, name, types[i], 2, shapes[i], &e), e);
    }
    assert_ok(lb_st_writer_begin(w, &e), e);
    uint8_t data[4096];
    for (int i = N - 1; i >= 0; i--) {
        snprintf(name, sizeof name, "t.%c\"\xc3\xa9", 'a' + i);
        size_t n = (size_t)(shapes[i][0] * shapes[i][1]) * lb_dtype_bytes(types[i]), half = n / 3;
        for (size_t j = 0; j < n; j++) data[j] = (uint8_t)(i * 31 + (int)j);
        assert_ok(lb_st_writer_put(w, name, data, half, &e), e);
        assert_ok(lb_st_writer_put(w, name, data + half, n - half, &e), e);
    }
}

static void check_all(const char *path)
{
    lb_err e = {0};
    lb_store *s = lb_store_open(path, &e);
    if (!s) fail_msg("%s", e.msg);
    assert_int_equal(lb_store_count(s), N);
    for (size_t i = 0; i < N; i++) {
        const lb_tensor *t = lb_store_at(s, i);
        assert_int_equal(t->name[2], 'a' + i);
        assert_int_equal(t->dtype, types[i]);
        assert_ok(lb_tensor_check_shape(t, shapes[i], 2, "the test", &e), e);
        for (size_t j = 0; j < t->size_bytes; j++) assert_int_equal(t->data[j], (uint8_t)(i * 31 + j));
    }
    lb_store_close(s);
}

static void tensors_come_back(void **state)
{
    (void)state;
    lb_err e = {0};
    static const struct { size_t max; int shards; } cases[] = {{0, 1}, {1, 8}, {900, 4}, {800, 5}, {100000, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char name[16];
        snprintf(name, sizeof name, "model-%zu", c);
        mkdir(in_dir(name), 0700);
        lb_st_writer *w = lb_st_writer_open(in_dir(name), cases[c].max, &e);
        assert_non_null(w);
        write_all(w);
        int shards = (int)lb_st_writer_n_shard(w);
        assert_ok(lb_st_writer_commit(w, &e), e);
        lb_st_writer_close(w);
        assert_int_equal(n_files(in_dir(name)), shards + (shards > 1));
        assert_int_equal(shards, cases[c].shards);
        check_all(in_dir(name));
    }
    lb_st_writer *w = lb_st_writer_open(in_dir("one.safetensors"), 0, &e);
    assert_non_null(w);
    write_all(w);
    assert_ok(lb_st_writer_commit(w, &e), e);
    lb_st_writer_close(w);
    check_all(in_dir("one.safetensors"));
}

static void mistakes_are_errors(void **state)
{
    (void)state;
    lb_err e = {0};
    mkdir(in_dir("bad"), 0700);
    const int64_t one[] = {1}, huge[] = {INT64_MAX, 4}, minus[] = {-1};
    assert_null(lb_st_writer_open(in_dir("nowhere"), 0, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    lb_st_writer *w = lb_st_writer_open(in_dir("bad"), 0, &e);
    static const char *const names[] = {"", "a\nb", "\xff", "__metadata__"};
    for (size_t i = 0; i < 4; i++) assert_false(lb_st_writer_declare(w, names[i], LB_U8, 1, one, &e));
    assert_false(lb_st_writer_declare(w, "a", LB_F32, 2, huge, &e));
    assert_false(lb_st_writer_declare(w, "a", LB_F32, 1, minus, &e));
    assert_false(lb_st_writer_declare(w, "a", LB_F32, 9, one, &e));
    assert_false(lb_st_writer_put(w, "a", "", 0, &e));
    assert_false(lb_st_writer_commit(w, &e));
    assert_ok(lb_st_writer_declare(w, "a", LB_U8, 1, one, &e), e);
    assert_ok(lb_st_writer_declare(w, "b", LB_U8, 1, one, &e), e);
    assert_ok(lb_st_writer_begin(w, &e), e);
    assert_false(lb_st_writer_declare(w, "c", LB_U8, 1, one, &e));
    assert_false(lb_st_writer_put(w, "c", "x", 1, &e));
    assert_non_null(strstr(e.msg, "not declared"));
    assert_ok(lb_st_writer_put(w, "a", "x", 1, &e), e);
    assert_false(lb_st_writer_put(w, "a", "x", 1, &e));
    assert_false(lb_st_writer_commit(w, &e));
    assert_non_null(strstr(e.msg, "'b' has 0 of its 1 bytes"));
    lb_st_writer_close(w);
    assert_int_equal(n_files(in_dir("bad")), 0);
    w = lb_st_writer_open(in_dir("bad"), 0, &e);
    assert_ok(lb_st_writer_declare(w, "a", LB_U8, 1, one, &e), e);
    assert_ok(lb_st_writer_declare(w, "a", LB_U8, 1, one, &e), e);
    assert_false(lb_st_writer_begin(w, &e));
    assert_non_null(strstr(e.msg, "declared twice"));
    lb_st_writer_close(w);
    assert_int_equal(n_files(in_dir("bad")), 0);
}

/* F02: no room (a limit on the size of files stands for a full disk): said at once, nothing left. */
static void a_full_disk_shows_before_the_work(void **state)
{
    (void)state;
    lb_err e = {0};
    mkdir(in_dir("full"), 0700);
    struct rlimit old, small = {.rlim_cur = 100000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    lb_st_writer *w = lb_st_writer_open(in_dir("full"), 0, &e);
    const int64_t big[] = {200000};
    assert_ok(lb_st_writer_declare(w, "a", LB_U8, 1, big, &e), e);
    bool ok = lb_st_writer_begin(w, &e);
    if (ok) { /* a file system that cannot reserve: the write itself fails */
        char *data = calloc(1, 200000);
        ok = lb_st_writer_put(w, "a", data, 200000, &e) && lb_st_writer_commit(w, &e);
        free(data);
    }
    lb_st_writer_close(w);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(ok);
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "model.safetensors"));
    assert_int_equal(n_files(in_dir("full")), 0);
}

static void write_text(const char *name, const char *text)
{
    lb_err e = {0};
    assert_ok(lb_write_file(in_dir(name), text, strlen(text), &e), e);
}

static void an_export_is_complete(void **state)
{
    (void)state;
    lb_err e = {0};
    mkdir(in_dir("from"), 0700);
    mkdir(in_dir("from/folder.json"), 0700);
    mkdir(in_dir("to"), 0700);
    static const char *const kept[] = {
        "tokenizer.json", "tokenizer_config.json",   "generation_config.json", "merges.txt",
        "vocab.json",     "special_tokens_map.json", "chat_template.jinja",    "tokenizer.model",
        "LICENSE",        "added_tokens.json"};
    static const char *const left[] = {"config.json",
                                       "model.safetensors",
                                       "model.safetensors.index.json",
                                       "pytorch_model.bin",
                                       "pytorch_model.bin.index.json",
                                       "README.md",
                                       "modeling_x.py",
                                       ".hidden.json",
                                       "quantize_config.json"};
    char name[64];
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        snprintf(name, sizeof name, "from/%s", kept[i]), write_text(name, kept[i]);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        snprintf(name, sizeof name, "from/%s", left[i]), write_text(name, left[i]);
    unlink(in_dir("from/merges.txt"));
    write_text("blob", "merges.txt");
    assert_int_equal(symlink("../blob", in_dir("from/merges.txt")), 0);
    assert_ok(lb_folder_copy(in_dir("from"), in_dir("to"), &e), e);
    assert_int_equal(n_files(in_dir("to")), sizeof kept / sizeof *kept);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        snprintf(name, sizeof name, "to/%s", kept[i]);
        char *text = lb_file_read(in_dir(name), 100, NULL, &e);
        assert_non_null(text);
        assert_string_equal(text, kept[i]);
        free(text);
        struct stat st;
        assert_int_equal(lstat(in_dir(name), &st), 0);
        assert_true(S_ISREG(st.st_mode));
    }
    assert_false(lb_folder_copy(in_dir("nowhere"), in_dir("to"), &e));
    assert_int_equal(symlink("nothing", in_dir("from/broken.json")), 0);
    assert_false(lb_folder_copy(in_dir("from"), in_dir("to"), &e));
    assert_non_null(strstr(e.msg, "broken.json"));
}

static void config_keeps_every_other_byte(void **state)
{
    (void)state;
    static const struct { const char *text, *set, *removed;
    } cases[] = {
        {"{}", "{\n  \"q\": {\n    \"a\": 1\n  }\n}", "{}"},
        {"{\n  \"rope_theta\": 1e6,\n  \"eps\": 1e-06,\n  \"n\": 1000000.0\n}\n",
         "{\n  \"rope_theta\": 1e6,\n  \"eps\": 1e-06,\n  \"n\": 1000000.0,\n  \"q\": {\n    \"a\": 1\n  }\n}\n",
         "{\n  \"rope_theta\": 1e6,\n  \"eps\": 1e-06,\n  \"n\": 1000000.0\n}\n"},
        {"{\n  \"q\": [1, {\"q\": \"}\"}],\n  \"z\": {\"q\": 2}\n}",
         "{\n  \"q\": {\n    \"a\": 1\n  },\n  \"z\": {\"q\": 2}\n}", "{\n  \"z\": {\"q\": 2}\n}"},
        {"{\"a\":\"\\\"q\\\":{\",\"q\":null}", "{\"a\":\"\\\"q\\\":{\",\n  \"q\": {\n    \"a\": 1\n  }\n}",
         "{\"a\":\"\\\"q\\\":{\"\n}"},
        {" { \"q\" : true , \"b\" : -1.5e3 } ", " {\n  \"q\": {\n    \"a\": 1\n  }, \"b\" : -1.5e3 } ",
         " { \"b\" : -1.5e3 } "},
        {"{\"q\":\"x\"}", "{\n  \"q\": {\n    \"a\": 1\n  }\n}", "{\n}"},
        {"{\"qq\":1,\"big\":123456789012345678901234567890}",
         "{\"qq\":1,\"big\":123456789012345678901234567890,\n  \"q\": {\n    \"a\": 1\n  }\n}",
         "{\"qq\":1,\"big\":123456789012345678901234567890}"},
    };
    json_t *v = json_pack("{s:i}", "a", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_err e = {0};
        char *set = lb_json_set_text(cases[i].text, "q", v, "t", &e);
        if (!set) fail_msg("%s: %s", cases[i].text, e.msg);
        assert_string_equal(set, cases[i].set);
        char *twice = lb_json_set_text(set, "q", v, "t", &e); /* and still JSON, with the key where it was */
        assert_non_null(twice);
        assert_string_equal(twice, set);
        char *removed = lb_json_set_text(cases[i].text, "q", NULL, "t", &e);
        assert_string_equal(removed, cases[i].removed);
        json_t *o = lb_json_parse(removed, strlen(removed), "t", &e);
        assert_non_null(o);
        assert_null(json_object_get(o, "q"));
        json_decref(o);
        free(set);
        free(twice);
        free(removed);
    }
    static const char *const bad[] = {"", "[]", "{", "{\"q\":1,\"q\":2}", "{\"\\u0071\":1}", "{\"a\":1}x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        assert_null(lb_json_set_text(bad[i], "q", v, "t", &e));
        assert_true(e.code == LB_EFORMAT || e.code == LB_EUNSUPPORTED);
    }
    json_decref(v);
}

static void config_file_is_written(void **state)
{
    (void)state;
    lb_err e = {0};
    mkdir(in_dir("out"), 0700);
    json_t *v = json_pack("{s:s}", "quant_method", "compressed-tensors");
    assert_ok(lb_folder_write_config(ABACUS_DIR, in_dir("out"), v, &e), e);
    json_t *a = lb_json_load(ABACUS_DIR "/config.json", &e), *b = lb_json_load(in_dir("out/config.json"), &e);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(json_equal(json_object_get(b, "quantization_config"), v));
    json_object_del(b, "quantization_config");
    json_object_del(a, "quantization_config");
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    json_decref(v);
    assert_false(lb_folder_write_config(in_dir("nowhere"), in_dir("out"), NULL, &e));
    assert_int_equal(e.code, LB_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_come_back), cmocka_unit_test(mistakes_are_errors),
        cmocka_unit_test(a_full_disk_shows_before_the_work), cmocka_unit_test(an_export_is_complete),
        cmocka_unit_test(config_keeps_every_other_byte), cmocka_unit_test(config_file_is_written),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
