/* kern/exec.h – a device: memory and a queue. CPU threads, or a CUDA stream.
 *
 * Everything above kern/ runs operators on an exec and never asks which device it is. Device memory is opaque: fill it
 * with put, read it with get. On the CPU device memory is host memory and place() returns the pointer it was given, so
 * mapped weights are used where they lie. Operators are queued in order; a device fault stays in the exec until sync
 * reports it. One thread drives an exec. */
#ifndef LB_KERN_EXEC_H
#define LB_KERN_EXEC_H
#include "base/cpu.h"
#include "base/err.h"

typedef struct lb_exec lb_exec;

typedef struct lb_exec_opt {     /* zero means default in every field */
    const char *device;          /* "cpu" (default), "cuda", "cuda:1" */
    const char *isa;             /* highest CPU level to use: "ref", "avx2", "avx512" …; see lb_cpu_mask */
    int n_thread;                /* CPU threads; default: all processors this process may use */
    bool no_mmap;                /* CPU: copy mapped weights to huge pages at load instead of using them in place */
} lb_exec_opt;

lb_exec *lb_exec_open(const lb_exec_opt *opt, lb_err *err);
void lb_exec_close(lb_exec *ex);
unsigned lb_exec_mask(const lb_exec *ex); /* what rows of an operator table may need here: LB_AVX2 … or LB_CUDA */
int lb_exec_threads(const lb_exec *ex);
const char *lb_exec_name(const lb_exec *ex);     /* "cpu avx512, 2 threads", "cuda:0 NVIDIA H200" */

/* Zeroed device memory, 64-byte aligned at least. */
void *lb_exec_alloc(lb_exec *ex, size_t count, size_t elem, const char *what, lb_err *err);
void lb_exec_free(lb_exec *ex, void *p);
/* Host bytes made readable by operators. CPU: the same pointer, borrowed. CUDA: a copy, owned by the exec until it is
 * closed. */
const void *lb_exec_place(lb_exec *ex, const void *host, size_t size_bytes, const char *what, lb_err *err);
/* The same for bytes of a mapped file. With no_mmap the CPU copies them too: small pages of a mapping end the processor's
 * prefetch every 4 KiB, huge pages do not. */
const void *lb_exec_place_file(lb_exec *ex, const void *host, size_t size_bytes, const char *what, lb_err *err);
/* Copies into and out of device memory. Ordered with the queue; get waits for it. A fault shows at the next sync. */
void lb_exec_put(lb_exec *ex, void *dst, const void *host, size_t size_bytes);
void lb_exec_get(lb_exec *ex, void *host, const void *src, size_t size_bytes);
bool lb_exec_sync(lb_exec *ex, lb_err *err);

/* Scratch for operators (kern/op.h): reserved before the loop, never grown inside it. */
bool lb_exec_reserve(lb_exec *ex, size_t size_bytes, lb_err *err);
void *lb_exec_scratch(lb_exec *ex);

/* The only place that knows OpenMP: calls fn(arg, begin, end) on disjoint pieces of [0,n), each piece but the last a
 * multiple of `grain` long, from this exec's threads. Work is split over outputs only, so results do not depend on
 * it. */
void lb_parallel(lb_exec *ex, int n, int grain, void (*fn)(void *arg, int begin, int end), void *arg);

/* ---- for kern/ only: what a device is ---- */
typedef struct lb_device {
    const char *name;            /* "cpu", "cuda" */
    unsigned mask;               /* bits of `needs` that it satisfies, apart from CPU levels */
    bool (*open)(lb_exec *ex, int index, lb_err *err);
    void (*close)(lb_exec *ex);
    void *(*alloc)(lb_exec *ex, size_t size_bytes, const char *what, lb_err *err);
    void (*free)(lb_exec *ex, void *p);
    void (*put)(lb_exec *ex, void *dst, const void *host, size_t n);
    void (*get)(lb_exec *ex, void *host, const void *src, size_t n);
    bool (*sync)(lb_exec *ex, lb_err *err);
} lb_device;

struct lb_exec {
    const lb_device *dev;
    unsigned mask;
    int n_thread;
    bool no_mmap;
    void *state;                 /* the device's own: stream, handles; owned */
    char name[128];
    void *scratch;               /* device memory, owned */
    size_t scratch_bytes;
    void **placed;               /* device copies made by place; owned */
    size_t n_placed, cap_placed;
};
#ifdef LB_WITH_CUDA
extern const lb_device lb_device_cuda;           /* kern/cuda/exec_cuda.cu */
#endif
#endif
