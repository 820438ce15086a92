/* kern/version.c – what this build is. */
#include "base/cpu.h"
#include "kern/exec.h"
#include <stdio.h>

#ifndef LB_GIT
#define LB_GIT "unknown"
#endif

const char *lb_version(void)
{
    static char text[256];
#ifdef LB_WITH_CUDA
    const char *cuda = "yes";
#else
    const char *cuda = "no";
#endif
    snprintf(text, sizeof text, "lowbit " LB_VERSION " (" LB_GIT "; cpu: %s; cuda: %s; mpi: no)", lb_cpu_level_name(lb_cpu_probe()), cuda);
    return text;
}
