/*
 * Runs a fuzz target without libFuzzer: random inputs for some seconds, or the files that are named.
 *
 *   fuzz_x [seconds [seed]]    fuzz_x FILE...
 *
 * The seed of the input that broke something is printed, so that it can be run again. With clang,
 * -fsanitize=fuzzer takes this file's place.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sanitizer/common_interface_defs.h>

#define MOST 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seed;

static void print_seed(void)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
}

/* abort() ends with a report, and with the seed, too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_abort=1";
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void one_random(void)
{
    static uint8_t data[MOST];
    uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1;
    size_t size = next_random(&state) % (MOST + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(next_random(&state) >> 32);
    LLVMFuzzerTestOneInput(data, size);
}

static int one_file(const char *name)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(name, "rb");
    if (!file) {
        perror(name);
        return 1;
    }
    size_t size = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = "";
    long seconds = argc > 1 ? strtol(argv[1], &end, 10) : 5;
    if (*end) {
        int failed = 0;
        for (int i = 1; i < argc; i++)
            failed |= one_file(argv[i]);
        return failed;
    }
    __sanitizer_set_death_callback(print_seed);
    if (argc > 2) {
        seed = strtoull(argv[2], NULL, 10);
        one_random();
        return 0;
    }
    uint64_t runs = 0;
    seed = (uint64_t)time(NULL) << 20;
    for (time_t stop = time(NULL) + seconds; time(NULL) < stop; seed++, runs++)
        one_random();
    printf("%llu inputs\n", (unsigned long long)runs);
    return 0;
}
