/* num/num.c – the list of number formats. */
#include "num/num.h"
#include <string.h>

#define LB_NUM(m) extern const lb_num lb_num_##m;
#include "num/nums.def"
#undef LB_NUM
#define LB_NUM(m) &lb_num_##m,
const lb_num *const lb_nums[] = {
#include "num/nums.def"
    NULL};

const lb_num *lb_num_find(const char *name)
{
    for (int i = 0; lb_nums[i]; i++)
        if (strcmp(lb_nums[i]->name, name) == 0) return lb_nums[i];
    return NULL;
}

const lb_num *lb_num_of_dtype(lb_dtype t)
{
    for (int i = 0; lb_nums[i]; i++)
        if (!lb_nums[i]->grouped && lb_nums[i]->dtype == t) return lb_nums[i];
    return NULL;
}

const lb_num *lb_num_of_bits(int bits)
{
    for (int i = 0; lb_nums[i]; i++)
        if (lb_nums[i]->grouped && !lb_nums[i]->block && !lb_nums[i]->half && lb_nums[i]->bits == bits) return lb_nums[i];
    return NULL;
}

double lb_mat_bpw(const lb_mat *m)
{
    return 8.0 * (double)m->num->size(m) / ((double)m->n * (double)m->k);
}
