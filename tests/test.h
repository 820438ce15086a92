/* test.h – what every cmocka program includes. */
#ifndef LB_TEST_H
#define LB_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Paths to the project's own data; tests run from the project root. */
#define ABACUS_DIR "models/abacus-5m"

/* Fails with the library's own message. */
#define assert_ok(call, err) do { if (!(call)) fail_msg("%s: %s", #call, (err).msg); } while (0)
#endif
