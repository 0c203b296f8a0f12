/* sources: arch/x86_64/guest/decode.c arch/x86_64/guest/execute.c */
/*
 * Any bytes as instructions, in every mode and from every offset: decoding ends within the bytes, and what is
 * carried out on device memory moves one operand of a known size.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../arch/x86_64/guest/execute.h"
#include "../../arch/x86_64/guest/vendor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void carry_out(const struct instruction *i)
{
    uint64_t gpr[GPRS], rflags = 2, memory = 0x0123456789abcdefull;
    struct memory_use use;
    if (!memory_use(i, &use))
        return;
    assert(use.size == 1 || use.size == 2 || use.size == 4 || use.size == 8);
    assert(use.loads || use.stores);
    for (unsigned n = 0; n < GPRS; n++)
        gpr[n] = n * 0x1111111111111111ull;
    execute(i, gpr, &rflags, &memory);
    assert(rflags & 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct instruction i;
    for (size_t at = 0; at < size && at < 256; at++) {
        size_t count = size - at < INSTRUCTION_MAX ? size - at : INSTRUCTION_MAX;
        /* The copy ends where the heap block does, so that reading past it is caught. */
        uint8_t *copy = malloc(count);
        memcpy(copy, data + at, count);
        for (unsigned mode = 2; mode <= 8; mode *= 2) {
            if (!decode(copy, count, mode, &i))
                continue;
            assert(i.length >= 1 && i.length <= count);
            assert(i.rm < GPRS && i.reg < GPRS && i.base < GPRS && i.index < GPRS);
            assert(i.operand_size <= 8 && i.address_size <= 8);
            carry_out(&i);
        }
        free(copy);
    }
    return 0;
}
