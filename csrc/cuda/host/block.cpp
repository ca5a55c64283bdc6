/* block.cpp: a launch: blocks, their threads as fibers, barriers, shared memory, asynchronous copies. */
#include "block.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>
#include <vector>

#define STACK_BYTES (64 * 1024)

__thread fnn_emulated_place fnn_emulated;

uint64_t fnn_emulated_setting(const char *name, uint64_t otherwise) {
    const char *value = getenv(name);
    return value != nullptr && *value != 0 ? strtoull(value, nullptr, 10) : otherwise;
}

/* ---- fibers ---- */

/* Saves what a function must preserve on the stack, the stack's pointer at *from, and goes on where `to` was saved:
 * swapcontext would make system calls, as it keeps the signal mask too. */
extern "C" void fnn_emulated_switch(void **from, void *to) __asm__("fnn_emulated_switch");

#if defined(__x86_64__)
__asm__(".text\n"
        ".p2align 4\n"
        "fnn_emulated_switch:\n"
        "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, (%rdi)\n"
        "movq %rsi, %rsp\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n"
        "ret\n");
#define SAVED_WORDS 8 /* those six, where to return, and a word that keeps the stack aligned */
#define RETURN_WORD 6
#elif defined(__aarch64__)
__asm__(".text\n"
        ".p2align 4\n"
        "fnn_emulated_switch:\n"
        "sub sp, sp, #160\n"
        "stp x19, x20, [sp]\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n stp x25, x26, [sp, #48]\n"
        "stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
        "mov x9, sp\n str x9, [x0]\n mov sp, x1\n"
        "ldp x19, x20, [sp]\n ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n ldp x25, x26, [sp, #48]\n"
        "ldp x27, x28, [sp, #64]\n ldp x29, x30, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n"
        "ldp d12, d13, [sp, #128]\n ldp d14, d15, [sp, #144]\n"
        "add sp, sp, #160\n"
        "ret\n");
#define SAVED_WORDS 20
#define RETURN_WORD 11
#else
#error "the emulation of CUDA needs x86-64 or aarch64"
#endif

struct copy {
    void *to;
    const void *from;
    size_t bytes, zeros;
};

enum fiber_state { NEW, WAITING, DONE };

struct fiber {
    fiber_state state;
    uint3 thread;
    char *stack;
    void *saved;
    const char *file; /* of the barrier that it waits at */
    int line;
    std::vector<copy> copies;   /* that have not happened, in order */
    std::vector<size_t> groups; /* how many of them each that was committed has, in order */
    size_t committed;
};

/* What a thread of the host keeps from launch to launch. */
struct worker {
    std::vector<fiber> fibers;
    std::vector<fiber *> live;
    std::vector<char *> stacks; /* that no fiber has; the last one used is the first to be used again */
    std::vector<uint32_t> order;
    char *memory; /* shared memory between its guards, with room for alignment */
    size_t room;
    char *shared;
    size_t shared_bytes;
    fiber *running;
    void *scheduler;
    const std::function<void()> *thread;
    int any, any_before; /* predicates of this barrier's and the last one's threads */
    uint64_t random;

    ~worker();
};
static __thread worker *own;

static size_t page_bytes(void) {
    static const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

worker::~worker() {
    for (char *stack : stacks) munmap(stack, page_bytes() + STACK_BYTES);
    free(memory);
}

void fnn_emulated_fail(const char *format, ...) {
    fprintf(stderr, "emulated CUDA: ");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (own != nullptr && own->thread != nullptr) {
        fprintf(stderr, " (block %u, %u, %u", blockIdx.x, blockIdx.y, blockIdx.z);
        if (own->running != nullptr) fprintf(stderr, ", thread %u, %u, %u", threadIdx.x, threadIdx.y, threadIdx.z);
        fprintf(stderr, ")");
    }
    fprintf(stderr, "\n");
    abort();
}

/* A page below it ends the process where a stack overflows. */
static char *take_stack(void) {
    if (own->stacks.empty()) {
        void *stack = mmap(nullptr, page_bytes() + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack, page_bytes(), PROT_NONE) != 0)
            fnn_emulated_fail("no memory for the stacks of threads");
        own->stacks.push_back((char *)stack);
    }
    char *stack = own->stacks.back();
    own->stacks.pop_back();
    return stack;
}

static void run_fiber(void) {
    (*own->thread)();
    own->running->state = DONE;
    void *unused;
    fnn_emulated_switch(&unused, own->scheduler);
    abort();
}

static void begin(fiber *each) {
    each->stack = take_stack();
    /* stacks whose tops have the same place in a page would push each other out of the cache */
    const size_t colour = own->stacks.size() % 8 * 512;
    void **top = (void **)(each->stack + page_bytes() + STACK_BYTES - colour) - SAVED_WORDS;
    memset(top, 0, SAVED_WORDS * sizeof *top);
    top[RETURN_WORD] = (void *)run_fiber;
    each->saved = top;
}

/* Until it waits or is done. */
static void resume(fiber *each) {
    if (each->state == NEW) begin(each);
    own->running = each;
    threadIdx = each->thread;
    fnn_emulated_switch(&own->scheduler, each->saved);
    own->running = nullptr;
    if (each->state == DONE) own->stacks.push_back(each->stack);
}

/* ---- orders ---- */

/* SplitMix64 */
static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint32_t random_below(size_t n) {
    own->random += 0x9e3779b97f4a7c15u;
    return (uint32_t)((mixed(own->random) >> 32) * n >> 32);
}

template <class T> static void shuffle(std::vector<T> *all) {
    for (size_t i = all->size(); i > 1; i--) std::swap((*all)[i - 1], (*all)[random_below(i)]);
}

/* ---- barriers ---- */

int fnn_emulated_barrier(int predicate, const char *file, int line) {
    fiber *self = own->running;
    self->state = WAITING;
    self->file = file;
    self->line = line;
    own->any |= predicate != 0;
    fnn_emulated_switch(&self->saved, own->scheduler);
    return own->any_before;
}

static void check_barrier(size_t threads) {
    const fiber *one = own->live[0];
    if (own->live.size() < threads)
        fnn_emulated_fail("barrier divergence: %zu of %zu threads wait at %s:%d, the others have returned",
                          own->live.size(), threads, one->file, one->line);
    for (const fiber *each : own->live)
        if (each->line != one->line || (each->file != one->file && strcmp(each->file, one->file) != 0))
            fnn_emulated_fail("barrier divergence: some threads wait at %s:%d, others at %s:%d", one->file, one->line,
                              each->file, each->line);
}

/* All threads from one barrier to the next. */
static void run_to_barrier(size_t threads) {
    size_t waiting = 0;
    shuffle(&own->live);
    for (fiber *each : own->live) {
        resume(each);
        if (each->state == WAITING) own->live[waiting++] = each;
    }
    own->live.resize(waiting);
    if (waiting > 0) check_barrier(threads);
    own->any_before = own->any;
    own->any = 0;
}

/* ---- shared memory ---- */

static const uint32_t GUARD = 0xfff5a5a5u;

void fnn_emulated_set_guard(void *zone) {
    for (size_t i = 0; i < FNN_EMULATED_GUARD_BYTES; i += sizeof GUARD) memcpy((char *)zone + i, &GUARD, sizeof GUARD);
}

bool fnn_emulated_guard_holds(const void *zone) {
    uint32_t differ = 0, word;
    for (size_t i = 0; i < FNN_EMULATED_GUARD_BYTES; i += sizeof GUARD) {
        memcpy(&word, (const char *)zone + i, sizeof word);
        differ |= word ^ GUARD;
    }
    return differ == 0;
}

void *fnn_emulated_shared(void) { return own->shared; }

static void reserve_shared(size_t bytes) {
    const size_t room = bytes + 2 * FNN_EMULATED_GUARD_BYTES + 128;
    if (room > own->room) {
        free(own->memory);
        own->memory = (char *)malloc(room);
        if (own->memory == nullptr) fnn_emulated_fail("no memory for shared memory");
        own->room = room;
    }
    const uintptr_t least = (uintptr_t)own->memory + FNN_EMULATED_GUARD_BYTES;
    own->shared = own->memory + ((least + 127) / 128 * 128 - (uintptr_t)own->memory);
    own->shared_bytes = bytes;
}

/* ---- asynchronous copies ---- */

void fnn_emulated_copy(void *to, const void *from, size_t bytes, size_t zeros) {
    if ((bytes != 4 && bytes != 8 && bytes != 16) || zeros > bytes)
        fnn_emulated_fail("an asynchronous copy of %zu bytes, %zu of them zeros", bytes, zeros);
    if ((uintptr_t)to % bytes != 0 || (uintptr_t)from % bytes != 0)
        fnn_emulated_fail("an asynchronous copy is not aligned to its %zu bytes", bytes);
    if ((char *)to < own->shared || (char *)to + bytes > own->shared + own->shared_bytes)
        fnn_emulated_fail("an asynchronous copy to other than shared memory");
    if ((const char *)from + bytes > own->shared && (const char *)from < own->shared + own->shared_bytes)
        fnn_emulated_fail("an asynchronous copy from shared memory");
    memset(to, FNN_EMULATED_POISON, bytes);
    own->running->copies.push_back({to, from, bytes, zeros});
}

void fnn_emulated_commit(void) {
    fiber *self = own->running;
    self->groups.push_back(self->copies.size() - self->committed);
    self->committed = self->copies.size();
}

void fnn_emulated_wait(size_t groups) {
    fiber *self = own->running;
    if (self->groups.size() <= groups) return;
    const size_t n_groups = self->groups.size() - groups;
    size_t n_copies = 0;
    for (size_t i = 0; i < n_groups; i++) n_copies += self->groups[i];
    for (size_t i = 0; i < n_copies; i++) {
        const copy &each = self->copies[i];
        memcpy(each.to, each.from, each.bytes - each.zeros);
        memset((char *)each.to + each.bytes - each.zeros, 0, each.zeros);
    }
    self->copies.erase(self->copies.begin(), self->copies.begin() + (ptrdiff_t)n_copies);
    self->groups.erase(self->groups.begin(), self->groups.begin() + (ptrdiff_t)n_groups);
    self->committed -= n_copies;
}

/* ---- blocks ---- */

static uint3 place_of(size_t i, dim3 extent) {
    return {(unsigned)(i % extent.x), (unsigned)(i / extent.x % extent.y), (unsigned)(i / extent.x / extent.y)};
}

static void run_block(size_t threads) {
    memset(own->shared, FNN_EMULATED_POISON, own->shared_bytes);
    own->live.clear();
    for (size_t i = 0; i < threads; i++) {
        fiber *each = &own->fibers[i];
        each->state = NEW;
        each->copies.clear();
        each->groups.clear();
        each->committed = 0;
        own->live.push_back(each);
    }
    while (!own->live.empty()) run_to_barrier(threads);
    if (!fnn_emulated_guard_holds(own->shared - FNN_EMULATED_GUARD_BYTES))
        fnn_emulated_fail("written before the shared memory");
    if (!fnn_emulated_guard_holds(own->shared + own->shared_bytes))
        fnn_emulated_fail("written beyond the %zu bytes of shared memory", own->shared_bytes);
}

void fnn_emulated_run(const std::function<void()> &thread, dim3 grid, dim3 block, size_t shared, uint64_t seed) {
    static thread_local worker of_this_thread;
    own = &of_this_thread;
    own->thread = &thread;
    own->random = mixed(seed + 1);
    const size_t threads = (size_t)block.x * block.y * block.z, blocks = (size_t)grid.x * grid.y * grid.z;
    reserve_shared(shared);
    fnn_emulated_set_guard(own->shared - FNN_EMULATED_GUARD_BYTES);
    fnn_emulated_set_guard(own->shared + shared);
    if (own->fibers.size() < threads) own->fibers.resize(threads);
    for (size_t i = 0; i < threads; i++) own->fibers[i].thread = place_of(i, block);
    blockDim = {block.x, block.y, block.z};
    gridDim = {grid.x, grid.y, grid.z};
    own->order.resize(blocks);
    for (size_t i = 0; i < blocks; i++) own->order[i] = (uint32_t)i;
    shuffle(&own->order);
    for (uint32_t each : own->order) {
        blockIdx = place_of(each, grid);
        run_block(threads);
    }
    own->thread = nullptr;
}
