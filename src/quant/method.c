/* quant/method.c – the list of methods. */
#include "quant/method.h"
#include "base/buf.h"
#include <string.h>

#define LB_METHOD(m) extern const lb_method lb_method_##m;
#include "quant/methods.def"
#undef LB_METHOD
#define LB_METHOD(m) &lb_method_##m,
const lb_method *const lb_methods[] = {
#include "quant/methods.def"
    NULL};

const lb_method *lb_method_find(const char *name, lb_err *err)
{
    lb_buf b = {0};
    for (int i = 0; lb_methods[i]; i++) {
        if (strcmp(lb_methods[i]->name, name) == 0) {
            lb_buf_free(&b);
            return lb_methods[i];
        }
        lb_buf_fmt(&b, "%s%s", i ? ", " : "", lb_methods[i]->name);
    }
    lb_fail(err, LB_EUSAGE, "method '%s' is not known; there are %s", name, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return NULL;
}
