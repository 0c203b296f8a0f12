/* Between the parts of the frontends' common ground. */
#ifndef FRONT_INTERNAL_H
#define FRONT_INTERNAL_H

#include <stdbool.h>

bool store_connect(void);
bool grants_map(void);

#endif
