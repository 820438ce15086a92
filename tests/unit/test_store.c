/* test_store.c – the safetensors reader: hostile headers and files, shards, lookup, identity, NaN and infinity.
 *
 * Row numbers (A01, D01 …) are those of the project's fault matrix. */
#define _DEFAULT_SOURCE
#include "test.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "num/dtype.h"
#include "store/st_header.h"
#include "store/store.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/lowbit-store-XXXXXX");
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

/* A file image: length, header (n bytes), `data` bytes 0, 1, 2 …; freed by the caller. */
static uint8_t *image_n(const char *header, size_t n, size_t data, size_t *size)
{
    *size = 8 + n + data;
    uint8_t *p = malloc(*size);
    assert_non_null(p);
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(p + 8, header, n);
    for (size_t i = 0; i < data; i++) p[8 + n + i] = (uint8_t)i;
    return p;
}

static uint8_t *image(const char *header, size_t data, size_t *size)
{
    return image_n(header, strlen(header), data, size);
}

static void write_model(const char *name, const char *header, size_t data)
{
    lb_err e = {0};
    size_t n;
    uint8_t *p = image(header, data, &n);
    assert_ok(lb_write_file(in_dir(name), p, n, &e), e);
    free(p);
}

#define ENTRY(name, dtype, shape, b, e) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" b "," e "]}"

static void good_headers_are_read(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data, n;
    } good[] = {
        {"{}", 0, 0},
        {"{}      ", 0, 0},
        {"{\"__metadata__\":{}}", 0, 0},
        {"{\"__metadata__\":{\"format\":\"pt\",\"x\\u0041\":\"\\n\\u0000\"}}", 0, 0},
        {"{" ENTRY("a", "F32", "[2,3]", "0", "24") "}", 24, 1},
        {"{" ENTRY("a", "F32", "[]", "0", "4") "}", 4, 1},    /* rank 0 */
        {"{" ENTRY("a", "F32", "[0,7]", "0", "0") "}", 0, 1}, /* empty */
        {"{" ENTRY("b", "U8", "[3]", "2", "5") "," ENTRY("a", "BF16", "[1]", "0", "2") "}", 5, 2},
        {"{" ENTRY("z", "U8", "[0]", "2", "2") "," ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[1]", "2",
                                                                                               "3") "}",
         3, 3},
        {"{ \"a\" : { \"data_offsets\" : [ 0 , 1 ] , \"shape\" : [ 1,1,1,1,1,1,1,1 ] , \"dtype\" : \"U8\" } }\n\t ", 1,
         1},
        {"{" ENTRY("\xc3\xa9\xf0\x9f\x98\x80\\ud83d\\ude00\\\\\\\"\\/", "I8", "[1]", "0", "1") "}", 1, 1},
        {"{" ENTRY("../../x", "I8", "[1]", "0", "1") "}", 1, 1}, /* names are not paths */
        {"{" ENTRY("", "F8_E4M3", "[1]", "0", "1") "}", 1, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t n;
        uint8_t *p = image(good[i].header, good[i].data, &n);
        lb_st_header h;
        lb_err e = {0};
        if (!lb_st_parse_header(p, n, "f", &h, &e)) fail_msg("%s: %s", good[i].header, e.msg);
        assert_int_equal(h.n, good[i].n);
        for (size_t j = 0; j < h.n; j++) {
            assert_true(h.t[j].data >= p + 8 && h.t[j].data + h.t[j].size_bytes <= p + n);
            if (j) assert_true(strcmp(h.t[j - 1].name, h.t[j].name) < 0);
        }
        if (i == 10) assert_string_equal(h.t[0].name, "\xc3\xa9\xf0\x9f\x98\x80\xf0\x9f\x98\x80\\\"/");
        lb_st_header_free(&h);
        free(p);
    }
}

/* A03–A07: each header with the words its message must have. */
static void bad_headers_are_errors(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data; const char *says;
    } bad[] = {
        /* A03: not the JSON it should be */
        {"{\"\xff\":1}", 0, "UTF-8"},
        {"\xef\xbb\xbf{}", 0, "begin with '{'"},
        {" {}", 0, "begin with '{'"},
        {"[]", 0, "begin with '{'"},
        {"{} x", 0, "after the end"},
        {"{}{}", 0, "after the end"},
        {"{", 0, "'{'"},
        {"{\"a", 0, "ends inside"},
        {"{\"a\"}", 0, "wanted ':'"},
        {"{\"a\":1}", 0, "wanted '{'"},
        {"{,}", 0, "wanted '\"'"},
        {"{" ENTRY("a", "U8", "[1]", "0", "1") ",}", 1, "wanted '\"'"},
        {"{\"a\":{}}", 0, "no 'dtype'"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0, "no 'data_offsets'"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, "twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"\\u0064type\":\"U8\"}}", 0, "twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"strides\":[1]}}", 0, "unknown key 'strides'"},
        {"{\"a\":{\"a key longer than any that a safetensors header has\":1}}", 0, "longer than"},
        {"{" ENTRY("a", "U8", "[1e0]", "0", "1") "}", 1, "not an integer"},
        {"{" ENTRY("a", "U8", "[1.0]", "0", "1") "}", 1, "not an integer"},
        {"{" ENTRY("a", "U8", "[-0]", "0", "0") "}", 0, "non-negative"},
        {"{" ENTRY("a", "U8", "[01]", "0", "1") "}", 1, "leading zero"},
        {"{" ENTRY("a", "U8", "[18446744073709551616]", "0", "1") "}", 1, "2^63"},
        {"{" ENTRY("a", "U8", "[9223372036854775808]", "0", "1") "}", 1, "2^63"},
        {"{" ENTRY("a", "U8", "[\"1\"]", "0", "1") "}", 1, "non-negative"},
        {"{" ENTRY("a", "U8", "[1,]", "0", "1") "}", 1, "non-negative"},
        {"{" ENTRY("a", "U8", "[null]", "0", "1") "}", 1, "non-negative"},
        {"{" ENTRY("a", "U8", "1", "0", "1") "}", 1, "wanted '['"},
        {"{\"a\":{\"dtype\":8}}", 0, "wanted '\"'"},
        {"{\"a\":{\"data_offsets\":[0,1,2]}}", 3, "wanted ']'"},
        {"{\"a\":{\"data_offsets\":[0]}}", 3, "wanted ','"},
        {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("a", "U8", "[1]", "1", "2") "}", 2, "'a' is there twice"},
        {"{" ENTRY("ab", "U8", "[1]", "0", "1") "," ENTRY("a\\u0062", "U8", "[1]", "1", "2") "}", 2,
         "'ab' is there twice"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
        {"{\"__metadata__\":[]}", 0, "wanted '{'"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "'a' twice"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice"},
        {"{\"__metadata__\":{\"\\u0000\":\"\"}}", 0, "NUL"},
        /* A04: offsets */
        {"{" ENTRY("a", "U8", "[1]", "1", "0") "}", 1, "bytes 1 to 0"},
        {"{" ENTRY("a", "U8", "[4]", "0", "4") "}", 3, "0 to 4 of 3"},
        {"{" ENTRY("a", "U8", "[1]", "1", "2") "}", 2, "a hole"},
        {"{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[2]", "1", "3") "}", 3, "overlap"},
        {"{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[2]", "0", "2") "}", 2, "overlap"},
        {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "U8", "[1]", "2", "3") "}", 3, "a hole"},
        {"{" ENTRY("a", "F32", "[2]", "0", "4") "}", 4, "8 bytes, but its offsets span 4"},
        {"{" ENTRY("a", "F32", "[4611686018427387904,4]", "0", "4") "}", 4, "overflows"},
        {"{" ENTRY("a", "F32", "[4611686018427387904]", "0", "0") "}", 0, "overflows"},
        {"{" ENTRY("a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, "overflows"},
        {"{" ENTRY("a", "U8", "[1]", "0", "18446744073709551615") "}", 1, "2^63"},
        {"{" ENTRY("a", "U8", "[1]", "9223372036854775807", "9223372036854775807") "}", 1, "9223372036854775807"},
        {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "more than 8 dimensions"},
        /* A05: data types */
        {"{" ENTRY("a", "F4", "[2]", "0", "1") "}", 1, "data type F4"},
        {"{" ENTRY("a", "F6_E2M3", "[4]", "0", "3") "}", 3, "F6_E2M3"},
        {"{" ENTRY("a", "bf16", "[1]", "0", "2") "}", 2, "bf16"},
        {"{" ENTRY("a", "", "[1]", "0", "2") "}", 2, "data type "},
        /* A06: names */
        {"{" ENTRY("a\\nb", "U8", "[1]", "0", "1") "}", 1, "control character"},
        {"{" ENTRY("a\nb", "U8", "[1]", "0", "1") "}", 1, "control character"},
        {"{" ENTRY("a\\u0000", "U8", "[1]", "0", "1") "}", 1, "control character"},
        {"{" ENTRY("\x7f", "U8", "[1]", "0", "1") "}", 1, "control character"},
        {"{" ENTRY("\\ud800", "U8", "[1]", "0", "1") "}", 1, "escape"},
        {"{" ENTRY("\\ud800\\u0041", "U8", "[1]", "0", "1") "}", 1, "escape"},
        {"{" ENTRY("\\udc00", "U8", "[1]", "0", "1") "}", 1, "escape"},
        {"{" ENTRY("\\x", "U8", "[1]", "0", "1") "}", 1, "escape"},
        {"{" ENTRY("\\u12g4", "U8", "[1]", "0", "1") "}", 1, "escape"},
        {"{" ENTRY("\xed\xa0\x80", "U8", "[1]", "0", "1") "}", 1, "UTF-8"},
        {"{" ENTRY("\xc0\x80", "U8", "[1]", "0", "1") "}", 1, "UTF-8"},
        {"{" ENTRY("\xf4\x90\x80\x80", "U8", "[1]", "0", "1") "}", 1, "UTF-8"},
        {"{\"\xe2\x82", 0, "UTF-8"},
        /* A07: bytes that no tensor owns */
        {"{" ENTRY("a", "U8", "[1]", "0", "1") "}", 2, "1 bytes of data after the last tensor"},
        {"{}", 30, "after the last tensor"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n;
        uint8_t *p = image(bad[i].header, bad[i].data, &n);
        lb_st_header h;
        lb_err e = {0};
        if (lb_st_parse_header(p, n, "file.st", &h, &e)) fail_msg("accepted: %s", bad[i].header);
        if (!strstr(e.msg, bad[i].says) || strncmp(e.msg, "file.st", 7) != 0)
            fail_msg("%s: message: %s", bad[i].header, e.msg);
        assert_true(e.code == LB_EFORMAT || e.code == LB_EUNSUPPORTED);
        assert_null(h.t);
        free(p);
    }
    size_t n; /* a NUL inside */
    uint8_t *p = image_n("{\0}", 3, 0, &n);
    lb_st_header h;
    lb_err e = {0};
    assert_false(lb_st_parse_header(p, n, "f", &h, &e));
    free(p);
}

/* A01: every length field that lies. */
static void header_lengths_are_checked(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_st_header h;
    uint8_t p[64] = {0};
    for (size_t n = 0; n < 8; n++) assert_false(lb_st_parse_header(p, n, "f", &h, &e));
    static const uint64_t len[] = {
        0, 1, 3, 57, 100, 1u << 31, 100000000, 100000001, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof len / sizeof *len; i++) {
        memset(p, ' ', sizeof p);
        for (int b = 0; b < 8; b++) p[b] = (uint8_t)(len[i] >> (8 * b));
        memcpy(p + 8, "{}", 2);
        if (lb_st_parse_header(p, sizeof p, "f", &h, &e)) fail_msg("length %llu accepted", (unsigned long long)len[i]);
    }
}

/* A02: the model's own file, cut at every byte of the header and at places in the data. */
static void truncation_is_an_error(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_map m;
    assert_ok(lb_map_open(&m, ABACUS_DIR "/model.safetensors", &e), e);
    lb_st_header h;
    assert_ok(lb_st_parse_header(m.p, m.size, "f", &h, &e), e);
    size_t data_at = h.data_at;
    assert_true(h.n > 10);
    lb_st_header_free(&h);
    for (size_t n = 0; n < data_at; n++) {
        uint8_t *p = malloc(n + 1); /* exact, so that ASan sees a read past the end */
        memcpy(p + 1, m.p, n);
        assert_false(lb_st_parse_header(p + 1, n, "f", &h, &e));
        free(p);
    }
    for (size_t i = 0; i < 64; i++) {
        size_t n = data_at + (m.size - data_at) * i / 64;
        assert_false(lb_st_parse_header(m.p, n, "f", &h, &e));
        assert_int_equal(e.code, LB_EFORMAT);
    }
    lb_map_close(&m);
}

/* A06: a million tensors within two seconds, one more is refused, and so is a name of a megabyte. */
static void many_tensors_take_bounded_time(void **state)
{
    (void)state;
    lb_buf b = {0};
    lb_err e = {0};
    lb_st_header h;
    size_t n;
    lb_buf_byte(&b, '{');
    for (int i = 0; i <= LB_ST_MAX_TENSORS; i++) /* names in no order */
        lb_buf_fmt(&b, "%s\"t%07d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "",
                   (int)((i * 7919LL) % (LB_ST_MAX_TENSORS + 1)), i, i + 1);
    lb_buf_byte(&b, '}');
    uint8_t *p = image_n(b.p, b.n, LB_ST_MAX_TENSORS + 1, &n);
    assert_false(lb_st_parse_header(p, n, "f", &h, &e));
    assert_non_null(strstr(e.msg, "more than 1000000 tensors"));
    free(p);
    size_t cut = b.n; /* without the last entry */
    while (strncmp(b.p + cut, ",\"t", 3) != 0) cut--;
    b.p[cut] = '}';
    p = image_n(b.p, cut + 1, LB_ST_MAX_TENSORS, &n);
    struct timespec t0, t1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    assert_ok(lb_st_parse_header(p, n, "f", &h, &e), e);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    double s = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    print_message("%d tensors: %.2f s of CPU\n", LB_ST_MAX_TENSORS, s);
    assert_int_equal(h.n, LB_ST_MAX_TENSORS);
    assert_string_equal(h.t[7].name, "t0000007");
    assert_true(s < (SANITIZED ? 20.0 : 2.0));
    lb_st_header_free(&h);
    free(p);
    lb_buf_free(&b);

    lb_buf_str(&b, "{\"");
    for (int i = 0; i < 1 << 20; i++) lb_buf_byte(&b, 'x');
    lb_buf_str(&b, "\":{}}");
    p = image_n(b.p, b.n, 0, &n);
    assert_false(lb_st_parse_header(p, n, "f", &h, &e));
    assert_non_null(strstr(e.msg, "longer than 4096"));
    free(p);
    lb_buf_free(&b);
}

static void a_model_folder_is_read(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_store *s = lb_store_open(ABACUS_DIR, &e);
    if (!s) fail_msg("%s", e.msg);
    assert_string_equal(lb_store_format_name(s), "safetensors");
    for (size_t i = 0; i < lb_store_count(s); i++) {
        const lb_tensor *t = lb_store_at(s, i);
        assert_ptr_equal(lb_store_find(s, t->name), t);
        assert_ok(lb_tensor_need_finite(t, &e), e);
    }
    const lb_tensor *t = lb_store_find(s, "model.embed_tokens.weight");
    assert_non_null(t);
    assert_int_equal(t->dtype, LB_BF16);
    assert_ok(lb_tensor_check_shape(t, (int64_t[]){2048, 256}, 2, "config.json", &e), e);
    assert_false(lb_tensor_check_shape(t, (int64_t[]){2048, 257}, 2, "config.json", &e));
    assert_string_equal(
        e.msg, ABACUS_DIR
        "/model.safetensors: tensor 'model.embed_tokens.weight' is [2048,256], config.json wants [2048,257]");
    assert_false(lb_tensor_check_shape(t, (int64_t[]){2048}, 1, "config.json", &e));
    assert_null(lb_store_find(s, "nothing"));
    assert_null(lb_store_find(s, ""));
    assert_null(lb_store_need(s, "nothing", &e));
    assert_string_equal(e.msg, ABACUS_DIR ": there is no tensor 'nothing'");
    assert_null(lb_store_at(s, lb_store_count(s)));
    assert_ok(lb_store_unchanged(s, &e), e);
    lb_hash a = lb_store_hash(s);
    lb_store_close(s);
    s = lb_store_open(ABACUS_DIR "/model.safetensors", &e);
    assert_non_null(s);
    lb_hash b = lb_store_hash(s);
    assert_true(a.hi == b.hi && a.lo == b.lo);
    lb_store_close(s);
    lb_store_close(NULL);
}

static void opens_with(const char *name, const char *says)
{
    lb_err e = {0};
    lb_store *s = lb_store_open(in_dir(name), &e);
    if (s) fail_msg("%s was opened", name);
    if (!strstr(e.msg, says)) fail_msg("%s: message: %s", name, e.msg);
}

/* A09: things that are not files, or not files of this kind. */
static void special_files_are_errors(void **state)
{
    (void)state;
    lb_err e = {0};
    opens_with("absent", "No such file");
    assert_int_equal(mkdir(in_dir("empty"), 0700), 0);
    opens_with("empty", "no weights found");
    assert_int_equal(mkdir(in_dir("folder.safetensors"), 0700), 0);
    opens_with("folder.safetensors", "no weights found");
    assert_int_equal(mkfifo(in_dir("fifo.safetensors"), 0600), 0);
    opens_with("fifo.safetensors", "a special file");
    assert_int_equal(symlink("/dev/zero", in_dir("zero.safetensors")), 0);
    opens_with("zero.safetensors", "a special file");
    assert_int_equal(symlink("loop.safetensors", in_dir("loop.safetensors")), 0);
    opens_with("loop.safetensors", "symbolic links");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", in_dir("socket.safetensors"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    opens_with("socket.safetensors", "socket.safetensors");
    close(fd);
    assert_ok(lb_write_file(in_dir("sparse.safetensors"), "", 0, &e), e);
    if (truncate(in_dir("sparse.safetensors"), (off_t)1 << 40) == 0) opens_with("sparse.safetensors", "does not begin");
    assert_ok(lb_write_file(in_dir("empty.safetensors"), "", 0, &e), e);
    opens_with("empty.safetensors", "too short");
    assert_ok(lb_write_file(in_dir("pickle.safetensors"), "PK\3\4 archive/data.pkl", 21, &e), e);
    opens_with("pickle.safetensors", "header");
    if (geteuid() != 0) {
        write_model("secret.safetensors", "{}", 0);
        chmod(in_dir("secret.safetensors"), 0);
        opens_with("secret.safetensors", "Permission denied");
    }
}

static void write_text(const char *name, const char *text)
{
    lb_err e = {0};
    assert_ok(lb_write_file(in_dir(name), text, strlen(text), &e), e);
}

#define IDX "sharded/model.safetensors.index.json"
#define S1 "model-00001-of-00002.safetensors"
#define S2 "model-00002-of-00002.safetensors"

static void shards_are_one_model(void **state)
{
    (void)state;
    lb_err e = {0};
    mkdir(in_dir("sharded"), 0700);
    write_model("sharded/" S1, "{" ENTRY("c", "BF16", "[2]", "0", "4") "," ENTRY("a", "U8", "[1]", "4", "5") "}", 5);
    write_model("sharded/" S2, "{" ENTRY("b", "F32", "[1]", "0", "4") "}", 4);
    write_text(IDX,
               "{\"metadata\":{\"total_size\":9},\"weight_map\":{\"b\":\"" S2 "\",\"a\":\"" S1 "\",\"c\":\"" S1 "\"}}");
    lb_store *s = lb_store_open(in_dir("sharded"), &e);
    if (!s) fail_msg("%s", e.msg);
    assert_int_equal(lb_store_count(s), 3);
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        const lb_tensor *t = lb_store_at(s, i);
        assert_string_equal(t->name, names[i]);
        assert_int_equal((uintptr_t)t->data % lb_dtype_bytes(t->dtype), 0);
    }
    assert_int_equal(lb_store_find(s, "c")->data[3], 3);
    assert_int_equal(lb_store_find(s, "a")->data[0], 4);
    assert_non_null(strstr(lb_store_find(s, "b")->file, S2));
    /* the same tensors in one file are the same weights */
    uint8_t data[] = {0, 1, 2, 3, 0, 1, 2, 3, 4};
    size_t n;
    uint8_t *p = image("{" ENTRY("b", "F32", "[1]", "0", "4") "," ENTRY("c", "BF16", "[2]", "4", "8") ","
                       ENTRY("a", "U8", "[1]", "8", "9") "}", 9, &n);
    memcpy(p + n - 9, data, 9);
    assert_ok(lb_write_file(in_dir("one.safetensors"), p, n, &e), e);
    lb_store *one = lb_store_open(in_dir("one.safetensors"), &e);
    assert_non_null(one);
    lb_hash x = lb_store_hash(s), y = lb_store_hash(one);
    assert_true(x.hi == y.hi && x.lo == y.lo);
    lb_store_close(one);
    p[n - 1] ^= 1;
    assert_ok(lb_write_file(in_dir("one.safetensors"), p, n, &e), e);
    one = lb_store_open(in_dir("one.safetensors"), &e);
    y = lb_store_hash(one);
    assert_false(x.hi == y.hi && x.lo == y.lo);
    free(p);
    assert_int_equal(truncate(in_dir("one.safetensors"), 20), 0);
    assert_false(lb_store_unchanged(one, &e));
    assert_int_equal(e.code, LB_EIO);
    lb_store_close(one);
    lb_store_close(s);
    /* caches are made of symbolic links */
    assert_int_equal(rename(in_dir("sharded/" S2), in_dir("blob")), 0);
    assert_int_equal(symlink("../blob", in_dir("sharded/" S2)), 0);
    s = lb_store_open(in_dir("sharded"), &e);
    if (!s) fail_msg("%s", e.msg);
    lb_store_close(s);
}

/* D01, D02: an index that lies. Each row replaces the index of the folder above. */
static void bad_indexes_are_errors(void **state)
{
    (void)state;
    mkdir(in_dir("sharded"), 0700);
    write_model("sharded/" S1, "{" ENTRY("a", "U8", "[1]", "0", "1") "}", 1);
    unlink(in_dir("sharded/" S2));
    write_model("sharded/" S2, "{" ENTRY("b", "U8", "[1]", "0", "1") "}", 1);
    write_model("outside.safetensors", "{" ENTRY("a", "U8", "[1]", "0", "1") "}", 1);
    mkfifo(in_dir("sharded/fifo"), 0600);
    char long_name[70000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    static const struct { const char *shard, *says; } names[] = {
        {"../outside.safetensors", "plain file name"}, {"/etc/passwd", "plain file name"},
        {"a/../../x", "plain file name"},
        {"C:\\\\x", "plain file name"}, {"", "plain file name"}, {"..", "plain file name"},
        {"a\\u0000b", "not valid JSON"},
        {NULL, "plain file name"}, {"fifo", "special file"}, {"absent.safetensors", "which is missing"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lb_buf b = {0};
        lb_buf_fmt(&b, "{\"weight_map\":{\"a\":\"%s\",\"b\":\"" S2 "\",\"c\":\"" S1 "\"}}",
                   names[i].shard ? names[i].shard : long_name);
        write_text(IDX, b.p);
        lb_buf_free(&b);
        opens_with("sharded", names[i].says);
    }
    static const struct { const char *index, *says; } bad[] = {
        {"", "not valid JSON"}, {"[]", "'weight_map' is missing"}, {"{\"weight_map\":[]}", "an array"},
        {"{\"weight_map\":{}}", "0 entries"},
        {"{\"weight_map\":{\"a\":1}}", "an integer"},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"a\":\"" S2 "\"}}", "not valid JSON"},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S1 "\",\"c\":\"" S2 "\"}}", "'b' should be in " S1},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"c\":\"" S2 "\"}}", "'b' is in"},
        {"{\"weight_map\":{\"a\":\"" S1 "\"}}", "does not name"},
        {"{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\",\"z\":\"" S2 "\"}}", "'z' should be in " S2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(IDX, bad[i].index);
        opens_with("sharded", bad[i].says);
    }
    /* the same tensor in two shards */
    write_model("sharded/" S2, "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "U8", "[1]", "1", "2") "}", 2);
    write_text(IDX, "{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\"}}");
    opens_with("sharded", "the index does not place it there");
}

static void odd_places_are_copied_to_even_ones(void **state)
{
    (void)state;
    lb_err e = {0};
    write_model("odd.safetensors", "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "F32", "[2]", "1", "9") ","
                ENTRY("c", "BF16", "[1]", "9", "11") "}", 11);
    lb_store *s = lb_store_open(in_dir("odd.safetensors"), &e);
    if (!s) fail_msg("%s", e.msg);
    for (size_t i = 0; i < 3; i++) {
        const lb_tensor *t = lb_store_at(s, i);
        assert_int_equal((uintptr_t)t->data % lb_dtype_bytes(t->dtype), 0);
    }
    for (int i = 0; i < 8; i++) assert_int_equal(lb_store_find(s, "b")->data[i], 1 + i);
    assert_int_equal(lb_store_find(s, "c")->data[1], 10);
    lb_store_close(s);
}

/* E01: one NaN or infinity in each type at each kind of place is found, at its index; the largest finite value is not.
 */
static void non_finite_weights_are_found(void **state)
{
    (void)state;
    static const struct { lb_dtype type; uint64_t max, inf, nan;
    } types[] = {
        {LB_BF16, 0x7f7f, 0xff80, 0x7fc1},
        {LB_F16, 0x7bff, 0xfc00, 0x7e00},
        {LB_F32, 0x7f7fffff, 0xff800000, 0x7fc00001},
        {LB_F64, 0x7fefffffffffffffu, 0x7ff0000000000000u, 0xfff8000000000000u},
    };
    enum { N = 2500 };
    static uint8_t data[N * 8];
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        size_t size = lb_dtype_bytes(types[k].type), at;
        lb_tensor t = {.name = "w",
                       .dtype = types[k].type,
                       .rank = 2,
                       .shape = {N / 10, 10},
                       .data = data,
                       .size_bytes = N * size,
                       .file = "f"};
        for (size_t i = 0; i < N; i++) memcpy(data + i * size, &types[k].max, size);
        assert_true(lb_tensor_check_finite(&t, &at));
        for (size_t i = 0; i < N; i += 1 + i / 3) {
            lb_err e = {0};
            memcpy(data + i * size, i % 2 ? &types[k].nan : &types[k].inf, size);
            memcpy(data + (N - 1) * size, &types[k].nan, size); /* a later one does not hide it */
            assert_false(lb_tensor_check_finite(&t, &at));
            assert_int_equal(at, i);
            assert_false(lb_tensor_need_finite(&t, &e));
            char says[64];
            snprintf(says, sizeof says, "f: tensor 'w' holds %s at [%zu,%zu]", i % 2 ? "a NaN" : "an infinity", i / 10,
                     i % 10);
            assert_string_equal(e.msg, says);
            assert_int_equal(e.code, LB_ENUMERIC);
            memcpy(data + i * size, &types[k].max, size);
        }
    }
    memset(data, 0xff, sizeof data);
    lb_tensor t = {
        .name = "w", .dtype = LB_I32, .rank = 1, .shape = {N}, .data = data, .size_bytes = N * 4, .file = "f"};
    assert_true(lb_tensor_check_finite(&t, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_headers_are_read), cmocka_unit_test(bad_headers_are_errors),
        cmocka_unit_test(header_lengths_are_checked), cmocka_unit_test(truncation_is_an_error),
        cmocka_unit_test(many_tensors_take_bounded_time), cmocka_unit_test(a_model_folder_is_read),
        cmocka_unit_test(special_files_are_errors), cmocka_unit_test(shards_are_one_model),
        cmocka_unit_test(bad_indexes_are_errors), cmocka_unit_test(odd_places_are_copied_to_even_ones),
        cmocka_unit_test(non_finite_weights_are_found),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
