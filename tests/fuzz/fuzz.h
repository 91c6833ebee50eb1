/* What the fuzz targets share: a check that stays in every build, and the entry that libFuzzer
 * calls. */
#pragma once

#include <glib.h>
#include <stdlib.h>

/* An expectation that must hold for any input. */
#define FUZZ_EXPECT(condition)                                                                     \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      g_printerr ("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                        \
      abort ();                                                                                    \
    }                                                                                              \
  } while (0)

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);
