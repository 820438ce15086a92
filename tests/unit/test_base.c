/* test_base.c – errors, arenas, buffers, JSON limits, atomic files, random numbers. */
#include "test.h"
#include "base/buf.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void errors_wrap_and_stay_one_line(void **state)
{
    (void)state;
    lb_err e = {0};
    assert_false(lb_fail(&e, LB_EFORMAT, "bad %d\n", 7));
    lb_wrap(&e, "file %s", "x");
    assert_string_equal(e.msg, "file x: bad 7?");
    assert_int_equal(e.code, LB_EFORMAT);
    assert_int_equal(lb_exit_status(e.code), 3);
    assert_int_equal(lb_exit_status(LB_ESTOPPED), 75);
}

static void sizes_do_not_wrap(void **state)
{
    (void)state;
    size_t n;
    lb_err e = {0};
    assert_false(lb_size_mul(SIZE_MAX / 2, 3, &n));
    assert_true(n == SIZE_MAX);
    assert_null(lb_alloc(SIZE_MAX / 2, 4, "a test", &e));
    assert_int_equal(e.code, LB_ENOMEM);
    lb_arena a;
    assert_true(lb_arena_open(&a, 1000, "a test", &e));
    assert_non_null(lb_arena_alloc(&a, 10, 64));
    assert_null(lb_arena_alloc(&a, SIZE_MAX / 8, 16));
    assert_null(lb_arena_alloc(&a, 1000, 1));
    lb_arena_close(&a);
}

static void json_has_limits(void **state)
{
    (void)state;
    lb_err e = {0};
    static const char *const bad[] = {"{\"a\":1,\"a\":2}", "[1,2", "{} x", "\"\xff\"", "[NaN]", "[1e999]", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(lb_json_parse(bad[i], strlen(bad[i]), "t", &e));
        assert_int_equal(e.code, LB_EFORMAT);
    }
    lb_buf deep = {0};
    for (int i = 0; i < 100000; i++) lb_buf_byte(&deep, '[');
    assert_null(lb_json_parse(deep.p, deep.n, "t", &e));
    assert_non_null(strstr(e.msg, "deeper"));
    lb_buf_free(&deep);
    const char *big = "{\"model_max_length\": 1000000000000000019884624838656, \"n\": 3, \"x\": -1}";
    json_t *v = lb_json_parse(big, strlen(big), "t", &e);
    assert_non_null(v);
    int64_t n = 0;
    assert_true(lb_json_get_int(v, "n", 1, 10, &n, "t", &e));
    assert_int_equal(n, 3);
    assert_false(lb_json_get_int(v, "x", 1, 10, &n, "t", &e));
    assert_string_equal(e.msg, "t: 'x' is -1, wanted 1 to 10");
    assert_false(lb_json_get_int(v, "y", 1, 10, &n, "t", &e));
    assert_true(lb_json_opt_int(v, "y", 1, 10, &n, "t", &e));
    json_decref(v);
}

static void files_appear_whole_or_not_at_all(void **state)
{
    (void)state;
    lb_err e = {0};
    char dir[] = "/tmp/lowbit-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = lb_path_join(dir, "a.txt", &e);
    lb_out o;
    assert_true(lb_out_open(&o, path, &e));
    assert_true(lb_out_write(&o, "abc", 3, &e));
    assert_false(lb_file_exists(path));
    assert_true(lb_out_commit(&o, &e));
    size_t n;
    char *text = lb_file_read(path, 100, &n, &e);
    assert_string_equal(text, "abc");
    free(text);
    assert_null(lb_file_read(path, 2, &n, &e));
    assert_int_equal(e.code, LB_EFORMAT);
    assert_true(lb_out_open(&o, path, &e));
    lb_out_abort(&o);
    char *link = lb_path_join(dir, "link", &e); /* of what is no file, nothing is replaced */
    for (int i = 0; i < 2; i++) {
        struct stat st;
        assert_int_equal(symlink(i ? "/dev/null" : dir, link), 0);
        assert_false(lb_write_file(link, "x", 1, &e));
        assert_int_equal(e.code, LB_EUSAGE);
        assert_non_null(strstr(e.msg, i ? "special file" : "folder"));
        assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
        unlink(link);
    }
    free(link);
    lb_outdir d;
    assert_false(lb_outdir_open(&d, dir, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    lb_map m;
    assert_false(lb_map_open(&m, dir, &e));
    assert_int_equal(e.code, LB_EFORMAT);
    assert_false(lb_map_open(&m, "/dev/zero", &e));
    unlink(path);
    free(path);
    path = lb_path_join(dir, "out", &e);
    assert_true(lb_outdir_open(&d, path, &e));
    char *in = lb_path_join(d.tmp, "f", &e);
    assert_true(lb_write_file(in, "x", 1, &e));
    free(in);
    lb_outdir_abort(&d);
    assert_false(lb_file_exists(path));
    free(path);
    assert_int_equal(rmdir(dir), 0); /* nothing was left behind */
}

/* dir/name, made as a file with one byte or (kind '/') as a folder with one file in it. */
static char *leftover(const char *dir, const char *base, long pid, char kind)
{
    lb_err e = {0};
    char name[64];
    snprintf(name, sizeof name, "%s.tmp-%ld", base, pid);
    char *path = lb_path_join(dir, name, &e), *in = lb_path_join(path, "f", &e);
    if (kind == '/') assert_ok(lb_mkdirs(path, &e), e);
    FILE *f = fopen(kind == '/' ? in : path, "w");
    assert_non_null(f);
    fputc('x', f);
    fclose(f);
    free(in);
    return path;
}

static void what_killed_runs_left_is_removed(void **state)
{
    (void)state;
    lb_err e = {0};
    char dir[] = "/tmp/lowbit-test-XXXXXX", command[128];
    assert_non_null(mkdtemp(dir));
    pid_t dead = fork();
    assert_true(dead >= 0);
    if (dead == 0) _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    char *out = lb_path_join(dir, "out", &e), *file = lb_path_join(dir, "r.json", &e);
    char *keep = lb_path_join(dir, "keep", &e), *kept = lb_path_join(keep, "f", &e);
    assert_ok(lb_mkdirs(keep, &e), e);
    assert_ok(lb_write_file(kept, "x", 1, &e), e);

    char *gone[] = {leftover(dir, "out", dead, '/'), leftover(dir, "r.json", dead, 'f')};
    char *link = lb_path_join(gone[0], "link", &e);
    assert_int_equal(symlink(keep, link), 0); /* what it points to is not ours */
    char *stay[] = {leftover(dir, "out", getppid(), '/'), /* runs */
                    leftover(dir, "output", dead, '/'),   /* of another output */
                    leftover(dir, "out.tmp-1", dead, 'f'), lb_path_join(dir, "out.tmp-", &e),
                    lb_path_join(dir, "out.tmp-1x", &e),   NULL};
    assert_ok(lb_mkdirs(stay[3], &e) && lb_mkdirs(stay[4], &e), e);

    lb_outdir d;
    assert_ok(lb_outdir_open(&d, out, &e), e);
    assert_false(lb_file_exists(gone[0]));
    assert_true(lb_file_exists(gone[1]) && lb_file_exists(kept));
    for (int i = 0; stay[i]; i++)
        if (!lb_file_exists(stay[i])) fail_msg("%s was removed", stay[i]);
    lb_outdir other; /* the same output twice at once: the second one waits its turn */
    assert_false(lb_outdir_open(&other, out, &e));
    assert_true(lb_file_exists(d.tmp));
    assert_ok(lb_outdir_commit(&d, &e), e);
    assert_true(lb_is_folder(out));

    int fd = open(gone[1], O_RDONLY); /* a process that we cannot see writes there */
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_ok(lb_write_file(file, "{}", 2, &e), e);
    assert_true(lb_file_exists(gone[1]));
    close(fd);
    assert_ok(lb_write_file(file, "{}", 2, &e), e);
    assert_false(lb_file_exists(gone[1]));
    assert_int_equal(symlink(kept, gone[1]), 0); /* a link under such a name is not ours either */
    assert_ok(lb_write_file(file, "{}", 2, &e), e);
    assert_true(lb_file_exists(gone[1]) && lb_file_exists(kept));

    for (int i = 0; i < 2; i++) free(gone[i]);
    for (int i = 0; stay[i]; i++) free(stay[i]);
    free(link), free(out), free(file), free(keep), free(kept);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    lb_err e = {0};
    if (access("/dev/full", W_OK) != 0) skip();
    lb_out o;
    assert_true(lb_out_open(&o, "/tmp/lowbit-full-test", &e));
    close(o.fd);
    o.fd = open("/dev/full", O_WRONLY);
    static char block[3 << 20];
    assert_false(lb_out_write(&o, block, sizeof block, &e));
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "No space left"));
    assert_false(lb_out_commit(&o, &e));
    assert_false(lb_file_exists("/tmp/lowbit-full-test"));
}

static void names_that_leave_the_folder_are_refused(void **state)
{
    (void)state;
    assert_true(lb_is_plain_name("model-00001-of-00002.safetensors"));
    static const char *const bad[] = {"", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lb_is_plain_name(bad[i]));
}

/* Known answers of Philox4x32-10 from the Random123 distribution (kat_vectors). */
static void philox_known_answers(void **state)
{
    (void)state;
    uint32_t out[4];
    lb_rng_block((lb_rng_key){{0, 0}, {0, 0}}, 0, out);
    assert_int_equal(out[0], 0x6627e8d5u);
    assert_int_equal(out[1], 0xe169c58du);
    assert_int_equal(out[2], 0xbc57ac4cu);
    assert_int_equal(out[3], 0x9b00dbd8u);
    lb_rng_block((lb_rng_key){{0xa4093822u, 0x299f31d0u}, {0x13198a2eu, 0x03707344u}}, 0x85a308d3243f6a88u, out);
    assert_int_equal(out[0], 0xd16cfe09u);
    assert_int_equal(out[1], 0x94fdcceBu);
    assert_int_equal(out[2], 0x5001e420u);
    assert_int_equal(out[3], 0x24126ea1u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_wrap_and_stay_one_line),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(json_has_limits),
        cmocka_unit_test(files_appear_whole_or_not_at_all),
        cmocka_unit_test(what_killed_runs_left_is_removed),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(names_that_leave_the_folder_are_refused),
        cmocka_unit_test(philox_known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
