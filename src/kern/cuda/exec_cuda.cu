/* kern/cuda/exec_cuda.cu – the CUDA device: memory, a stream, a cuBLASLt handle, and the first fault.
 *
 * Everything is queued on one stream of the exec's own, so operators and copies run in the order of the calls. A
 * fault is kept and reported by every sync from then on: after one, CUDA promises nothing about the context. */
#include "kern/cuda/cuda_util.cuh"
extern "C" {
#include "base/mem.h"
}
#include <stdio.h>
#include <stdlib.h>

/* What NVIDIA advises for Hopper (cuBLAS documentation, cublasSetWorkspace); smaller ones lose split-K algorithms. */
static const size_t WORKSPACE_BYTES = (size_t)32 << 20;

/* Asks whether this build's machine code or PTX runs on a GPU. */
__global__ static void probe() {}

void cuda_fault(lb_cuda *c, const char *what, const char *text)
{
    if (!c->fault[0]) snprintf(c->fault, sizeof c->fault, "%s: %s", what, text);
}

lb_cuda *cuda_enter(lb_exec *ex)
{
    lb_cuda *c = (lb_cuda *)ex->state;
    cuda_check(c, "cudaSetDevice", cudaSetDevice(c->device));
    return c;
}

static void cuda_close(lb_exec *ex)
{
    lb_cuda *c = (lb_cuda *)ex->state;
    if (!c) return;
    cudaSetDevice(c->device);
    if (c->stream) cudaStreamSynchronize(c->stream);
    if (c->lt) cublasLtDestroy(c->lt);
    cudaFree(c->workspace);
    if (c->stream) cudaStreamDestroy(c->stream);
    free(c);
    ex->state = NULL;
}

static bool find_device(int index, cudaDeviceProp *prop, lb_err *err)
{
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e != cudaSuccess || n == 0)
        return lb_fail(err, LB_EDEVICE, "--device cuda: no usable NVIDIA GPU: %s",
                       cudaGetErrorString(e == cudaSuccess ? cudaErrorNoDevice : e));
    if (index < 0 || index >= n)
        return lb_fail(err, LB_EDEVICE, "--device cuda:%d: there %s %d GPU%s, numbered from 0", index,
                       n > 1 ? "are" : "is", n, n > 1 ? "s" : "");
    if ((e = cudaGetDeviceProperties(prop, index)) != cudaSuccess || (e = cudaSetDevice(index)) != cudaSuccess)
        return lb_fail(err, LB_EDEVICE, "cuda:%d: %s", index, cudaGetErrorString(e));
    cudaFuncAttributes attr;
    if ((e = cudaFuncGetAttributes(&attr, (const void *)probe)) == cudaSuccess) return true;
    cudaGetLastError();
    return lb_fail(err, LB_EDEVICE,
                   "cuda:%d %s has compute capability %d.%d, this lowbit was built for another (nvcc -arch in the "
                   "Makefile): %s",
                   index, prop->name, prop->major, prop->minor, cudaGetErrorString(e));
}

static bool cuda_open(lb_exec *ex, int index, lb_err *err)
{
    cudaDeviceProp prop;
    if (!find_device(index, &prop, err)) return false;
    lb_cuda *c = (lb_cuda *)lb_alloc(1, sizeof *c, "a CUDA device", err);
    if (!c) return false;
    ex->state = c;
    c->device = index;
    c->workspace_bytes = WORKSPACE_BYTES;
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    c->blocking = blocking && strcmp(blocking, "0") != 0 && *blocking;
    snprintf(ex->name, sizeof ex->name, "cuda:%d %.100s", index, prop.name);
    cudaError_t e = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
    if (e == cudaSuccess) e = cudaMalloc(&c->workspace, c->workspace_bytes);
    cublasStatus_t s = e == cudaSuccess ? cublasLtCreate(&c->lt) : CUBLAS_STATUS_SUCCESS;
    if (e == cudaSuccess && s == CUBLAS_STATUS_SUCCESS) return true;
    if (e == cudaErrorMemoryAllocation) lb_fail(err, LB_ENOMEM, "%s: out of memory: the workspace", ex->name);
    else if (e != cudaSuccess) lb_fail(err, LB_EDEVICE, "%s: %s", ex->name, cudaGetErrorString(e));
    else lb_fail(err, LB_EDEVICE, "%s: cuBLASLt: %s", ex->name, cublasLtGetStatusString(s));
    cudaGetLastError();
    cuda_close(ex);
    return false;
}

static void *cuda_alloc(lb_exec *ex, size_t n, const char *what, lb_err *err)
{
    lb_cuda *c = cuda_enter(ex);
    void *p = NULL;
    cudaError_t e = cudaMalloc(&p, n);
    if (e == cudaSuccess) {
        cuda_check(c, what, cudaMemsetAsync(p, 0, n, c->stream));
        return p;
    }
    cudaGetLastError();
    size_t left = 0, all = 0;
    if (e == cudaErrorMemoryAllocation && cudaMemGetInfo(&left, &all) == cudaSuccess)
        lb_fail(err, LB_ENOMEM, "%s: out of memory: %s needs %.1f MiB, %.1f of %.1f MiB are free", ex->name, what,
                (double)n / 1048576.0, (double)left / 1048576.0, (double)all / 1048576.0);
    else
        lb_fail(err, LB_EDEVICE, "%s: %s: %s", ex->name, what, cudaGetErrorString(e));
    return NULL;
}

/* cudaFree waits for the work that may still use p. */
static void cuda_free(lb_exec *ex, void *p)
{
    lb_cuda *c = cuda_enter(ex);
    cuda_check(c, "cudaFree", cudaFree(p));
}

/* Host memory is pageable: CUDA copies it into a staging buffer before the call returns, so the caller may reuse it. */
static void cuda_put(lb_exec *ex, void *dst, const void *host, size_t n)
{
    lb_cuda *c = cuda_enter(ex);
    cuda_check(c, "copy to the GPU", cudaMemcpyAsync(dst, host, n, cudaMemcpyHostToDevice, c->stream));
}

static void cuda_get(lb_exec *ex, void *host, const void *src, size_t n)
{
    lb_cuda *c = cuda_enter(ex);
    cuda_check(c, "copy from the GPU", cudaMemcpyAsync(host, src, n, cudaMemcpyDeviceToHost, c->stream));
    cuda_check(c, "copy from the GPU", cudaStreamSynchronize(c->stream));
}

static bool cuda_sync(lb_exec *ex, lb_err *err)
{
    lb_cuda *c = cuda_enter(ex);
    cuda_check(c, "an operator (CUDA_LAUNCH_BLOCKING=1 tells which)", cudaStreamSynchronize(c->stream));
    return !c->fault[0] || lb_fail(err, LB_EDEVICE, "%s: %s", ex->name, c->fault);
}

const lb_device lb_device_cuda = {
    "cuda", LB_CUDA, cuda_open, cuda_close, cuda_alloc, cuda_free, cuda_put, cuda_get, cuda_sync,
};
