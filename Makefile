# lowbit – one Makefile: build/lowbit, build/liblowbit.{a,so}, tests, fuzzers, benches.
#   make            everything          make check       tests (minutes)       make check-san   under ASan and UBSan
#   make layers     include rules       make check-long  slow tests            make fuzz        10 minutes per target
#   CUDA=1 (default 0; needs nvcc)   CC=gcc   SAN=1   V=1. Another compiler or other flags rebuild what depends on them.
CC      := $(if $(filter default undefined,$(origin CC)),$(shell command -v clang-19 || command -v gcc),$(CC))
NVCC    := $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
CUDA    ?= 0
SAN     ?= 0
B       := build$(if $(filter 1,$(SAN)),/san)$(if $(filter 2,$(SAN)),/fuzz)$(if $(filter 1,$(CUDA)),/cuda)
Q       := $(if $(V),,@)
CLANG   := $(findstring clang,$(shell $(CC) --version | head -1))

LIBS     := jansson libpcre2-8 libutf8proc libxxhash sqlite3 libseccomp cairo libcrypto zlib libcurl
CFLAGS   ?= -O3 -g
MUST     := -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wshadow -Wstrict-prototypes -fPIC -fopenmp \
            -fno-math-errno -ffp-contract=off -Isrc -Iinclude $(shell pkg-config --cflags $(LIBS))
LDLIBS   := $(shell pkg-config --libs $(LIBS)) -lcalcium -lantic -lflint-arb -lflint -lmpfr -lgmp -lm -lpthread
ifneq ($(SAN),0) # 1: tests under sanitizers; 2: the same for fuzzing
MUST     += $(if $(filter 2,$(SAN)),-fsanitize=fuzzer-no-link) -fsanitize=address,undefined \
            -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS   := -O1 -g
endif
ISA_avx2       := -mavx2 -mfma -mf16c -mbmi2
ISA_avx512     := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_amx        := $(ISA_avx512bf16) -mamx-tile -mamx-bf16 -mamx-int8

SRC  := $(filter-out src/cli/%,$(sort $(wildcard src/*/*.c src/*/*/*.c)))
CLI  := $(sort $(wildcard src/cli/*.c))
CU   := $(if $(filter 1,$(CUDA)),$(sort $(wildcard src/kern/cuda/*.cu)))
OBJ  := $(SRC:%.c=$(B)/%.o) $(CU:%.cu=$(B)/%.cu.o)
ifeq ($(CUDA),1)
MUST   += -DLB_WITH_CUDA
LDLIBS += -L$(dir $(NVCC))../lib64 -lcudart -lcublasLt -lstdc++ -Wl,-rpath,$(abspath $(dir $(NVCC))../lib64)
endif

.DEFAULT_GOAL := all

# Stamps: files that are rewritten only when what they say changes, so that objects can depend on it. `flags` is how
# everything is compiled, `sources` what the library is made of, `git` the commit, which only version.o knows.
STAMP_flags   := $(CC) | $(shell $(CC) --version | head -1) | $(MUST) $(CFLAGS) | $(LDFLAGS) $(LDLIBS)
STAMP_sources := $(SRC) $(CU)
STAMP_git     := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
changed        = $(if $(subst x$(file <$(B)/$1)x,,x$(STAMP_$1)x),FORCE)
$(B)/flags: $(call changed,flags)
$(B)/sources: $(call changed,sources)
$(B)/git: $(call changed,git)
$(B)/flags $(B)/sources $(B)/git:
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(STAMP_$(@F)))' >$@
FORCE:

all: $(B)/lowbit $(B)/liblowbit.a $(B)/liblowbit.so
$(B)/lowbit: $(CLI:%.c=$(B)/%.o) $(B)/liblowbit.a
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/liblowbit.a: $(OBJ) $(B)/sources
	$(Q)rm -f $@ && ar rcs $@ $(OBJ)
$(B)/liblowbit.so: $(OBJ) $(B)/sources
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -shared -o $@ $(OBJ) $(LDLIBS)

# The instruction set comes from the file name: matmul_avx512.c is the only place where AVX-512 may appear.
isa = $(ISA_$(lastword $(subst _, ,$(basename $(notdir $1)))))
# UBSan makes minutes of compile time out of the unrolled kernels; AddressSanitizer stays.
noub = $(if $(filter-out 0,$(SAN)),$(if $(filter src/kern/x86/%,$1),-fno-sanitize=undefined))
$(B)/src/kern/version.o: DEFS = -DLB_GIT='"$(STAMP_git)"'
$(B)/src/kern/version.o: $(B)/git
$(B)/%.o: %.c Makefile $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(DEFS) $(call isa,$<) $(call noub,$<) -MMD -MP -c -o $@ $<
$(B)/%.cu.o: %.cu Makefile $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(NVCC) -O3 -std=c++17 -arch=sm_90 -lineinfo -DLB_WITH_CUDA -Xcompiler -fPIC,-Wall -Isrc -Iinclude -MMD -MP -c -o $@ $<

# ---- tests: each tests/{unit,kern,golden,prop}/*.c is one cmocka program; each tests/cli/*.sh one script ----
TESTS := $(sort $(wildcard tests/unit/*.c tests/kern/*.c tests/golden/*.c tests/prop/*.c))
FUZZ  := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*.c)))
TBIN  := $(TESTS:%.c=$(B)/%)
FBIN  := $(FUZZ:%=$(B)/tests/fuzz/%)
DEPS   = -MMD -MP -MF $@.d -MT $@# named, because compilers differ in what they call it when they link as well
$(B)/tests/%: tests/%.c $(B)/liblowbit.a Makefile $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -Itests $(DEPS) -o $@ $< $(B)/liblowbit.a -lcmocka $(LDLIBS)
# A fuzz target replays its corpus in every build; with libFuzzer in `make fuzz`.
$(B)/tests/fuzz/%: tests/fuzz/%.c $(B)/liblowbit.a Makefile $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -Itests $(DEPS) -DREPLAY -o $@ $< $(B)/liblowbit.a $(LDLIBS)

check check-long: all layers $(TBIN) $(FBIN)
	@LB_LONG=$(if $(filter check-long,$@),1,0) tests/run.sh $(B)
check-san:
	@$(MAKE) --no-print-directory SAN=1 check
check-cuda:
	@$(MAKE) --no-print-directory CUDA=1 check
layers:
	@tools/layers.sh

# 10 minutes per target unless FUZZ_S says otherwise; findings land in build/fuzz/.
FUZZ_S ?= 600
fuzz: $(FUZZ:%=fuzz-%)
fuzz-lib: # its own build, because the instruction set of a file is an option of its object
	@$(MAKE) --no-print-directory SAN=2 CC=clang-19 build/fuzz/liblowbit.a
fuzz-%: fuzz-lib
	@mkdir -p build/fuzz/corpus-$* tests/fuzz/corpus/$*
	$(Q)clang-19 $(MUST) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Itests \
	    -o build/fuzz/$* tests/fuzz/$*.c build/fuzz/liblowbit.a $(LDLIBS)
	build/fuzz/$* -max_total_time=$(FUZZ_S) -timeout=10 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/$*- \
	    build/fuzz/corpus-$* tests/fuzz/corpus/$*
clean:
	rm -rf build
.PHONY: all check check-long check-san check-cuda layers fuzz fuzz-lib clean FORCE
.SECONDARY:
-include $(OBJ:.o=.d) $(CLI:%.c=$(B)/%.d) $(TBIN:=.d) $(FBIN:=.d)
