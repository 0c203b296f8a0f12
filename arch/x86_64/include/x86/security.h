/* What guards the hypervisor's own code: the stack protector's value (security.c) and retpolines
 * (thunks.asm). */
#ifndef X86_SECURITY_H
#define X86_SECURITY_H

/* Called once by a function without stack protector that never returns. */
void stack_guard_init(void);

#endif
