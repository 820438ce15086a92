# lowbit – one Makefile: build/lowbit, build/liblowbit.{a,so}, tests, fuzzers, benches.
#   make            everything          make check       tests (minutes)       make check-san   under ASan and UBSan
#   make layers     include rules       make check-long  slow tests            make fuzz        10 minutes per target
#   CUDA=1 (default where nvcc is found)   CC=gcc   SAN=1   V=1
CC      := $(if $(filter default undefined,$(origin CC)),$(shell command -v clang-19 || command -v gcc),$(CC))
NVCC    := $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
CUDA    ?= 0
SAN     ?= 0
B       := build$(if $(filter 1,$(SAN)),/san)$(if $(filter 2,$(SAN)),/fuzz)$(if $(filter 1,$(CUDA)),/cuda)
Q       := $(if $(V),,@)
CLANG   := $(findstring clang,$(shell $(CC) --version | head -1))

LIBS     := jansson libpcre2-8 libutf8proc libxxhash sqlite3 libseccomp
CFLAGS   ?= -O3 -g
MUST     := -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wshadow -Wstrict-prototypes -fPIC -fopenmp -fno-math-errno \
            -ffp-contract=off -Isrc -Iinclude $(shell pkg-config --cflags $(LIBS)) \
            -DLB_GIT='"$(shell git describe --always --dirty 2>/dev/null || echo unknown)"'
LDLIBS   := $(shell pkg-config --libs $(LIBS)) -lflint -lgmp -lm -lpthread
ifneq ($(SAN),0) # 1: tests under sanitizers; 2: the same for fuzzing
MUST     += $(if $(filter 2,$(SAN)),-fsanitize=fuzzer-no-link) -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS   := -O1 -g
endif
ISA_avx2       := -mavx2 -mfma -mf16c -mbmi2
ISA_avx512     := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16

SRC  := $(filter-out src/cli/%,$(sort $(wildcard src/*/*.c src/*/*/*.c)))
CLI  := $(sort $(wildcard src/cli/*.c))
CU   := $(if $(filter 1,$(CUDA)),$(sort $(wildcard src/kern/cuda/*.cu)))
OBJ  := $(SRC:%.c=$(B)/%.o) $(CU:%.cu=$(B)/%.cu.o)
ifeq ($(CUDA),1)
MUST   += -DLB_WITH_CUDA
LDLIBS += -L$(dir $(NVCC))../lib64 -lcudart -lcublasLt -lstdc++ -Wl,-rpath,$(abspath $(dir $(NVCC))../lib64)
endif

all: $(B)/lowbit $(B)/liblowbit.a $(B)/liblowbit.so
$(B)/lowbit: $(CLI:%.c=$(B)/%.o) $(B)/liblowbit.a
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/liblowbit.a: $(OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/liblowbit.so: $(OBJ)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -shared -o $@ $^ $(LDLIBS)

# The instruction set comes from the file name: matmul_avx512.c is the only place where AVX-512 may appear.
isa = $(ISA_$(lastword $(subst _, ,$(basename $(notdir $1)))))
$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(call isa,$<) -MMD -MP -c -o $@ $<
$(B)/%.cu.o: %.cu Makefile
	@mkdir -p $(@D)
	$(Q)$(NVCC) -O3 -std=c++17 -arch=sm_90 -lineinfo -Xcompiler -fPIC,-Wall -Isrc -Iinclude -MMD -MP -c -o $@ $<

# ---- tests: each tests/{unit,kern,golden,prop}/*.c is one cmocka program; each tests/cli/*.sh one script ----
TESTS := $(sort $(wildcard tests/unit/*.c tests/kern/*.c tests/golden/*.c tests/prop/*.c))
TBIN  := $(TESTS:%.c=$(B)/%)
$(B)/tests/%: tests/%.c $(B)/liblowbit.a Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -Itests -MMD -MP -o $@ $< $(B)/liblowbit.a -lcmocka $(LDLIBS)
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*.c)))
# A fuzz target replays its corpus in every build; with libFuzzer in `make fuzz`.
$(B)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/replay.inc $(B)/liblowbit.a Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(MUST) $(CFLAGS) $(LDFLAGS) -Itests -MMD -MP -DREPLAY -o $@ $< $(B)/liblowbit.a $(LDLIBS)

check: all layers $(TBIN) $(FUZZ:%=$(B)/tests/fuzz/%)
	@tests/run.sh $(B)
check-long: all $(TBIN)
	@LB_LONG=1 tests/run.sh $(B)
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
	$(Q)clang-19 $(MUST) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Itests -o build/fuzz/$* \
	    tests/fuzz/$*.c build/fuzz/liblowbit.a $(LDLIBS)
	build/fuzz/$* -max_total_time=$(FUZZ_S) -timeout=10 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/$*- \
	    build/fuzz/corpus-$* tests/fuzz/corpus/$*
clean:
	rm -rf build
.PHONY: all check check-long check-san check-cuda layers fuzz fuzz-lib clean
.SECONDARY:
-include $(OBJ:.o=.d) $(CLI:%.c=$(B)/%.d) $(TBIN:=.d)
