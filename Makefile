# Makefile: builds, tests and installs libscope.
#
# Objects of one source for several purposes ("variants") lie side by side:
#   build/static/  the archive          build/asan/  AddressSanitizer, UBSan
#   build/shared/  the shared library   build/tsan/  ThreadSanitizer
#   build/lto/     the LTO archive      build/sim/   the simulation
#   build/valgrind/  stacks registered with valgrind
#   build/debug/   misuse of scopes is reported
#   build/fault/   the system refuses things
#   build/aarch64/, build/aarch64-sim/  for 64-bit Arm, whatever this machine is
# Variables that users set: CC CFLAGS LDFLAGS PREFIX DESTDIR BUILD ARGS V.
# COVERAGE is for tests/coverage.sh.

VERSION := 0.1.0
PREFIX ?= /usr/local
BUILD ?= build
CFLAGS ?= -O3 -g
TSAN_CC ?= $(or $(shell command -v clang-19),clang)
INSTALL ?= install
Q := $(if $(V),,@)
SAY = $(if $(V),,@echo "  $(1)")

.DELETE_ON_ERROR:
.SUFFIXES:
# Every target that `make help` lists; man has nothing to say there.
.PHONY: man $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' Makefile)

lib: ## Build the static, shared and LTO libraries (the default).
lib: $(BUILD)/libscope.a $(BUILD)/libscope.so $(BUILD)/libscope-lto.a

# ---- sources and flags ----

# Assembly for another CPU is empty, so CC alone decides for which one is built.
SOURCES := $(wildcard runtime/*/*.c runtime/arch/*.S)
HEADERS := $(wildcard api/*.h)
MAN1 := $(wildcard docs/*.1)

# A scope is the caller's struct scope and the runtime's struct sc_scope in one place; where
# the linker inlines one into the other, types must not tell their accesses apart.
SC_FLAGS := -std=gnu11 -Wall -Wextra -fno-omit-frame-pointer -fstack-clash-protection \
	-fvisibility=hidden -fno-plt -fno-strict-aliasing -Iruntime -Iapi
TEST_FLAGS := -std=gnu11 -Wall -Wextra -fno-omit-frame-pointer -Iruntime -Iapi -Itests
LIBS := -Wl,--as-needed -luv -Wl,--no-as-needed -lpthread

# A program with jemalloc never names it, so a linker that drops unneeded libraries would.
JEMALLOC := -Wl,--no-as-needed -ljemalloc

# The spawn path reads the stack pointer itself and is shorter without frame pointers.
FLAGS_runtime/scope/fast.c := -fomit-frame-pointer -falign-loops=1
FLAGS_runtime/scope/parallel.c := -fomit-frame-pointer
# A checkpoint that finds nothing calls nobody.
FLAGS_runtime/scope/attend.c := -momit-leaf-frame-pointer
FLAGS_runtime/scope/range.c := -fomit-frame-pointer -falign-loops=1

CC_static = $(CC)
# The archive is for programs; a shared object links the shared library.
FLAGS_static = $(CFLAGS) $(COVERAGE) -DSC_PROGRAM
CC_shared = $(CC)
FLAGS_shared = $(CFLAGS) -fPIC
# Fat objects: whoever links without LTO gets the ordinary code.  The address of errno must
# not be seen by the optimiser, and what scope_fast.h names in assembly must be seen by the
# linker, so these two files stay out.
CC_lto = $(CC)
FAT ?= -ffat-lto-objects
FLAGS_lto = $(CFLAGS) -DSC_PROGRAM -DSC_LTO \
	$(if $(filter %/errno.c %/fast_leak.c,$<),-fno-lto,-flto $(FAT))
CC_asan = $(CC)
FLAGS_asan = -O1 -g -fno-optimize-sibling-calls -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DSC_TEST_SHIM
CC_tsan = $(TSAN_CC)
# A switch counts as an order: what belongs to a worker, and is not shared, is written by each
# strand that it runs in turn.  So a race is seen between tasks that run on two workers at once.
FLAGS_tsan = -O1 -g -DSC_TSAN_SWITCH_FLAGS=0 -fno-optimize-sibling-calls -fsanitize=thread \
	-DSC_TEST_SHIM
CC_sim = $(CC)
# A scope may be opened in memory that holds anything.
FLAGS_sim = -O2 -g $(COVERAGE) -DSC_SIM -DSC_TEST_SHIM -ftrivial-auto-var-init=pattern
CC_valgrind = $(CC)
FLAGS_valgrind = -O1 -g -DSC_VALGRIND -DSC_TEST_SHIM
CC_debug = $(CC)
FLAGS_debug = $(CFLAGS) $(COVERAGE) -DSC_DEBUG -DSC_TEST_SHIM
# Every function stays one of its own: a report names those that were refused something.
CC_fault = $(CC)
FLAGS_fault = -Og -g -fno-optimize-sibling-calls $(COVERAGE) -DSC_TEST_SHIM
AARCH64_CC ?= aarch64-linux-gnu-gcc
CC_aarch64 = $(AARCH64_CC)
FLAGS_aarch64 = -O3 -g -DSC_PROGRAM -DSC_TEST_SHIM
CC_aarch64-sim = $(AARCH64_CC)
FLAGS_aarch64-sim = $(FLAGS_sim)
# What is simulated, checked and reported is the runtime, and each access of the tests as it is
# written; what an optimiser makes of calls of the API is seen in static and aarch64.
$(foreach v,sim debug asan tsan aarch64-sim,$(eval FLAGS_$(v)_api = -O0))
VARIANTS := static shared lto asan tsan sim valgrind debug fault aarch64 aarch64-sim

objects = $(patsubst %,$(BUILD)/$(1)/%.o,$(basename $(2)))

define variant
OBJECTS_$(1) := $$(call objects,$(1),$$(SOURCES))
$(BUILD)/$(1)/runtime/%.o: runtime/%.c Makefile
	$$(call SAY,CC $(1) $$<)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(1)) $(SC_FLAGS) $$(FLAGS_$(1)) $$(FLAGS_$$<) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/runtime/%.o: runtime/%.S Makefile
	$$(call SAY,AS $(1) $$<)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(1)) $(SC_FLAGS) $$(FLAGS_$(1)) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/tests/%.o: tests/%.c Makefile
	$$(call SAY,CC $(1) $$<)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(1)) $(TEST_FLAGS) $$(FLAGS_$(1)) $$(FLAGS_$$<) \
		$$(if $$(filter tests/api/%,$$<),$$(FLAGS_$(1)_api)) -MMD -MP -c -o $$@ $$<
endef
$(foreach v,$(VARIANTS),$(eval $(call variant,$(v))))

# ---- libraries ----

define archive
$(2): $(OBJECTS_$(1))
	$$(call SAY,AR $$@)
	$(Q)mkdir -p $$(@D)
	$(Q)rm -f $$@
	$(Q)$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(eval $(call archive,static,$(BUILD)/libscope.a))
$(eval $(call archive,lto,$(BUILD)/libscope-lto.a))
$(eval $(call archive,debug,$(BUILD)/libscope-debug.a))
$(foreach v,asan tsan sim valgrind fault aarch64 aarch64-sim,$(eval $(call \
	archive,$(v),$(BUILD)/$(v)/libscope.a)))

$(BUILD)/libscope.so.0: $(OBJECTS_shared) api/libscope.map
	$(call SAY,LD $@)
	$(Q)$(CC) -shared -Wl,-soname,libscope.so.0 -Wl,--version-script=api/libscope.map \
		-Wl,-z,defs -Wl,-z,now -Wl,-z,nodelete $(CFLAGS) $(LDFLAGS) \
		-o $@ $(filter %.o,$^) $(LIBS)

$(BUILD)/libscope.so: $(BUILD)/libscope.so.0
	$(Q)ln -sf libscope.so.0 $@

# ---- examples: examples/NAME/*.c is the program build/bin/NAME ----

# Those in examples/recipes are built by their test, each with a library of its own.
EXAMPLES := $(filter-out recipes,$(sort $(patsubst examples/%/,%,$(dir $(wildcard \
	examples/*/*.c)))))
# Those whose manual page is made from their main.c.
EXAMPLE_MAINS := $(wildcard $(patsubst %,examples/%/main.c,$(filter-out \
	$(basename $(notdir $(MAN1))),$(EXAMPLES))))
LIBS_scope-sum := -lcrypto $(JEMALLOC)
# llhttp: the sources that Debian 12 has (node-llhttp), elsewhere a library.
LLHTTP := $(wildcard /usr/share/llhttp/*.c)
FLAGS_scope-httpd := $(if $(LLHTTP),-I/usr/share/include/llhttp)
LIBS_scope-httpd := $(if $(LLHTTP),,-lllhttp) -lssl -lcrypto

define example
$(BUILD)/bin/$(1): $(call objects,static,$(wildcard examples/$(1)/*.c)) $(BUILD)/libscope.a
	$$(call SAY,LD $$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC) $$(CFLAGS) $$(COVERAGE) $$(LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) $$(LIBS) \
		$$(LIBS_$(1))
endef
$(foreach e,$(EXAMPLES),$(eval $(call example,$(e))))

$(BUILD)/static/examples/%.o: examples/%.c Makefile
	$(call SAY,CC static $<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -Wall -Wextra -fno-omit-frame-pointer -fstack-clash-protection \
		-Iapi $(FLAGS_$(notdir $(@D))) $(CFLAGS) -MMD -MP -c -o $@ $<

LLHTTP_OBJECTS := $(patsubst /usr/share/llhttp/%.c,$(BUILD)/static/llhttp/%.o,$(LLHTTP))
$(BUILD)/bin/scope-httpd: $(LLHTTP_OBJECTS)

$(LLHTTP_OBJECTS): $(BUILD)/static/llhttp/%.o: /usr/share/llhttp/%.c
	$(call SAY,CC static $<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS_scope-httpd) -DLLHTTP_STRICT_MODE=1 -O2 -fno-omit-frame-pointer -c \
		-o $@ $<

# ---- test programs: tests/NAME/*.c is build/test/NAME, or build/VARIANT/NAME ----

define test_program
$(1): $(call objects,$(2),$(wildcard tests/$(3)/*.c) $(5)) $(4)
	$$(call SAY,LD $$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(FLAGS_$(2)) $$(LDFLAGS) -rdynamic -o $$@ $$(filter %.o %.a,$$^) \
		$$(LIBS) $(6)
endef
$(foreach t,unit api stress crash,$(eval $(call \
	test_program,$(BUILD)/test/$(t),static,$(t),$(BUILD)/libscope.a,,-lcriterion)))
# Functions of os/ beside its table: tests/sim/host.c has them.
SIM_WRAPS := expose_install expose_uninstall interrupt_install interrupt_uninstall interrupt_block \
	raise signal_take signal_give_back signal_block fault_install fault_uninstall \
	sigstack_install sigstack_uninstall processors main_stack_size stack_bounds address_limit
# What the runtime asks of libuv: tests/sim/uv.c has it.
UV_WRAPS := loop_init loop_close run cancel getaddrinfo $(addprefix fs_,open read write fsync stat \
	lstat mkdir unlink rmdir rename scandir)
SIM_LINK := $(addprefix -Xlinker --wrap=,clock_gettime $(addprefix sc_,arch_make draw \
	$(addprefix os_,$(SIM_WRAPS))) $(addprefix uv_,$(UV_WRAPS)))
$(eval $(call test_program,$(BUILD)/test/sim,sim,sim,$(BUILD)/sim/libscope.a,tests/shim.c \
	$(wildcard tests/api/*.c),$(SIM_LINK)))
$(eval $(call test_program,$(BUILD)/test/soak,static,soak,$(BUILD)/libscope.a,,))
$(foreach v,asan tsan valgrind,$(foreach t,unit api stress,$(eval $(call \
	test_program,$(BUILD)/$(v)/$(t),$(v),$(t),$(BUILD)/$(v)/libscope.a,tests/shim.c,))))

$(foreach t,crash api,$(eval $(call test_program,$(BUILD)/debug/$(t),debug,$(t),\
	$(BUILD)/libscope-debug.a,tests/shim.c,)))

# What the runtime asks of libc and tests/fault/table.c refuses.
FAULT_WRAPS := mmap mprotect madvise pthread_create pthread_attr_init sigaction sigaltstack \
	pthread_atfork pthread_getattr_np pthread_attr_getstack getrlimit getrandom \
	fopen fgets open fstat epoll_create1 eventfd epoll_ctl poll socket bind \
	listen connect accept4 getsockname getpeername getsockopt shutdown syscall sendfile \
	sendto recvfrom pipe2 fcntl posix_spawnp pidfd_open \
	$(addprefix posix_spawn_file_actions_,adddup2 addopen addchdir_np) \
	lseek preadv2 isatty ioctl ttyname_r inotify_init1 inotify_add_watch \
	uv_tty_init uv_tty_set_mode uv_tty_get_winsize \
	$(addprefix uv_,$(filter-out loop_close run cancel,$(UV_WRAPS)))
$(eval $(call test_program,$(BUILD)/fault/fault,fault,fault,$(BUILD)/fault/libscope.a,\
	tests/shim.c,$(addprefix -Xlinker --wrap=,$(FAULT_WRAPS))))

$(BUILD)/fault/scope-sum: $(call objects,static,$(wildcard examples/scope-sum/*.c) \
		tests/fault/inject/inject.c) $(BUILD)/libscope.a
	$(call SAY,LD $@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS) $(LIBS_scope-sum)

# The archive of a variant (MATRIX: static or lto) under the tests, without Criterion, which is
# built by one compiler only; see tests/matrix.sh.
MATRIX ?= static
ifneq ($(filter $(BUILD)/matrix/%,$(MAKECMDGOALS)),)
FLAGS_$(MATRIX) += -DSC_TEST_SHIM
$(foreach t,unit api,$(eval $(call test_program,$(BUILD)/matrix/$(t),$(MATRIX),$(t),\
	$(BUILD)/libscope$(if $(filter lto,$(MATRIX)),-lto).a,tests/shim.c,)))
endif

# A program with errors that the checkers must find.
$(foreach v,asan tsan valgrind,$(eval $(call \
	test_program,$(BUILD)/$(v)/planted,$(v),tools,$(BUILD)/$(v)/libscope.a,,)))

# What parses the requests of strangers, with that checker.
$(BUILD)/asan/scope-httpd: $(wildcard examples/scope-httpd/*.[ch]) $(LLHTTP) \
		$(BUILD)/asan/libscope.a
	$(call SAY,LD $@)
	$(Q)$(CC) -std=gnu11 -Iapi $(FLAGS_scope-httpd) -DLLHTTP_STRICT_MODE=1 $(FLAGS_asan) \
		-o $@ $(filter %.c %.a,$^) $(LIBS) $(LIBS_scope-httpd)

# The libraries are those of the cross compiler; tests/aarch64.sh tells the emulator where.  It
# seldom has libuv.
AARCH64_UV := $(if $(filter /%,$(shell $(AARCH64_CC) -print-file-name=libuv.so 2>/dev/null)),,\
	$(BUILD)/aarch64/libuv.a)
$(BUILD)/aarch64/libuv.a:
	$(call SAY,GET $@)
	$(Q)mkdir -p $(@D)
	$(Q)tests/aarch64-libuv.sh $@

define aarch64_program
$(call test_program,$(BUILD)/aarch64/$(1),$(2),$(1),$(BUILD)/$(2)/libscope.a $(AARCH64_UV),\
	tests/shim.c $(4),$(3))
$(BUILD)/aarch64/$(1): LIBS = $(if $(AARCH64_UV),,-luv) -lpthread
endef
$(foreach t,unit api stress crash,$(eval $(call aarch64_program,$(t),aarch64,,)))
$(eval $(call aarch64_program,sim,aarch64-sim,$(SIM_LINK),$(wildcard tests/api/*.c)))

# ---- models: tests/model/NAME.cc is build/model/NAME, with the sources that it includes ----

# Relacy is C++98; C that C++ only frowns at (a void pointer without a cast) stays as it is.
MODEL_FLAGS := -std=gnu++98 -O1 -g1 -w -fpermissive -fno-access-control -fno-strict-aliasing \
	-DRL_DO_ASSERT=1 -DSC_MODEL='<words.hpp>' -Iruntime -Iapi -Itests/model
MODELS := $(patsubst tests/model/%.cc,$(BUILD)/model/%,$(wildcard tests/model/*.cc))
MODEL_COMMON := $(addprefix $(BUILD)/model/common/,main.o search.o)

$(BUILD)/model/%.o: tests/model/%.cc Makefile
	$(call SAY,CXX model $<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(MODEL_FLAGS) -MMD -MP -c -o $@ $<

# What the sources call and no schedule comes to is left out: it would be a call of address 0.
$(MODELS): %: %.o $(MODEL_COMMON)
	$(call SAY,LD $@)
	$(Q)$(CXX) -static -Wl,--unresolved-symbols=ignore-all -o $@ $^

# The whole runtime: files that the model does not include, with the simulation's clock and
# thread-local.  Left out is what only a program needs.
MODEL_RUNTIME := $(patsubst runtime/%.c,$(BUILD)/model/rt/%.o,\
	$(filter-out %/errno.c %/fast_leak.c %/parallel.c %/observe.c %/sanitizer.c \
	%/survey.c %/dump.c %/watchdog.c,$(wildcard \
	$(patsubst %,runtime/%/*.c,deque fiber sched scope))))

$(BUILD)/model/rt/%.o: runtime/%.c Makefile
	$(call SAY,CXX model $<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(MODEL_FLAGS) -O0 -DMODEL_RUNTIME -DSC_SIM -include base/atomic.h -MMD -MP \
		-x c++ -c -o $@ $<

$(BUILD)/model/common/search.o: MODEL_FLAGS += -O2
$(BUILD)/model/runtime.o: MODEL_FLAGS += -DMODEL_RUNTIME -DSC_SIM
$(BUILD)/model/runtime: $(MODEL_RUNTIME) $(filter $(BUILD)/sim/runtime/arch/switch_%,$(OBJECTS_sim))

# Debug information of two kinds beside the ordinary one.
FLAGS_tests/unit/dwarf4.c := -gdwarf-4
FLAGS_tests/unit/dwarf0.c := -g0
# Its large frames are to be as rude as any.
FLAGS_tests/crash/test_overflow.c := -fno-stack-clash-protection

# ---- what people call ----

run: ## Build scope-sum and show what it does with a tree of this machine.
	$(Q)tests/setup.sh run
	$(Q)$(MAKE) --no-print-directory $(BUILD)/bin/scope-sum
	$(Q)examples/scope-sum/demo.sh $(BUILD)/bin/scope-sum

test: ## Run every check; the last line is "N passed, N failed".
	$(Q)tests/setup.sh test
	$(Q)tests/run.sh

perf: ## Measure the costs beside other libraries; ARGS go to perf/run.sh.
	$(Q)tests/setup.sh perf
	$(Q)$(MAKE) --no-print-directory lib
	$(Q)perf/run.sh $(ARGS)

perf-servers: ## Measure tasks that wait, meet and serve beside other runtimes; ARGS too.
	$(Q)tests/setup.sh perf-servers
	$(Q)$(MAKE) --no-print-directory lib
	$(Q)perf/run.sh --servers $(ARGS)

asan: ## Run the unit and API tests under AddressSanitizer and UBSan.
	$(Q)tests/setup.sh asan
	$(Q)tests/run.sh asan

tsan: ## Run the unit and API tests under ThreadSanitizer.
	$(Q)tests/setup.sh tsan
	$(Q)tests/run.sh tsan

model: ## Check orders of memory under Relacy, sleeping and waking with Spin.
	$(Q)tests/setup.sh model
	$(Q)tests/run.sh model

sim: ## Explore 200,000 schedules (SCHEDULES) of each scenario of the simulation.
	$(Q)tests/setup.sh sim
	$(Q)$(MAKE) --no-print-directory $(BUILD)/test/sim
	$(Q)tests/sim/run.sh $(BUILD)/test/sim

sim-long: ## Explore other schedules for HOURS (8); what fails is kept in sim-failures.
	$(Q)tests/setup.sh sim
	$(Q)$(MAKE) --no-print-directory $(BUILD)/test/sim
	$(Q)tests/sim/run.sh $(BUILD)/test/sim $(or $(HOURS),8)

debug: ## Build libscope-debug.a, which reports misuse of scopes and aborts.
debug: $(BUILD)/libscope-debug.a

mutants: ## Weaken or drop each ordered access in turn: a model or the simulation must fail.
	$(Q)tests/setup.sh model
	$(Q)tests/model/mutants.sh $(ARGS)

test-aarch64: ## Run the tests built for 64-bit Arm, in an emulator.
	$(Q)tests/setup.sh aarch64
	$(Q)tests/run.sh aarch64-all

coverage: ## Count the branches that the tests take; pages in build/coverage/html.
	$(Q)tests/setup.sh coverage
	$(Q)tests/coverage.sh $(or $(ARGS),unit api crash examples sim stress)

soak: ## Run everything at once for an hour (SOAK_SECONDS); memory must stay flat.
	$(Q)tests/setup.sh soak
	$(Q)$(MAKE) --no-print-directory $(BUILD)/test/soak
	$(Q)$(BUILD)/test/soak

valgrind: ## Run the unit and API tests under valgrind's memcheck.
	$(Q)tests/setup.sh valgrind
	$(Q)tests/run.sh tools valgrind

matrix: ## Run them with each compiler, optimisation, allocator and number of workers.
	$(Q)tests/setup.sh matrix
	$(Q)tests/run.sh matrix-all

lint: ## Check layers, names, memory-order tags, headers and documented errors.
	$(Q)tests/run.sh lint

man: $(BUILD)/man/done

$(BUILD)/man/done: docs/man.sh docs/man1.sh docs/libscope.7 $(HEADERS) $(EXAMPLE_MAINS)
	$(Q)rm -rf $(@D) && mkdir -p $(@D)
	$(Q)docs/man.sh $(VERSION) $(@D) $(HEADERS)
	$(Q)docs/man1.sh $(VERSION) $(@D) $(EXAMPLE_MAINS)
	$(Q)touch $@

# What a whole static program links.
UV_PC = $(shell pkg-config --exists libuv-static 2>/dev/null && echo libuv-static || echo libuv)

install: ## Install headers, libraries, scope.pc, man pages, examples (PREFIX, DESTDIR).
install: lib debug man $(addprefix $(BUILD)/bin/,$(EXAMPLES))
	$(Q)$(INSTALL) -d $(addprefix $(DESTDIR)$(PREFIX)/,include lib/pkgconfig bin \
		share/man/man1 share/man/man3 share/man/man7)
	$(Q)$(INSTALL) -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include
	$(Q)$(INSTALL) -m 644 $(BUILD)/libscope.a $(BUILD)/libscope-lto.a \
		$(BUILD)/libscope-debug.a $(DESTDIR)$(PREFIX)/lib
	$(Q)$(INSTALL) -m 755 $(BUILD)/libscope.so.0 $(DESTDIR)$(PREFIX)/lib
	$(Q)ln -sf libscope.so.0 $(DESTDIR)$(PREFIX)/lib/libscope.so
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@UV@|$(UV_PC)|' \
		docs/scope.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/scope.pc
	$(Q)$(INSTALL) -m 644 $(BUILD)/man/*.3 $(DESTDIR)$(PREFIX)/share/man/man3
	$(Q)$(INSTALL) -m 644 $(BUILD)/man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	$(Q)$(INSTALL) -m 644 $(MAN1) $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	$(Q)$(if $(EXAMPLES),$(INSTALL) -m 755 $(addprefix $(BUILD)/bin/,$(EXAMPLES)) \
		$(DESTDIR)$(PREFIX)/bin)
	$(Q)$(if $(DESTDIR),,ldconfig 2>/dev/null || true)

uninstall: ## Remove what install put there.
uninstall: man
	$(Q)rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(addprefix include/,$(notdir $(HEADERS))) \
		lib/libscope.a lib/libscope-lto.a \
		lib/libscope-debug.a lib/libscope.so lib/libscope.so.0 \
		lib/pkgconfig/scope.pc $(addprefix share/man/man1/,$(notdir $(MAN1))) \
		$(addprefix bin/,$(EXAMPLES)))
	$(Q)cd $(BUILD)/man && for page in *.[137]; do \
		rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page; done

clean: ## Remove everything that was built.
	rm -rf $(BUILD)

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

-include $(patsubst %.o,%.d,$(wildcard $(BUILD)/*/runtime/*/*.o $(BUILD)/*/tests/*.o \
	$(BUILD)/*/tests/*/*.o $(BUILD)/*/examples/*/*.o $(BUILD)/model/*.o \
	$(BUILD)/model/rt/*/*.o $(BUILD)/model/common/*.o))
