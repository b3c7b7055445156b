#include "tests/plugin/support/running.h"

struct store *st;
struct script *s;
